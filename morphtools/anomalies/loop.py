"""Find the galaxies that interest you: rate a few dozen, and rank a survey by your interest."""

import copy
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from morphtools.anomalies.acquisition import ACQUISITIONS, DIVERSITIES
from morphtools.anomalies.first_batches import STARTS, drawn
from morphtools.anomalies.gaussian_process import KERNELS, Posterior
from morphtools.anomalies.rating_learner import fit_learner
from morphtools.anomalies.ratings import Ratings, at_least_one, check_rater
from morphtools.anomalies.scoring import ranked_galaxies
from morphtools.anomalies.session import Names, open_session
from morphtools.anomalies.similar_raters import OtherRaters
from morphtools.explore.tables import left_out
from morphtools.inference.representations import Representations
from tfrecords_builder.naming import check_known, some

log = logging.getLogger(__name__)


class AnomalyLoop:
    """Asks you to rate galaxies, learns from the ratings what interests you, and scores every galaxy.

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
        similar: As `own`, but starting from what others of this session would like: the first batch shows the
            favourites of each; after ten ratings those count, by weights in `like`, whose taste predicts one's own.
        exclude: Table with the `id_str` of galaxies to leave out, such as `artifacts.csv`: never asked about or ranked.
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
        similar: bool = False,
        exclude: str | Path | pd.DataFrame | None = None,
        seed: int = 0,
    ):
        choices = (
            ("kernel", kernel, KERNELS),
            ("acquisition", acquisition, ACQUISITIONS),
            ("diversity", diversity, DIVERSITIES),
            ("start", start, STARTS),
        )
        for kind, name, known in choices:
            check_known(kind, name, known)
        check_rater(rater)
        self.out, self.rater, self.own, self.similar = Path(out), rater, own or similar, similar
        self.like: dict[str, float] | None = None
        self._kernel, self._start, self._seed = kernel, start, seed
        self._acquisition = {"acquisition": acquisition, "tradeoff": tradeoff, "diversity": diversity}
        store = Representations.open(representations)
        self._names, self._excluded = Names(store), left_out(store, exclude)
        self._candidates = open_session(self.out, store, components)
        self._store = Ratings(self.out / "ratings.sqlite")
        self._others = OtherRaters(self._candidates, kernel)

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
        taken = np.concatenate([self._seen()[0], self._excluded])
        chosen = self._chosen(n, taken)
        if chosen is None:
            taken = np.unique(taken)
            free = len(self._candidates) - len(taken)
            chosen = STARTS[self._start](self._candidates, taken, min(n, free), self._seed)
        names = self._names.of(chosen)
        self._store.ask(names, self.rater)
        return names

    def extend(self, n: int = 10, *, learn: bool = True) -> list[str]:
        """Adds galaxies to the current batch, so that nobody has to wait at its end.

        Args:
            n: How many more.
            learn: Whether they are those that promise most by the ratings so far, as in `suggest`; otherwise they are
                drawn at random, at once.

        Returns:
            The new ones.
        """
        n = at_least_one(n, "the number of galaxies to rate")
        taken = np.concatenate([self._seen()[0], self._excluded, self.rows(self.asked())])
        chosen = self._chosen(n, taken) if learn else None
        if chosen is None:
            chosen = drawn(len(self._candidates), taken, n, self._seed + len(taken))
        names = self._names.of(chosen)
        self._store.ask_more(names, self.rater)
        return names

    def of(self, rater: str, *, own: bool | None = None, similar: bool | None = None) -> "AnomalyLoop":
        """The same session for another rater.

        Args:
            rater: Who rates.
            own: As for the session; by default the same.
            similar: Likewise.

        Raises:
            ValueError: The name is empty.
        """
        check_rater(rater)
        other = copy.copy(self)
        other.similar = self.similar if similar is None else similar
        other.rater, other.own, other.like = rater, other.similar or (self.own if own is None else own), None
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
        """Undoes your last ratings; they stay in the history.

        Args:
            n: Number of ratings.

        Returns:
            Names of the galaxies, the last one first.
        """
        return self._store.undo(n, self.rater)

    def take_back(self, judgement: str) -> str | None:
        """Undoes one of your ratings by its name in `last`, and asks for the galaxy again.

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
        """Your last ratings that were not undone.

        Args:
            n: How many.

        Returns:
            Name, galaxy and rating (None if skipped) of each, the last one first.
        """
        return self._store.last(n, self.rater)

    def tally(self) -> tuple[list[float | None], dict[str, int]]:
        """The mean rating of every galaxy seen, None where it was skipped; and how many galaxies each rater rated."""
        return self._store.tally(self._whose)

    def contested(self) -> list[tuple[str, dict[str, float]]]:
        """Galaxies whose ratings differ by 2 or more, the most contested first, and who gave which rating.

        A rating by the rater `(agreed)` settles one: it counts alone.
        """
        return self._store.contested()

    def asked(self) -> list[str]:
        """The galaxies of your current batch that nobody (with `own`: you) has rated yet."""
        names = self._store.asked(self.rater, self._whose)
        kept = ~np.isin(self.rows(names), self._excluded)
        return [name for name, keep in zip(names, kept, strict=True) if keep]

    def ratings(self) -> pd.DataFrame:
        """Every galaxy seen so far: `id_str`, `rating` (mean of the raters that count, NaN if skipped), `raters`."""
        return self._store.current(self._whose)

    def history(self) -> pd.DataFrame:
        """Every rating ever given: `id_str`, `rating`, `rater`, `time` (UTC) and when it was `undone`, if it was."""
        return self._store.history()

    def merge(self, other: str | Path) -> int:
        """Adds the ratings of another session of these galaxies, which may have other representations.

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
        return pd.concat(self.ranked(), ignore_index=True)

    def ranked(self) -> Iterator[pd.DataFrame]:
        """As `scores`, a table after the other, for more galaxies than memory holds.

        Raises:
            ValueError: There are no ratings yet.
        """
        current = self._store.current(self._whose)
        if not current["rating"].notna().any():
            raise ValueError(f"there are no ratings in {self.out} yet, so no scores")
        before = self._from_others()
        posterior = Posterior(self._learner(before).estimator, before)
        rated = current.assign(row=self.rows(current["id_str"]))
        yield from ranked_galaxies(posterior, self._candidates, self._names, rated, self._excluded, self.out)

    def expected(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) the expected rating of every galaxy, in the order of the store, and its standard deviation."""
        start = self._from_others()
        return Posterior(self._learner(start).estimator, start).predict(self._candidates)

    def rows(self, ids: Iterable[str]) -> np.ndarray:
        """The rows of galaxies in the order of the store.

        Args:
            ids: (n,) names.

        Returns:
            (n,) rows, −1 for those that are not there.
        """
        return self._names.rows(ids)

    @property
    def _whose(self) -> str:
        """The rater whose ratings count; empty for all."""
        return self.rater if self.own else ""

    def _seen(self, rater: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the galaxies that were rated or skipped, and their ratings, NaN where skipped."""
        current = self._store.current(self._whose if rater is None else rater)
        return self.rows(current["id_str"]), current["rating"].to_numpy()

    def _chosen(self, n: int, taken: np.ndarray) -> np.ndarray | None:
        """Rows of the n galaxies that promise most and are not taken; None while nothing tells."""
        if not len(self._rated()[0]):
            return self._others.favourites(self._rated_by_others(), taken, n)
        start = self._from_others()
        return self._learner(start).query(self._candidates, n, asked=taken, start=start, **self._acquisition)[0]

    def _learner(self, start: np.ndarray | None = None):
        rows, ratings = self._rated()
        before = 0.0 if start is None else start[rows]
        return fit_learner(self._candidates[rows], ratings, self._kernel, before)

    def _rated(self, rater: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the galaxies that were rated, by a rater or by those that count, and their ratings."""
        rows, ratings = self._seen(rater)
        return rows[np.isfinite(ratings)], ratings[np.isfinite(ratings)]

    def _from_others(self) -> np.ndarray | None:
        """(N,) the ratings from which the search starts; None without raters of similar taste."""
        like, start = self._others.start(self._rated_by_others(), *self._rated())
        if like is not None and (self.like is None or like.keys() != self.like.keys()):
            names = ", ".join(f"{name} ({weight:.2f})" for name, weight in like.items())
            log.info("%s", f"starting from what {names} would like" if like else "nobody else has a taste like yours")
        self.like = like
        return start

    def _rated_by_others(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        names = sorted(self._store.tally()[1]) if self.similar else []
        return {name: self._rated(name) for name in names if name != self.rater}

    def _check(self, names: Iterable) -> None:
        names = list(dict.fromkeys(names))
        strangers = [name for name, row in zip(names, self.rows(names), strict=True) if row < 0]
        if strangers:
            raise ValueError(f"galaxies without representations in this session: {some(strangers)}")
