"""Measures what augmentations contribute: the same pretraining without each of them, or some of them, in turn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphtools.data.presets import parts_of, read_augmentations
from morphtools.studies.learning_curve import learning_curve
from morphtools.training.pretrain import pretrain
from tfrecords_builder.records import Records
from tfrecords_builder.tables_out import write_csv


def ablate_augmentations(
    pretraining: Mapping,
    records: str | Path,
    *,
    parts: str | None = None,
    labels: Sequence[float] = (),
    finetuning: Mapping | None = None,
    seeds: int = 1,
    out: str | Path = "morphtools-runs/ablation",
) -> pd.DataFrame:
    """Pretrains with all augmentations, then without some, and compares how well neighbours predict labels.

    With `labels`, all encoders are then fine-tuned on so many labels and compared in a learning curve, in the folder
    `finetuned`. The same call resumes if interrupted.

    Args:
        pretraining: Keyword arguments of `pretrain`, as in `configs/pretrain/`.
        records: Folder of records.
        parts: What to leave out, separated by commas (see `parts_of`); several at once are joined by `+`, as in
            `RandomNoise,RandomNoise+RandomExtinction`. By default each part in turn.
        labels: Numbers of labels, or shares of all, to fine-tune with.
        finetuning: Keyword arguments of `finetune`; by default redshifts, all layers.
        seeds: How often to fine-tune.
        out: Folder of the runs, and of `ablation.csv`.

    Returns:
        One row per run: `without`, and for every label how well five neighbours predict it.

    Reference:
        Hayat et al. 2021, arXiv:2012.13083, appendix D (σ_MAD after fine-tuning on 10, 20 and 30% of the labels).
    """
    augmentations = pretraining.get("augmentations")
    augmentations = augmentations or ("rgb" if Records.open(records).noise is None else "hayat2021")
    chosen = parts_of(augmentations) if parts is None else [part.strip() for part in parts.split(",")]
    for part in chosen:
        read_augmentations(augmentations, part)
    rows, ways, out = [], {}, Path(out)
    for part in (None, *chosen):
        run = pretrain(**dict(pretraining) | {"records": records, "without": part, "out": out / (part or "all")})
        scores = {name: found["value"] for name, found in run.metrics["test"].items()}
        rows.append({"without": part or "nothing", **scores})
        ways["all" if part is None else f"without {part}"] = {"weights": str(out / (part or "all"))}
        table = pd.DataFrame(rows)
        write_csv(table, out / "ablation.csv")
    if labels:
        how = {"task": "photoz", "depth": "all"} | dict(finetuning or {})
        options: dict[str, Any] = {"records": records, "seeds": seeds, "reference": "all", "out": out / "finetuned"}
        learning_curve(how.pop("task"), labels, ways=ways, common=how, **options)
    return table
