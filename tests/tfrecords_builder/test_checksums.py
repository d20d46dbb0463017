import os

import pyarrow as pa
import pytest

from tfrecords_builder.checksums import check_file, file_checksum, reading


def test_the_checksum_is_crc_32c(tmp_path):
    """The check values of the RFC 3720 (appendix B.4) and of the catalogue of CRC algorithms."""
    for content, checksum in ((b"123456789", "e3069283"), (bytes(32), "8a9136aa"), (b"\xff" * 32, "62a8ab43")):
        path = tmp_path / checksum
        path.write_bytes(content)
        assert file_checksum(path) == checksum


def test_a_flipped_bit_is_seen_even_where_size_stays(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(bytes(2**22 + 5))  # more than is read at once
    checksum = file_checksum(path)
    assert check_file(path, checksum) == path and check_file(path, None) == path
    with path.open("r+b") as file:
        file.seek(2**22 + 2)
        file.write(b"\x01")
    os.utime(path, ns=(1, 1))
    with pytest.raises(ValueError, match=rf"{path} is damaged"):
        check_file(path, checksum)


@pytest.mark.parametrize("error", [pa.ArrowInvalid("two\nlines"), OSError("disk"), KeyError("column"), EOFError()])
def test_whatever_a_reader_raises_is_one_sentence_that_names_the_file(tmp_path, error):
    with pytest.raises(ValueError, match=rf"{tmp_path} is damaged: ") as caught, reading(tmp_path):
        raise error
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_sentences_that_name_it_already_stay_what_they_are(tmp_path):
    for error in (FileNotFoundError("x"), PermissionError("x"), ValueError(f"{tmp_path} is too old")):
        with pytest.raises(type(error)) as caught, reading(tmp_path):
            raise error
        assert caught.value is error
