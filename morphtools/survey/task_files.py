"""Reads your own tasks from YAML files with the fields of `Task`."""

import dataclasses
from pathlib import Path

from morphtools.survey.tasks import RedshiftTask, Task, get_task
from tfrecords_builder.naming import check_known, some
from tfrecords_builder.yaml_files import read_yaml

_NEEDED = ("name", "classes")


def open_task(name: str | Path) -> Task | RedshiftTask:
    """Returns a task by name or from a YAML file.

    The file has the fields of `Task`, of which `name`, `classes`, and either `columns` or `votes` are required:

        name: lenses
        question: Is it a lens?
        classes: [no lens, lens]
        columns: [lens, lens_fraction]
        above: 0.5
        below: 0.1

    Args:
        name: One of `TASKS`, `photoz`, or the path of a .yaml or .yml file.

    Raises:
        ValueError: There is no such task, or the file does not describe one.
        FileNotFoundError: The file does not exist.
    """
    path = Path(name).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        return get_task(str(name))
    if not path.is_file():
        raise FileNotFoundError(f"there is no task at {path}")
    try:
        return _task(_read(path))
    except ValueError as error:
        raise ValueError(f"{path} does not describe a task: {error}") from None


def _read(path: Path) -> dict:
    try:
        fields = read_yaml(path)
    except ValueError as error:
        raise ValueError(str(error).replace(str(path), "it", 1)) from None
    if not isinstance(fields, dict):
        raise ValueError("it must contain one 'field: value' per line")
    return fields


def _task(fields: dict) -> Task:
    known = [field.name for field in dataclasses.fields(Task)]
    for name in fields:
        check_known("field", name, known)
    missing = [name for name in _NEEDED if not fields.get(name)]
    if missing:
        raise ValueError(f"it needs {some(missing)}")
    votes = fields.get("votes") or {}
    if not isinstance(votes, dict):
        raise ValueError("votes must be answers by question, such as bar: [strong, weak]")
    task = Task(
        **{"question": "", "simulated": ""}
        | fields
        | {"name": str(fields["name"]), "classes": _names("classes", fields["classes"])}
        | {"columns": _names("columns", fields.get("columns") or [])}
        | {"votes": {str(question): _names("votes", answers) for question, answers in votes.items()}}
    )
    if len(task.classes) != 2 or task.classes[0] == task.classes[1]:
        raise ValueError(f"classes must be two different names, got {some(task.classes)}")
    for name in ("above", "below"):
        value = getattr(task, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise ValueError(f"{name} must be a fraction from 0 to 1, got {value!r}")
    if task.below > task.above:
        raise ValueError(f"below must not be above `above`, got {task.below} and {task.above}")
    if type(task.min_votes) is not int or task.min_votes < 0:
        raise ValueError(f"min_votes must be a whole number, at least 0, got {task.min_votes!r}")
    if not task.columns and not task.votes:
        raise ValueError("it needs columns or votes")
    return task


def _names(what: str, values) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, list | tuple):
        raise ValueError(f"{what} must be a list of names, got {values!r}")
    words = {True: "yes", False: "no"}  # as YAML reads them
    return tuple(words[value] if isinstance(value, bool) else str(value) for value in values)
