"""Principal components of representations, computed in batches and stored, so that new galaxies share the space."""

import dataclasses
import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.explore.tables import space_of
from morphtools.inference.parts import count_rows, name_of
from morphtools.inference.representations import Representations
from tfrecords_builder.claims import claim
from tfrecords_builder.copies import here
from tfrecords_builder.files import read_arrays, write_arrays
from tfrecords_builder.naming import some
from tfrecords_builder.progress import progress_bar

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
        names = [field.name for field in dataclasses.fields(cls)]
        try:
            arrays = read_arrays(here(folder) / _FILE, *names)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(f"there is no projection in {folder} (no {_FILE})") from None
        return cls(**{name: arrays[name] for name in names})

    def save(self, folder: Path) -> None:
        """Writes it into `folder`."""
        write_arrays(folder / _FILE, **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)})

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


def batches_of(
    store: Representations, keep: np.ndarray | None = None, rows: int = 65536
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields ids (n,) and values (n, D) of the galaxies for which `keep` (N,) is true, in order, in batches."""
    seen = 0
    for names, values in store.batches(rows):
        here = slice(None) if keep is None else keep[seen : seen + len(names)]
        seen += len(names)
        yield names[here], values[here]


def some_of(
    store: Representations, keep: np.ndarray | None, places: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Names and values of the galaxies at some places, in rising order, among those where `keep` (N,) is true."""
    start = 0
    for names, values in batches_of(store, keep, _ROWS):
        here = places[np.searchsorted(places, start) : np.searchsorted(places, start + len(names))] - start
        start += len(names)
        yield names[here], values[here]


def fit_pca(
    representations: str | Path | Representations,
    *,
    components: int | None = None,
    variance: float | None = None,
    keep: np.ndarray | None = None,
) -> Projection:
    """Fits principal components in two passes over the parts; memory holds a D × D matrix and a batch.

    Summing up the covariance is exact, and lets the number follow from the variance, which scikit-learn's
    `IncrementalPCA` (approximate, with a number that has to be given) does not.

    Args:
        representations: The store or its folder.
        components: How many to keep.
        variance: Or as many as explain this fraction of the variance, above 0 and at most 1.
        keep: (N,) bool: fit to these galaxies only.

    Returns:
        The projection.

    Raises:
        ValueError: There are fewer than two galaxies, nothing varies, or there are fewer components.
    """
    from scipy.linalg import eigh

    store = Representations.open(representations)
    if (components is None) == (variance is None):
        raise ValueError("give either components (a number) or variance (a fraction)")
    number = len(store) if keep is None else int(np.count_nonzero(keep))
    most = min(store.dimension, number - 1)
    if number < 2:
        raise ValueError(f"principal components need two galaxies or more, {store.folder} has {number}")
    if components is not None and not 1 <= components <= most:
        raise ValueError(
            f"components must be from 1 to {most} for {number} galaxies in {store.dimension} dimensions, "
            f"got {components}"
        )
    if variance is not None and not 0 < variance <= 1:
        raise ValueError(f"variance must be a fraction above 0 and at most 1, got {variance}")
    mean, scatter = np.zeros(store.dimension), np.zeros((store.dimension, store.dimension))
    with progress_bar(total=2 * number, desc="principal components", unit="galaxy") as bar:
        for _, values in batches_of(store, keep, _ROWS):
            mean += values.sum(axis=0, dtype=np.float64)
            bar.update(len(values))
        mean /= number
        for _, values in batches_of(store, keep, _ROWS):
            away = values - mean
            scatter += away.T @ away
            bar.update(len(values))
    total = np.trace(scatter)
    if total <= 0:
        raise ValueError(f"the representations in {store.folder} are all the same")
    first = 0 if components is None else store.dimension - components
    share, axes = eigh(scatter, overwrite_a=True, subset_by_index=(first, store.dimension - 1))
    share, axes = np.maximum(share[::-1], 0) / total, axes.T[::-1]
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
    """Writes representations in fewer dimensions, with the projection beside them; resumes if interrupted.

    Args:
        representations: The store or its folder.
        out: Folder for the new store.
        components: How many principal components to keep; 40 by default.
        variance: Or as many as explain this fraction of the variance.
        like: Folder of representations reduced before: new galaxies of the same weights land in the same space.

    Returns:
        The new store; its provenance is that of the old one and the name of the projection.

    Raises:
        ValueError: `out` holds another space, or `like` was made of other weights.
    """
    store, out = Representations.open(representations), Path(out)
    if like is not None and (components is not None or variance is not None):
        raise ValueError("give either like, which fixes the number of components, or components and variance")
    if components is None and variance is None:
        components = 40
    with claim(out, "reduce-representations", {}, store.provenance, old="representations.json", others=True) as claimed:
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
        claimed.keep()
        projection.save(out)
        provenance = store.provenance | {"pca": projection.digest}
        reduced = Representations.create(out, len(projection.components), provenance)
        done = {name_of(path): count_rows(path) for path in reduced.parts}
        for path in progress_bar(store.parts, "reducing", unit="part"):
            if name_of(path) not in done:  # part by part: a store may grow in its middle
                names, values = zip(*((n, projection(v)) for n, v in store.batches(_ROWS, [path])), strict=True)
                reduced.append(np.concatenate(names), np.concatenate(values), part=name_of(path).removeprefix("part-"))
            elif done[name_of(path)] != count_rows(path):
                raise ValueError(f"{out} holds other galaxies in {path.name}; choose another folder")
    return reduced


def represent_image(image: Path, weights: str | Path, representations: str | Path | Representations) -> np.ndarray:
    """(1, D): an image file in the space of a store, averaged over as many orientations and reduced as it was.

    Raises:
        ValueError: These are not the weights that made the store.
    """
    from morphtools.inference.represent import represent

    store = Representations.open(representations)
    with tempfile.TemporaryDirectory() as folder:
        catalog = Path(folder) / "catalog.csv"
        pd.DataFrame({"id_str": ["query"], "file_loc": [image.name]}).to_csv(catalog, index=False)
        orientations = int(store.provenance.get("orientations", 8))
        out = Path(folder) / "query"
        new = represent(weights, out, catalog=catalog, images=image.parent, orientations=orientations)
        check_same_space(store, new)
        return Projection.open(store.folder)(new.values()) if "pca" in store.provenance else new.values()


def check_same_space(there: Representations, new: Representations) -> None:
    """Raises ValueError if representations were made by other means: only the records may differ."""
    ours, theirs = ({k: v for k, v in space_of(store).items() if k != "pca"} for store in (there, new))
    other = sorted(k for k in ours | theirs if ours.get(k) != theirs.get(k))
    if other:
        raise ValueError(
            f"{new.folder} is another space than {there.folder}: another {some(other)} "
            f"({theirs.get(other[0])} now, {ours.get(other[0])} there)"
        )
