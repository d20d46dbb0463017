"""What each augmentation contributes: the same pretraining without each of them in turn."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd

from morphtools.data.presets import parts_of
from morphtools.training.pretrain import pretrain
from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import unknown
from tfrecords_builder.records import Records


def ablate_augmentations(
    pretraining: Mapping,
    records: str | Path,
    *,
    parts: str | None = None,
    out: str | Path = "morphtools-runs/ablation",
) -> pd.DataFrame:
    """Pretrains with all augmentations, then without each in turn, and compares how well neighbours predict labels.

    The same call resumes if interrupted.

    Args:
        pretraining: Keyword arguments of `pretrain`, as in `configs/pretrain/`.
        records: Folder of records.
        parts: What to leave out, separated by commas (see `parts_of`); by default each part in turn.
        out: Folder of the runs, and of `ablation.csv`.

    Returns:
        One row per run: `without`, and for every label what five neighbours know of it.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, appendix D.
    """
    default = "rgb" if Records.open(records).noise is None else "hayat2021"
    known = parts_of(pretraining.get("augmentations") or default)
    chosen = known if parts is None else [part.strip() for part in parts.split(",")]
    for part in chosen:
        if part not in known:
            raise ValueError(unknown("part", part, known))
    rows = []
    for part in (None, *chosen):
        run = pretrain(**dict(pretraining) | {"records": records, "without": part, "out": Path(out) / (part or "all")})
        scores = {name: found["value"] for name, found in run.metrics["test"].items()}
        rows.append({"without": part or "nothing", **scores})
        table = pd.DataFrame(rows)
        write_whole(Path(out) / "ablation.csv", partial(table.to_csv, index=False))
    return table
