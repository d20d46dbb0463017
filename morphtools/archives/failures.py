"""Which galaxies have no image, and why, in a file that survives its process."""

import json
from collections import Counter
from pathlib import Path

import pandas as pd

from tfrecords_builder.files import write_whole
from tfrecords_builder.naming import some


class Failures:
    """Galaxies without an image: noted in a file as they fail, so that they are not asked for again.

    Attributes:
        reasons: By the place of the galaxy: why, and whether that may pass.
    """

    def __init__(self, path: Path, ids: pd.Series):
        self.path, self._ids, self.reasons = path, list(ids), {}
        places = {id: place for place, id in enumerate(ids)}
        for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else ():
            try:
                id, reason = json.loads(line)
                self.reasons[places[id]] = (reason, False)
            except (ValueError, KeyError, TypeError):
                continue  # the last line of a call that was killed
        self._rewrite()

    def add(self, place: int, error: Exception) -> None:
        """Notes why a galaxy has no image; what may pass (an OSError) is not kept for the next call."""
        passing = isinstance(error, OSError)
        self.reasons[place] = (str(error), passing)
        if not passing:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps([self._ids[place], str(error)]) + "\n")

    def _rewrite(self) -> None:
        """The file in the order of the galaxies, whatever the order in which they failed."""
        lasting = [(place, reason) for place, (reason, passing) in sorted(self.reasons.items()) if not passing]
        write_whole(self.path, "".join(json.dumps([self._ids[place], reason]) + "\n" for place, reason in lasting))

    def table(self) -> pd.DataFrame:
        """Those that failed, in the order of the galaxies."""
        self._rewrite()
        places = sorted(self.reasons)
        columns = {"id_str": [self._ids[place] for place in places]}
        columns["reason"] = [self.reasons[place][0] for place in places]
        columns["tried_again"] = ["yes" if self.reasons[place][1] else "no" for place in places]
        return pd.DataFrame(columns)

    def summary(self) -> str:
        """How often what went wrong."""
        counts = Counter(reason for reason, _ in self.reasons.values())
        return some([f"{reason} ({number})" for reason, number in counts.most_common()])
