import pytest

from morphtools.survey.task_files import open_task
from morphtools.survey.tasks import get_task


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_a_name_is_that_of_a_known_task():
    assert open_task("bars") is get_task("bars")


def test_a_file_has_the_fields_of_a_task(tmp_path):
    text = "name: lenses\nclasses: [no lens, lens]\ncolumns: [lens, lens_fraction]\nvotes: {bar: [yes]}\nabove: 0.5\n"
    task = open_task(written(tmp_path, text))
    assert (task.name, task.classes, task.columns) == ("lenses", ("no lens", "lens"), ("lens", "lens_fraction"))
    assert (task.votes, task.above, task.below) == ({"bar": ("yes",)}, 0.5, 0.2)  # YAML takes a bare yes for true
    with pytest.raises(ValueError, match="the simulated sky has no task 'lenses': give a catalog"):
        _ = task.sky


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x", "it needs classes"),
        ("- a", "it must contain one 'field: value' per line"),
        ("name: [", "it is not YAML"),
        ("name: x\nclasses: [a, b]", "it needs columns or votes"),
        ("name: x\nclasses: [a, b, c]\ncolumns: [a]", "classes must be two different names, got a, b, c"),
        ("name: x\nclasses: a\ncolumns: [a]", "classes must be a list of names, got 'a'"),
        ("name: x\nclasses: [a, b]\ncolumns: [a]\nabove: 2", "above must be a fraction from 0 to 1, got 2"),
        ("name: x\nclasses: [a, b]\ncolumns: [a]\nabove: 0.1", "below must not be above `above`, got 0.2 and 0.1"),
        ("name: x\nclasses: [a, b]\ncolumns: [a]\nmin_votes: few", "min_votes must be a whole number"),
        (
            "name: x\nclasses: [a, b]\ncolumn: [a]",
            "unknown field 'column'; known fields: above, below",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_reported_with_its_name(tmp_path, text, message):
    with pytest.raises(ValueError, match=rf"mine\.yaml does not describe a task: {message}"):
        open_task(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no task at .*mine\.yaml"):
        open_task(tmp_path / "mine.yaml")
