"""Representations of a catalogue's galaxies: a folder of parquet parts that only grows."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pandas.util import hash_array

from morphtools.inference.parts import check_part, count_rows, read_part, write_part
from tfrecords_builder.checksums import reading
from tfrecords_builder.copies import here
from tfrecords_builder.json_files import check_fields, read_json, write_json
from tfrecords_builder.naming import some

_ABOUT = "representations.json"


@dataclasses.dataclass(frozen=True)
class Representations:
    """Representations of N galaxies in D dimensions, on disk and read when needed.

    The folder holds `representations.json` and `part-….parquet` files with the columns `id_str` and
    `representation` (D float32). Parts are written whole and never changed; `append` refuses
    representations made in another way.

    Attributes:
        folder: The folder that holds them.
        dimension: D.
        provenance: Their origin: names and hashes of the weights and of the records, version.
    """

    folder: Path
    dimension: int
    provenance: dict[str, str]

    @classmethod
    def open(cls, folder: "str | Path | Representations") -> "Representations":
        """Opens what `create` made (Representations are passed through).

        Args:
            folder: The folder that holds them; one in object storage is copied whole (`tfrecords_builder.copies`).

        Raises:
            FileNotFoundError: The folder has none.
            ValueError: `representations.json` is damaged.
        """
        if isinstance(folder, Representations):
            return folder
        folder = here(folder)
        path = folder / _ABOUT
        try:
            about = read_json(path)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(f"there are no representations at {folder} (no {_ABOUT})") from None
        store = cls(**check_fields(cls, about | {"folder": folder}, path))
        if store.dimension < 1:
            raise ValueError(f"{path} is damaged: 'dimension' cannot be {store.dimension}")
        return store

    @classmethod
    def create(cls, folder: str | Path, dimension: int, provenance: dict[str, str]) -> "Representations":
        """Creates an empty store, or opens an existing one that was made in the same way.

        Args:
            folder: The folder.
            dimension: D.
            provenance: Where they come from.

        Raises:
            ValueError: There is one with another dimension or provenance: two spaces must not be mixed.
        """
        folder = Path(folder)
        if (folder / _ABOUT).exists():
            existing = cls.open(folder)
            wanted = {"dimension": dimension, **provenance}
            has = {"dimension": existing.dimension, **existing.provenance}
            other = sorted(name for name in wanted.keys() | has.keys() if wanted.get(name) != has.get(name))
            if other:
                raise ValueError(
                    f"{folder} holds representations with another {some(other)}: "
                    f"{has.get(other[0])} there, {wanted.get(other[0])} now; choose another folder"
                )
            return existing
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / _ABOUT, {"dimension": dimension, "provenance": provenance})
        return cls(folder, dimension, dict(provenance))

    def append(self, id_str: Iterable[str], values: np.ndarray, *, part: str | None = None) -> None:
        """Adds galaxies as one more part, completely or not at all.

        Args:
            id_str: (n,) names.
            values: (n, D).
            part: Name of the part, by which the parts are ordered; by default its number.

        Raises:
            ValueError: Another D, or values that are not finite.
        """
        write_part(self.folder, f"part-{part or f'{len(self.parts):06d}'}", self.table(id_str, values))

    def table(self, id_str: Iterable[str], values: np.ndarray) -> pa.Table:
        """The content of a part with these galaxies.

        Args:
            id_str: (n,) names.
            values: (n, D).

        Raises:
            ValueError: As for `append`.
        """
        values = np.asarray(values, np.float32)
        names = [str(name) for name in id_str]
        if values.shape != (len(names), self.dimension):
            raise ValueError(f"{len(names)} galaxies in {self.dimension} dimensions expected, got {values.shape}")
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            bad = [name for name, good in zip(names, finite, strict=True) if not good]
            raise ValueError(f"representations that are not finite: {some(bad)}")
        flat = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), self.dimension)
        return pa.table({"id_str": pa.array(names, pa.string()), "representation": flat})

    @property
    def parts(self) -> list[Path]:
        """The parquet files, in order."""
        return sorted(self.folder.glob("part-*.parquet"))

    def __len__(self) -> int:
        return sum(count_rows(path) for path in self.parts)

    @property
    def id_str(self) -> np.ndarray:
        """(N,) names, in the order of the rows."""
        parts = [read_part(path, ["id_str"])["id_str"].to_numpy() for path in self.parts]
        return np.concatenate([np.array([], object), *parts])

    def rows_of(self, ids: Iterable[str], parts: Iterable[Path] | None = None) -> np.ndarray:
        """The rows of galaxies in `id_str`, which is read part by part.

        Args:
            ids: (n,) names.
            parts: What `parts` were at another time, before the store grew.

        Returns:
            (n,) rows, −1 for galaxies that are not there.
        """
        start, ids = 0, [str(name) for name in ids]
        places = dict.fromkeys(ids, -1)
        wanted, there = np.array(list(places), object), pa.array(list(places), pa.string())
        for path in (self.parts if parts is None else parts) if ids else ():
            names = self._names(path)
            place = pc.index_in(names, value_set=there)
            at = pc.indices_nonzero(pc.is_valid(place)).to_numpy()
            places.update(zip(wanted[place.take(pa.array(at)).to_numpy()], (start + at).tolist(), strict=True))
            start += len(names)
        return np.array([places[name] for name in ids], np.int64)

    def name_batches(self, rows: int = 65536, parts: Iterable[Path] | None = None) -> Iterator[np.ndarray]:
        """All names, a few at a time; the representations are not read.

        Args:
            rows: Most galaxies at a time.
            parts: As for `rows_of`.

        Returns:
            (n,) of `id_str`, in order.
        """
        for path in self.parts if parts is None else parts:
            with reading(path), pq.ParquetFile(path, pre_buffer=False) as part:
                for batch in part.iter_batches(rows, columns=["id_str"]):
                    yield batch["id_str"].to_numpy(zero_copy_only=False)

    def repeated_names(self) -> list[str]:
        """Names that are there more than once; memory holds eight bytes of each galaxy."""
        hashes, start = np.empty(len(self), np.uint64), 0
        for names in self.name_batches():
            hashes[start : start + len(names)] = hash_array(names, categorize=False)
            start += len(names)
        hashes.sort()
        twice = hashes[1:][hashes[1:] == hashes[:-1]]
        if not len(twice):
            return []
        alike = (names[np.isin(hash_array(names, categorize=False), twice)] for names in self.name_batches())
        counts = Counter(name for names in alike for name in names)
        return [name for name, number in counts.items() if number > 1]

    def names_of(self, rows: np.ndarray, parts: Iterable[Path] | None = None) -> np.ndarray:
        """The ids of some rows; only the parts that contain them are read.

        Args:
            rows: (n,) rows.
            parts: As for `rows_of`.

        Returns:
            (n,) of `id_str`.
        """
        rows, start = np.asarray(rows, np.int64), 0
        names = np.empty(len(rows), object)
        for path in self.parts if parts is None else parts:
            size = count_rows(path)
            mine = np.flatnonzero((rows >= start) & (rows < start + size))
            if len(mine):
                names[mine] = self._names(path).take(pa.array(rows[mine] - start)).to_numpy(zero_copy_only=False)
            start += size
        return names

    @staticmethod
    def _names(path: Path) -> pa.Array:
        with reading(path):
            return pq.read_table(path, columns=["id_str"])["id_str"].combine_chunks().cast(pa.string())

    def batches(
        self, rows: int = 65536, parts: Iterable[Path] | None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields all of them in batches, for stores larger than memory.

        Args:
            rows: Most galaxies at a time.
            parts: Some of `parts`; by default all.

        Returns:
            Names (n,) and values (n, D) float32, in order.

        Raises:
            ValueError: A part is damaged; the message names it.
        """
        for path in self.parts if parts is None else parts:
            check_part(path)
            with reading(path), pq.ParquetFile(path, pre_buffer=False) as part:
                if part.schema_arrow.field("representation").type.list_size != self.dimension:
                    raise ValueError(f"{path} is damaged: its representations do not have {self.dimension} dimensions")
                for batch in part.iter_batches(rows):
                    values = batch["representation"].flatten().to_numpy(zero_copy_only=True)
                    yield batch["id_str"].to_numpy(zero_copy_only=False), values.reshape(-1, self.dimension)

    def values(self) -> np.ndarray:
        """All of them as one array (N, D) float32, for stores that fit into memory."""
        out = np.empty((len(self), self.dimension), np.float32)
        start = 0
        for _, values in self.batches():
            out[start : start + len(values)] = values
            start += len(values)
        return out
