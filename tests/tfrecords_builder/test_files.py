import errno

import numpy as np
import pyarrow.parquet as pq
import pytest

from tfrecords_builder.files import read_arrays, write_arrays, write_whole


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


def test_damaged_arrays_are_named_and_never_other_numbers(tmp_path):
    arrays = {"mean": np.arange(5.0), "names": np.array(["a", "bc"]), "history": np.array("[1]")}
    path, rng = tmp_path / "a.npz", np.random.default_rng(0)
    write_arrays(path, **arrays)
    sound, refused = path.read_bytes(), 0
    cases = [sound[:n] for n in range(0, len(sound), 97)] + [bytes(len(sound))]
    for _ in range(500):
        flipped = bytearray(sound)
        flipped[rng.integers(len(sound))] ^= 1 << rng.integers(8)
        cases.append(bytes(flipped))
    for case in cases:
        path.write_bytes(case)
        try:
            read = read_arrays(path)
        except ValueError as error:
            assert str(error).startswith(f"{path} is damaged: ")
            refused += 1
            continue
        assert read.keys() == arrays.keys()
        assert all(np.array_equal(read[name], arrays[name]) for name in arrays)
    assert refused > len(cases) / 2
    with pytest.raises(FileNotFoundError):
        read_arrays(tmp_path / "b.npz")


def test_a_file_that_is_missing_while_another_is_written_stays_a_missing_file(tmp_path):
    def merge(path):
        pq.read_table(tmp_path / "part.parquet")  # pyarrow gives no errno

    with pytest.raises(FileNotFoundError, match=r"part\.parquet"):
        write_whole(tmp_path / "all.parquet", merge)


def test_an_error_without_a_number_keeps_its_words(tmp_path):
    def full(path):
        raise OSError("unable to write: no space left")  # as h5py has it

    with pytest.raises(OSError, match=r"cannot write: unable to write: no space left.*w\.h5"):
        write_whole(tmp_path / "w.h5", full)
    assert list(tmp_path.iterdir()) == []
