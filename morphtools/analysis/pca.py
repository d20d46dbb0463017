"""Principal components of representations, computed batch by batch and kept, so that new galaxies land in one space."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
from tqdm import tqdm

from morphtools.inference.representations import Representations
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import some

_ROWS = 8192  # in double precision at a time
_FILE = "projection.npz"


@dataclasses.dataclass(frozen=True)
class Projection:
    """A linear map to principal components.

    Attributes:
        mean: (D,) of the representations it was fitted to.
        components: (K, D) orthonormal rows, the most varied first; of each, the largest entry is positive.
        variance: (K,) share of all variance that each explains.
    """

    mean: np.ndarray
    components: np.ndarray
    variance: np.ndarray

    @classmethod
    def open(cls, folder: "str | Path | Projection") -> "Projection":
        """The projection kept in `folder` beside what it made (a projection is passed through)."""
        if isinstance(folder, Projection):
            return folder
        path = Path(folder) / _FILE
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(**{field.name: arrays[field.name] for field in dataclasses.fields(cls)})
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(f"there is no projection in {folder} (no {_FILE})") from None
        except (ValueError, KeyError, EOFError) as error:
            raise ValueError(f"{path} is damaged: {error}") from None

    def save(self, folder: Path) -> None:
        """Writes it into `folder`."""

        def write(path):
            np.savez(path, **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)})

        write_whole(folder / _FILE, write)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """(n, D) → (n, K) float32."""
        if values.shape[-1] != len(self.mean):
            raise ValueError(
                f"the projection is for {len(self.mean)} dimensions, the representations have {values.shape[-1]}"
            )
        return ((values - self.mean) @ self.components.T).astype(np.float32)

    def has(self, components: int | None, variance: float | None) -> bool:
        """Whether it has so many components, or just as many as explain so much of the variance."""
        number = len(self.components)
        return number == components or (variance is not None and number == _enough(self.variance, variance))

    @property
    def digest(self) -> str:
        """Short name of this projection and no other."""
        return hashlib.sha256(self.mean.tobytes() + self.components.tobytes()).hexdigest()[:12]


def fit_pca(
    representations: str | Path | Representations, *, components: int | None = None, variance: float | None = None
) -> Projection:
    """Fits principal components in two passes over the parts; memory holds a D × D matrix and a batch.

    Summing up the covariance is exact, and lets the number follow from the variance, which scikit-learn's
    `IncrementalPCA` (approximate, with a number that has to be given) does not.

    Args:
        representations: The store or its folder.
        components: How many to keep.
        variance: Or as many as explain this share of the variance, above 0 and at most 1.

    Returns:
        The projection.

    Raises:
        ValueError: There are fewer than two galaxies, or nothing varies, or the number is not to be had.
    """
    store = Representations.open(representations)
    if (components is None) == (variance is None):
        raise ValueError("give either components, a number, or variance, a share")
    number = len(store)
    most = min(store.dimension, number - 1)
    if components is not None and not 1 <= components <= most:
        raise ValueError(
            f"components must be from 1 to {most} for {number} galaxies in {store.dimension} dimensions, "
            f"got {components}"
        )
    if variance is not None and not 0 < variance <= 1:
        raise ValueError(f"variance must be a share above 0 and at most 1, got {variance}")
    if number < 2:
        raise ValueError(f"principal components need two galaxies or more, {store.folder} has {number}")
    mean = sum(values.sum(axis=0, dtype=np.float64) for _, values in store.batches(_ROWS)) / number
    scatter = np.zeros((store.dimension, store.dimension))
    for _, values in tqdm(store.batches(_ROWS), "principal components", -(-number // _ROWS), disable=None):
        away = values - mean
        scatter += away.T @ away
    share, axes = np.linalg.eigh(scatter)
    share, axes = np.maximum(share[::-1], 0), axes.T[::-1]
    if share[0] <= 0:
        raise ValueError(f"the representations in {store.folder} are all the same")
    share /= share.sum()
    if variance is not None:
        components = min(most, _enough(share, variance))
    kept = axes[:components]
    largest = np.take_along_axis(kept, np.abs(kept).argmax(axis=1)[:, np.newaxis], axis=1)
    return Projection(mean, kept * np.sign(largest), share[:components])


def _enough(share: np.ndarray, variance: float) -> int:
    return 1 + int(np.searchsorted(np.cumsum(share), variance - 1e-12))


def reduce_representations(
    representations: str | Path | Representations,
    out: str | Path,
    *,
    components: int | None = None,
    variance: float | None = None,
    like: str | Path | Projection | None = None,
) -> Representations:
    """Writes representations in fewer dimensions, with the projection beside them; goes on where it was killed.

    Args:
        representations: The store or its folder.
        out: Folder for the new store.
        components: How many principal components to keep; 40 if nothing is said.
        variance: Or as many as explain this share of the variance.
        like: Folder of representations reduced before: new galaxies of the same weights land in the same space.

    Returns:
        The new store; its provenance is that of the old one and the name of the projection.

    Raises:
        ValueError: `out` holds another space, or `like` was made of other weights.
    """
    store, out = Representations.open(representations), Path(out)
    if like is not None and (components is not None or variance is not None):
        raise ValueError("like says already how many components there are")
    if components is None and variance is None:
        components = 40
    kept = Projection.open(out) if (out / _FILE).exists() else None
    if like is not None:
        projection = Projection.open(like)
        if not isinstance(like, Projection):
            check_same_space(Representations.open(like), store)
    elif kept is not None and kept.has(components, variance):
        projection = kept  # fitted again, its last digits might differ
    else:
        projection = fit_pca(store, components=components, variance=variance)
    if kept is not None and kept.digest != projection.digest:
        raise ValueError(f"{out} holds another projection; choose another folder")
    out.mkdir(parents=True, exist_ok=True)
    projection.save(out)
    provenance = store.provenance | {"pca": projection.digest}
    reduced = Representations.create(out, len(projection.components), provenance)
    done = len(reduced)
    if not np.array_equal(reduced.id_str, store.id_str[:done]):
        raise ValueError(f"{out} holds other galaxies; choose another folder")
    bar = tqdm(initial=done, total=len(store), desc="reducing", unit="galaxy", disable=None)
    seen = 0
    with bar:
        for names, values in store.batches():
            new = slice(max(0, done - seen), None)
            seen += len(names)
            if len(names[new]):
                reduced.append(names[new], projection(values[new]))
                bar.update(len(names[new]))
    return reduced


def check_same_space(there: Representations, new: Representations) -> None:
    """Raises ValueError where representations were made by other means: only the records may differ."""
    ours = {k: v for k, v in there.provenance.items() if k != "pca" and not k.startswith("records")}
    other = sorted(k for k, v in ours.items() if new.provenance.get(k) != v)
    if other:
        raise ValueError(
            f"{new.folder} is another space than {there.folder}: another {some(other)} "
            f"({new.provenance.get(other[0])} now, {ours[other[0]]} there)"
        )
