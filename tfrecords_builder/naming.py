"""Parts of error messages: what was wrong, what is allowed and what was probably meant."""

import difflib
import re


def unknown(kind: str, name: str, known) -> str:
    """A message that `name` is an unknown `kind`, with the known ones and a suggestion.

    >>> unknown("task", "ring", ["bars", "rings"])
    "unknown task 'ring'; known tasks: bars, rings (did you mean 'rings'?)"
    """
    known = sorted(str(k) for k in known)
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    noun, *rest = re.split(r"( (?:of|for|in|to) .*)", kind, maxsplit=1)  # sets of cuts
    y = noun.endswith("y") and noun[-2] not in "aeiou"  # queries, but surveys
    plural = (f"{noun[:-1]}ies" if y else f"{noun}es" if noun.endswith("ch") else f"{noun}s") + "".join(rest)
    return f"unknown {kind} {name!r}; known {plural}: {', '.join(known)}{hint}"


def check_known(kind: str, name, known) -> None:
    """Raises ValueError, with the known ones and a suggestion, if `name` is an unknown `kind`."""
    if name not in known:
        raise ValueError(unknown(kind, str(name), known))


def some(items, n: int = 3) -> str:
    """The first `n` of `items`, and how many more there are.

    >>> some(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    items = [str(i) for i in items]
    more = f" and {len(items) - n} more" if len(items) > n else ""
    return ", ".join(items[:n]) + more


def band_names(bands) -> list[str] | None:
    """The names of bands as a list, given as text or a list.

    >>> band_names("g, r,z")
    ['g', 'r', 'z']
    """
    names = bands.split(",") if bands and isinstance(bands, str) else bands
    return [str(name).strip() for name in names] if names else None
