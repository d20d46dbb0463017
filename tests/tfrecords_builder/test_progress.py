import re
import sys

from tfrecords_builder.progress import progress_bar


def count(**options):
    for _ in progress_bar(range(3), "outer", mininterval=0, **options):
        list(progress_bar(range(2), "inner", mininterval=0))


def test_nothing_is_written_to_files_and_pipes(capsys):
    count()
    assert capsys.readouterr() == ("", "")


def test_a_notebook_shows_the_outermost_bar_as_output_without_moving_the_cursor(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    count()
    count()  # a bar that is done does not hide the next
    said, wrong = capsys.readouterr()
    assert wrong == "" and len(re.findall(r"outer: 100%[^\r]*\n", said)) == 2
    assert "inner" not in said and "\x1b" not in said
