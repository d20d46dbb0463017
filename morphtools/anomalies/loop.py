"""Find the galaxies that interest you: rate a few dozen, and rank a survey by your interest."""

import copy
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.anomalies.acquisition import ACQUISITIONS, DIVERSITIES
from morphtools.anomalies.gaussian_process import KERNELS, Posterior
from morphtools.anomalies.rating_learner import fit_learner
from morphtools.anomalies.ratings import Ratings, at_least_one, check_rater
from morphtools.anomalies.session import open_session, standardized_components  # noqa: F401
from morphtools.inference.representations import Representations
from tfrecords_builder.naming import some, unknown

log = logging.getLogger(__name__)

_ROWS = 65536


class AnomalyLoop:
    """Asks for ratings of galaxies, learns from them what interests you, and scores every galaxy.

    A Gaussian process on the standardised principal components of the representations predicts ratings. Each batch
    holds the galaxies with the highest expected improvement; the first, before any rating, is spread over all
    galaxies. To start from known examples, `rate` them before asking for suggestions.

    A session is the folder `out`: `ratings.sqlite` has every rating before `rate` returns, `candidates.npy` the
    components, `session.json` what they were made of. Opened again, it continues where it stopped; suggestions
    follow from the representations, the ratings and the arguments alone. Several raters may use one session at a time.

    Args:
        representations: Representations of all candidates, or their folder.
        out: Folder of the session.
        kernel: `rational_quadratic` or `matern`, both with white noise; `walmsley2022` and `mohale2023` are those of
            the papers, which find fewer anomalies.
        acquisition: `expected_improvement`, `upper_bound` (mean + 2 deviations) or `mean`.
        tradeoff: ε of the expected improvement, in ratings.
        diversity: How the galaxies of a batch are kept different: `none`, `believer` (each is chosen as if those before
            had been rated as predicted) or `liar` (as if they had been rated lowest).
        start: The first batch: `random`, `spacing`, galaxies at equal steps along the first principal component, or
            `outliers`, those that an isolation forest finds least like the others.
        components: Number of principal components.
        rater: Name of the person who rates.
        own: Whether only the ratings of this person count; otherwise those of all raters do, averaged.
        seed: Seed of the random start and the forest.

    Raises:
        FileExistsError: The session belongs to other representations, or was made with another number of components.
        ValueError: A file of the session is damaged.

    Reference:
        Walmsley et al. 2022, arXiv:2110.12735, section 3; Mohale & Lochner 2023, arXiv:2311.14157, section 7.1.
    """

    def __init__(
        self,
        representations: str | Path | Representations,
        out: str | Path,
        *,
        kernel: str = "rational_quadratic",
        acquisition: str = "expected_improvement",
        tradeoff: float = 0.5,
        diversity: str = "none",
        start: str = "random",
        components: int = 40,
        rater: str = "me",
        own: bool = False,
        seed: int = 0,
    ):
        choices = (
            ("kernel", kernel, KERNELS),
            ("acquisition", acquisition, ACQUISITIONS),
            ("diversity", diversity, DIVERSITIES),
            ("start", start, STARTS),
        )
        for kind, name, known in choices:
            if name not in known:
                raise ValueError(unknown(kind, name, known))
        check_rater(rater)
        self.out, self.rater, self.own = Path(out), rater, own
        self._kernel, self._start, self._seed = kernel, start, seed
        self._acquisition = {"acquisition": acquisition, "tradeoff": tradeoff, "diversity": diversity}
        store = Representations.open(representations)
        self._names = pd.Index(store.id_str, dtype=object)  # as text, pandas would convert all of them at every look-up
        if not self._names.is_unique:
            twice = some(self._names[self._names.duplicated()].unique())
            raise ValueError(f"galaxies that are twice in {store.folder}: {twice}")
        self._candidates = open_session(self.out, store, components)
        self._store = Ratings(self.out / "ratings.sqlite")

    def suggest(self, n: int = 10) -> list[str]:
        """The next galaxies to rate: the rest of an unfinished batch, otherwise the n most promising.

        Args:
            n: Number of galaxies, if a new batch is started.

        Returns:
            Names, the most promising first; never one that was rated or skipped; none if all were.

        Raises:
            ValueError: n is not a whole number, or below 1.
        """
        n = at_least_one(n, "the number of galaxies to rate")
        begun = self.asked()
        if begun:
            return begun
        seen, ratings = self._seen()
        if np.isfinite(ratings).any():
            chosen, _ = self._learner().query(self._candidates, n, asked=seen, **self._acquisition)
        else:
            free = np.flatnonzero(~np.isin(np.arange(len(self._names)), seen))
            chosen = STARTS[self._start](self._candidates, free, min(n, len(free)), self._seed)
        names = [str(name) for name in self._names[chosen]]
        self._store.ask(names, self.rater)
        return names

    def extend(self, n: int = 10, *, learn: bool = True) -> list[str]:
        """Adds galaxies to the batch that was begun, so that nobody has to wait at its end.

        Args:
            n: How many more.
            learn: Whether they are those that promise most by the ratings so far, as in `suggest`; otherwise they are
                drawn at random, at once.

        Returns:
            The new ones.
        """
        n = at_least_one(n, "the number of galaxies to rate")
        seen, ratings = self._seen()
        taken = np.concatenate([seen, self.rows(self.asked())])
        if learn and np.isfinite(ratings).any():
            chosen, _ = self._learner().query(self._candidates, n, asked=taken, **self._acquisition)
        else:
            chosen = _drawn(len(self._names), taken, n, self._seed + len(taken))
        names = [str(name) for name in self._names[chosen]]
        self._store.ask_more(names, self.rater)
        return names

    def of(self, rater: str) -> "AnomalyLoop":
        """The same session as another rater has it.

        Args:
            rater: Who rates.

        Returns:
            Another loop on the same files.

        Raises:
            ValueError: The name is empty.
        """
        check_rater(rater)
        other = copy.copy(self)
        other.rater = rater
        return other

    def rate(self, ratings: Mapping[str, float | None], judgement: str | None = None) -> None:
        """Stores ratings; they are on disk when this returns.

        Args:
            ratings: From 0 (dull) to 5 (what you are looking for) by `id_str`; None skips a galaxy for good.
            judgement: A name for a single rating, under which it counts once however often it is stored.

        Raises:
            ValueError: There is no such galaxy, or a rating outside 0–5: then none is stored.
            FileExistsError: Another rating has the name.
        """
        self._check(ratings if isinstance(ratings, Mapping) else ())
        self._store.add(ratings, self.rater, judgement)

    def undo(self, n: int = 1) -> list[str]:
        """Takes back your last ratings; they stay in the history.

        Args:
            n: Number of ratings.

        Returns:
            Names of the galaxies, the last one first.
        """
        return self._store.undo(n, self.rater)

    def take_back(self, judgement: str) -> str | None:
        """Takes back one of your ratings by its name in `last`, and asks for the galaxy again.

        Args:
            judgement: The name.

        Returns:
            The galaxy; None if that rating was taken back before.

        Raises:
            LookupError: You have given none of that name.
        """
        name = self._store.take_back(judgement, self.rater)
        if name is not None:
            begun = self.asked()
            self._store.ask([name, *(each for each in begun if each != name)], self.rater)
        return name

    def last(self, n: int = 50) -> list[tuple[str, str, float | None]]:
        """Your last ratings that stand.

        Args:
            n: How many.

        Returns:
            Name, galaxy and rating (None if skipped) of each, the last one first.
        """
        return self._store.last(n, self.rater)

    def tally(self) -> tuple[list[float | None], dict[str, int]]:
        """The mean rating of every galaxy seen, None where it was skipped; and how many galaxies each rater rated."""
        return self._store.tally()

    def contested(self) -> list[tuple[str, dict[str, float]]]:
        """Galaxies that raters disagree about by 2 or more, the most first, and who rated them how.

        A rating by the rater `(agreed)` settles one: it counts alone.
        """
        return self._store.contested()

    def asked(self) -> list[str]:
        """The galaxies that you are asked about and nobody has rated yet; with `own`, that you have not."""
        return self._store.asked(self.rater, self._whose)

    def ratings(self) -> pd.DataFrame:
        """Every galaxy seen so far: `id_str`, `rating` (mean of the raters that count, NaN if skipped), `raters`."""
        return self._store.current(self._whose)

    def history(self) -> pd.DataFrame:
        """Every rating ever given: `id_str`, `rating`, `rater`, `time` (UTC) and when it was `undone`, if it was."""
        return self._store.history()

    def merge(self, other: str | Path) -> int:
        """Adds the ratings of another session about these galaxies, whatever its representations.

        Args:
            other: Folder of that session.

        Returns:
            How many are new.

        Raises:
            FileNotFoundError: The folder has no session.
            ValueError: It rates galaxies that have no representation here.
        """
        path = Path(other) / "ratings.sqlite"
        if not path.is_file():
            raise FileNotFoundError(f"there is no session at {other} (no ratings.sqlite)")
        theirs = Ratings(path)
        self._check(theirs.history()["id_str"])
        return self._store.merge(theirs)

    def scores(self) -> pd.DataFrame:
        """Every galaxy, the most interesting first.

        Returns:
            `id_str`; `score`, the expected rating; `uncertainty`, its standard deviation; `rating` and
            `raters`, NaN and 0 where there are none.

        Raises:
            ValueError: There are no ratings yet.
        """
        if not np.isfinite(self._seen()[1]).any():
            raise ValueError(f"there are no ratings in {self.out} yet, so no scores")
        score, uncertainty = self.expected()
        rating, raters = np.full(len(score), np.nan), np.zeros(len(score), int)
        current = self._store.current(self._whose)
        rows = self.rows(current["id_str"])
        rating[rows], raters[rows] = current["rating"], current["raters"]
        columns = {"score": score, "uncertainty": uncertainty, "rating": rating, "raters": raters}
        table = pd.DataFrame({"id_str": self._names} | columns)
        return table.sort_values("score", ascending=False, kind="stable", ignore_index=True)

    def expected(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) the rating that is expected of every galaxy, in the order of the store, and its standard deviation."""
        return Posterior(self._learner().estimator).predict(self._candidates)

    def rows(self, ids: Sequence[str]) -> np.ndarray:
        """The rows of galaxies in the order of the store.

        Args:
            ids: (n,) names.

        Returns:
            (n,) rows, −1 for those that are not there.
        """
        return self._names.get_indexer(pd.Index(list(ids), dtype=object))

    @property
    def _whose(self) -> str:
        """The rater whose ratings count; empty for all."""
        return self.rater if self.own else ""

    def _seen(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the galaxies that were rated or skipped, and their ratings, NaN where skipped."""
        current = self._store.current(self._whose)
        return self.rows(current["id_str"]), current["rating"].to_numpy()

    def _learner(self):
        rows, ratings = self._seen()
        rated = np.isfinite(ratings)
        return fit_learner(self._candidates[rows[rated]], ratings[rated], self._kernel)

    def _check(self, names) -> None:
        names = pd.Index(list(names), dtype=object)
        strangers = names[self.rows(names) < 0].unique()
        if len(strangers):
            raise ValueError(f"galaxies without representations in this session: {some(strangers)}")


def _drawn(total: int, taken: np.ndarray, n: int, seed: int) -> np.ndarray:
    """At most n rows at random that are not taken, in a time that does not depend on how many there are."""
    drawn = np.random.default_rng(seed).choice(total, min(n + len(taken), total), replace=False)
    return drawn[~np.isin(drawn, taken)][:n]


def _random(candidates, free, n, seed):
    return np.random.default_rng(seed).choice(free, n, replace=False)


def _spacing(candidates, free, n, seed):
    along = free[np.argsort(candidates[free, 0], kind="stable")]
    return along[np.linspace(0, len(along) - 1, n).round().astype(int)]


def _outliers(candidates, free, n, seed):
    from sklearn.ensemble import IsolationForest

    drawn = np.sort(np.random.default_rng(seed).permutation(free)[:_ROWS])
    forest = IsolationForest(random_state=seed).fit(candidates[drawn])
    scores = [forest.score_samples(candidates[free[i : i + _ROWS]]) for i in range(0, len(free), _ROWS)]
    return free[np.argsort(np.concatenate(scores), kind="stable")[:n]]


STARTS = {"random": _random, "spacing": _spacing, "outliers": _outliers}
