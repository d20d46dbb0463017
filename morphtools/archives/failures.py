"""Lists galaxies without an image, and why, in a file that survives its process."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd

from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import some


class Failures:
    """Galaxies without an image: recorded as they fail, so that they are not requested again.

    Attributes:
        reasons: By the number of the galaxy: the reason, and whether it may be temporary.
        before: The same for those to be tried again, from the last completed call.
    """

    def __init__(self, path: Path, ids: pd.Series):
        self.path, self._ids, self.reasons, self.before = path, list(ids), {}, {}
        places = {id: place for place, id in enumerate(ids)}
        for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else ():
            try:
                id, reason, *passing = json.loads(line)
                (self.before if passing else self.reasons)[places[id]] = (reason, bool(passing))
            except (ValueError, KeyError, TypeError):
                continue  # the last line of a call that was killed
        self._rewrite(self.before | self.reasons)

    def add(self, place: int, error: Exception) -> None:
        """Records why a galaxy has no image; temporary reasons (OSError) are kept only by a completed call."""
        passing = isinstance(error, OSError)
        self.reasons[place] = (str(error), passing)
        if not passing:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([self._ids[place], str(error)]) + "\n")

    def _rewrite(self, reasons: dict) -> None:
        """Rewrites the file in the order of the galaxies."""
        lines = [[self._ids[place], why] + [True] * passing for place, (why, passing) in sorted(reasons.items())]
        write_whole(self.path, "".join(json.dumps(line) + "\n" for line in lines))

    def table(self) -> pd.DataFrame:
        """The galaxies that failed, in order."""
        self._rewrite(self.reasons)
        places = sorted(self.reasons)
        columns = {"id_str": [self._ids[place] for place in places]}
        columns["reason"] = [self.reasons[place][0] for place in places]
        columns["tried_again"] = ["yes" if self.reasons[place][1] else "no" for place in places]
        return pd.DataFrame(columns)

    def summary(self) -> str:
        """The reasons, with how often each occurred."""
        counts = Counter(reason for reason, _ in self.reasons.values())
        return some([f"{reason} ({number})" for reason, number in counts.most_common()])
