"""Imports TensorFlow without its messages about the machine."""

import contextlib
import os
import sys
import tempfile


@contextlib.contextmanager
def quietly():
    """Holds back standard error until TensorFlow is imported; shows it if something fails.

    TensorFlow writes to the file descriptor directly, before any of its settings could silence it.
    """
    if "tensorflow" in sys.modules:
        yield
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            aside.seek(0)
            os.write(shown, aside.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)
