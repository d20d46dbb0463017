import errno

import pytest

from tfrecords_builder.files import write_whole


def test_text_bytes_and_writers_appear_under_the_name(tmp_path):
    write_whole(tmp_path / "a.txt", "één")
    write_whole(tmp_path / "b.bin", b"\x00\x01")
    write_whole(tmp_path / "c.txt", lambda path: path.write_text("by itself"))
    assert (tmp_path / "a.txt").read_text() == "één"
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\x01"
    assert (tmp_path / "c.txt").read_text() == "by itself"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "a.txt").write_text("old")

    def half(path):
        path.write_text("ne")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_whole(tmp_path / "a.txt", half)
    assert [p.read_text() for p in tmp_path.iterdir()] == ["old"]


def test_a_full_disk_names_the_file(tmp_path):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"cannot write: No space left on device: .*a\.txt"):
        write_whole(tmp_path / "a.txt", full)
    with pytest.raises(OSError, match=r"cannot write: .*nowhere"):
        write_whole(tmp_path / "nowhere" / "a.txt", "text")
