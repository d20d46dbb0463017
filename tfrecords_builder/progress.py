"""Progress bars of long calls, on a terminal or in a notebook."""

import sys
import warnings

from tqdm import tqdm

# Packages we use ask for widgets when imported in a notebook; our progress bars are plain text.
warnings.filterwarnings("ignore", "IProgress not found")


def progress_bar(*args, **options) -> tqdm:
    """`tqdm` in a terminal or below the cell of a notebook; nothing where the output goes to a file or a pipe.

    A nested bar is removed when it is done. Notebooks show only the outermost bar, because they cannot move the cursor
    up.

    Args:
        args: As for `tqdm`.
        options: As for `tqdm`.
    """
    if "ipykernel" in sys.modules:
        inside = bool(getattr(tqdm, "_instances", ()))  # the bars that are open
        options = {"mininterval": 1.0, **options}
        return tqdm(*args, file=sys.stdout, disable=inside, **options)  # standard error looks like an error there
    return tqdm(*args, disable=None, **{"leave": None, **options})
