"""The answer is one number, or several: a size, a colour, a mass."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from scipy.stats import norm

from morphtools.answers.digits import significant, to_error
from morphtools.answers.drawing import check_splits, draw_any
from morphtools.answers.estimates import Estimates
from morphtools.answers.recipes import MEASURES, Recipe


@dataclasses.dataclass(frozen=True)
class Numbers:
    """M numbers for each galaxy, each with an uncertainty: normal distributions.

    A head gives M means and M logarithms of standard deviations.

    Attributes:
        columns: Names of the numbers.
        centre: (M,) mean of each over the training galaxies: the zero point of the head's weights, not of its output.
        scale: (M,) standard deviation of each over the training galaxies.
    """

    columns: tuple[str, ...]
    centre: tuple[float, ...] = dataclasses.field(default=(), compare=False)
    scale: tuple[float, ...] = dataclasses.field(default=(), compare=False)

    kind: ClassVar[str] = "numbers"
    recipe: ClassVar[Recipe] = MEASURES
    every_view: ClassVar[bool] = False

    @property
    def outputs(self) -> int:
        """How many numbers a head gives per galaxy: a mean and a log standard deviation for each column."""
        return 2 * len(self.columns)

    @property
    def metric(self) -> str:
        """The score that learning curves show: that of the first number."""
        return "rmse" if len(self.columns) == 1 else f"rmse of {self.columns[0]}"

    @property
    def label_cols(self) -> tuple[str, ...]:
        """Columns that training reads: `number_0` … `number_M-1`."""
        return tuple(f"number_{i}" for i in range(len(self.columns)))

    def draw(self, galaxies: pd.DataFrame, labels: int, *, test_labels: int, seed: int, balance: bool = False):
        """Which galaxies train, validate and test (see `draw_any`), and the answer with their mean and spread."""
        if balance:
            raise ValueError("balance is about classes: numbers have none")
        drawn = draw_any(galaxies, labels, columns=self.label_cols, test_labels=test_labels, seed=seed)
        values = drawn.loc[drawn["split"] != "test", list(self.label_cols)].to_numpy(float)
        for name, label, numbers in zip(self.columns, self.label_cols, values.T, strict=True):
            known, tested = numbers[np.isfinite(numbers)], drawn.loc[drawn["split"] == "test", label].count()
            if len(known) < 3 or tested < 1:
                raise ValueError(
                    f"column {name!r} has too few numbers: {len(known)} to train and validate, {tested} to test; at "
                    "least 3 and 1 are needed"
                )
            if not known.std() > 0:
                raise ValueError(f"column {name!r} has only one value among the {len(known)} labels that were drawn")
        centre, scale = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
        return Numbers(self.columns, tuple(centre.tolist()), tuple(scale.tolist())), drawn

    def check_usable(self, rows: pd.DataFrame) -> None:
        """Raises ValueError if images of too few galaxies could be read."""
        check_splits(rows)

    def view(self, side: int) -> dict:
        """Arguments of `RandomView`: rotation, flips and a small shift, but no zoom, because a size must not change."""
        return {"zoom": 0.0}

    def first_guess(self, targets: np.ndarray) -> np.ndarray:
        """(2M,) the mean and the spread of the training galaxies, in units of the head's weights."""
        return np.zeros(self.outputs)

    def linear(self, x: np.ndarray, targets: np.ndarray, seed: int):
        """The `Linear` head of a frozen encoder, from (N, D) representations and (N, M) numbers, NaN where unknown.

        Each number is fitted alone. If the labels show that some galaxies are harder than others, every galaxy gets its
        own standard deviation. `left_out` is in the units of the numbers, the weights are in those of the head.
        """
        from morphtools.answers.linear import fit_normal, side_by_side
        from morphtools.answers.spread import fit_spread

        heads = []
        for name, number in zip(self.columns, ((targets - self.centre) / self.scale).T, strict=True):
            known = np.isfinite(number)
            truth = number[known, np.newaxis]
            head = fit_normal(x[known], truth, seed=seed)
            mean = head.left_out[:, :1]
            kernel, bias, log_sigma = fit_spread(x[known], mean - truth, seed=seed)
            kernel, bias = np.concatenate([head.kernel[:, :1], kernel], axis=1), np.append(head.bias[:1], bias)
            history = head.history if len(self.columns) == 1 else head.history.assign(question=name)
            head = dataclasses.replace(head, kernel=kernel, bias=bias, history=history)
            left_out = head(x)  # galaxies whose number is not known have been left out anyway
            left_out[known] = np.concatenate([mean, log_sigma], axis=1)
            heads.append(dataclasses.replace(head, left_out=left_out))
        both, order = side_by_side(x, heads), np.arange(self.outputs).reshape(-1, 2).T.ravel()  # means first
        mean, log_sigma = np.split(both.left_out[:, order], 2, axis=1)
        left_out = np.concatenate([mean * self.scale + self.centre, log_sigma + np.log(self.scale)], axis=1)
        return dataclasses.replace(both, kernel=both.kernel[:, order], bias=both.bias[order], left_out=left_out)

    def results(self, ids, outputs: np.ndarray, truth: np.ndarray, provenance: dict[str, str]) -> Estimates:
        """Estimates for (N,) galaxies from (N, 2M) outputs of the head; `truth` (N, M) may be NaN."""
        value, log_sigma = np.split(np.asarray(outputs, float), 2, axis=1)
        return Estimates(np.asarray(ids, object), value, np.exp(log_sigma), truth, self.columns, provenance)

    def draw_figures(
        self, folder: Path, results: Estimates, show: Callable | None, history: pd.DataFrame | None
    ) -> None:
        """Draws the pictures of a test (see `draw_number_figures`)."""
        from morphtools.answers.number_figures import draw_number_figures

        draw_number_figures(folder, results, show, history)

    def neighbours(self, targets: np.ndarray, near: np.ndarray) -> np.ndarray:
        """(M, 2M) outputs from mean and spread of the neighbours, rows of (N, M) numbers; of all if none is known."""
        filled_in, known = np.nan_to_num(targets[near]), np.isfinite(targets[near])
        n, usual = known.sum(axis=1), np.nanstd(targets, axis=0)
        mean = np.where(n > 0, filled_in.sum(axis=1) / np.maximum(n, 1), np.nanmean(targets, axis=0))
        squared = (known * (filled_in - mean[:, np.newaxis]) ** 2).sum(axis=1)
        spread = np.where(n > 1, np.sqrt(squared / np.maximum(n - 1, 1)), usual)
        return np.concatenate([mean, np.log(np.maximum(spread, 1e-3 * usual))], axis=1)

    def tables(self, ids, outputs: np.ndarray, level: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        """A readable table, and a full one with intervals and all answers, from (S, N, 2M) outputs of S models.

        The estimate of several models is the mean of their equal mixture, and its variance that of the mixture.
        """
        values, log_sigmas = np.split(np.asarray(outputs, float), 2, axis=2)
        sigmas, mean, half = np.exp(log_sigmas), values.mean(axis=0), norm.ppf((1 + level) / 2)
        sigma = np.sqrt((sigmas**2).mean(axis=0) + values.var(axis=0))
        full = {"id_str": np.array(ids, str)}
        for i, name in enumerate(self.columns):
            full |= {f"{name}_predicted": mean[:, i], f"{name}_sigma": sigma[:, i]}
        for i, name in enumerate(self.columns):
            full |= {f"{name}_low": mean[:, i] - half * sigma[:, i], f"{name}_high": mean[:, i] + half * sigma[:, i]}
            for s in range(len(outputs) if len(outputs) > 1 else 0):
                full |= {f"{name}_predicted_{s}": values[s, :, i], f"{name}_sigma_{s}": sigmas[s, :, i]}
        full = pd.DataFrame(full)
        return self.to_read(full), full

    def to_read(self, full: pd.DataFrame, questions: tuple[str, ...] = ()) -> pd.DataFrame:
        """The readable part of a full table: numbers to the third significant digit of their uncertainty."""
        table = {"id_str": full["id_str"]}
        for name in self.columns:
            value, sigma = (full[f"{name}{ending}"].to_numpy() for ending in ("_predicted", "_sigma"))
            table |= {f"{name}_predicted": to_error(value, sigma), f"{name}_sigma": significant(sigma)}
        return pd.DataFrame(table)

    def outputs_in(self, full: pd.DataFrame) -> np.ndarray:
        """(N, 2M) outputs, of the mixture of all models, in a full table."""
        value, sigma = (full[[f"{name}{end}" for name in self.columns]].to_numpy() for end in ("_predicted", "_sigma"))
        return np.concatenate([value, np.log(sigma)], axis=1)

    def described(self) -> dict:
        """Fields of a model card."""
        about = {name: list(getattr(self, name)) for name in ("columns", "centre", "scale")}
        return {"kind": self.kind, "answer": about, "classes": None, "redshifts": None, "schema": None}
