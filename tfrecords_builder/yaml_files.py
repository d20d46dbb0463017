"""Reads untrusted YAML files: plain values, or one sentence that explains the problem."""

from collections import Counter
from pathlib import Path

from tfrecords_builder.naming import some

_BYTES, _VALUES, _DEPTH = 2**20, 100_000, 100  # of a file of settings; aliases of aliases unfold to billions of values


def read_yaml(path: str | Path, *, words: bool = False):
    """Reads a YAML file: only dicts, lists, text, numbers, dates and None.

    Args:
        path: The file.
        words: Whether every value stays text as written (otherwise `no` becomes False).

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is not YAML, repeats a key, contains other objects, or is too large for a file of settings
            (also through aliases); the message names the file.
    """
    import yaml

    path = Path(path)
    if path.stat().st_size > _BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; a file of settings may have at most {_BYTES}")
    try:
        loader = (yaml.BaseLoader if words else yaml.SafeLoader)(path.read_text(encoding="utf-8-sig"))
        try:
            node = loader.get_single_node()
            _check(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError:
        raise ValueError(f"{path} is not YAML that can be read: it is nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())[:300]}") from None


def _check(node) -> None:
    """Raises ValueError for repeated keys or aliases that expand to too many values, RecursionError if too deep."""
    import yaml

    left, seen = [] if node is None else [(node, 1)], 0
    while left:
        (node, depth), seen = left.pop(), seen + 1
        if seen > _VALUES:
            raise ValueError(f"its aliases (*name) expand to more than {_VALUES} values")
        if depth > _DEPTH:
            raise RecursionError
        if isinstance(node, yaml.SequenceNode):
            left += [(each, depth + 1) for each in node.value]
        elif isinstance(node, yaml.MappingNode):
            keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<")
            twice = [key for key, number in keys.items() if number > 1]
            if twice:
                raise ValueError(f"below line {node.start_mark.line + 1}, {some(twice)} occurs more than once")
            left += [(part, depth + 1) for pair in node.value for part in pair]
