"""One process at a time in a folder: a lock that dies with its process, on network file systems too."""

import contextlib
import errno
import logging
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

if sys.platform == "win32":
    fcntl = None  # Windows: nobody is kept out
else:
    import fcntl

log = logging.getLogger(__name__)

_FILE = ".lock"
_held: dict[tuple[int, str], "Lock"] = {}  # POSIX locks belong to a process: it would not refuse itself a second one


class Lock:
    """The lock on a folder while it is held.

    Attributes:
        alone: Whether this process has the lock to itself.
    """

    def __init__(self, path: Path, file: int | None, alone: bool):
        self.path, self.alone, self._file = path, alone, file

    def share(self) -> None:
        """Admits other parts of the same work; from now on the lock is shared."""
        self.alone = False
        if self._file is not None:
            os.ftruncate(self._file, 0)
            fcntl.lockf(self._file, fcntl.LOCK_SH)

    def _release(self) -> None:
        if self._file is None:
            return
        with contextlib.suppress(OSError):  # others are still working, or the folder is gone
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.path.unlink()
        os.close(self._file)


@contextlib.contextmanager
def lock(folder: str | Path, *, part: bool = False, wait: bool = False, name: str = _FILE) -> Iterator[Lock]:
    """Holds the lock on a folder, which is created if necessary and removed again if it stays empty.

    It is a POSIX lock on the file `.lock`, which is removed at the end. Nobody is kept out of a read-only folder, or on
    a file system without locks, where a warning is logged.

    Args:
        folder: The folder to lock.
        part: For one of several processes that share the work. The first one has the lock to itself until it calls
            `share`; the others wait for that and then share the lock from the start.
        wait: Whether to wait for another process instead of raising.
        name: Name of the lock file, if a folder has several.

    Yields:
        The lock.

    Raises:
        BlockingIOError: Another process is using the folder; the message names it.
    """
    path = Path(folder).absolute() / name
    key = (os.getpid(), os.path.realpath(path))
    if key in _held:
        raise BlockingIOError(f"this process is already at work in {folder}: wait until it is done")
    made = not path.parent.exists()
    held = _acquire(path, part, wait)
    _held[key] = held
    try:
        yield held
    finally:
        del _held[key]
        held._release()
        if made:
            with contextlib.suppress(OSError):  # it is not empty
                path.parent.rmdir()


def _acquire(path: Path, part: bool, wait: bool) -> Lock:
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        except FileNotFoundError:
            continue  # another process removed the folder
        except FileExistsError:
            if path.parent.is_symlink() or path.parent.is_file():
                raise
            continue  # another process removed the folder between mkdir's two looks at it
        except OSError as error:
            log.debug("%s cannot be locked: %s", path.parent, error.strerror)
            return Lock(path, None, True)
        try:
            alone = _lock_file(file, path, part, wait)
            if os.path.samestat(os.fstat(file), path.stat()):
                if alone:
                    _sign(file)
                return Lock(path, file, alone)
        except FileNotFoundError:
            pass  # another process removed it when it was done
        except BlockingIOError:
            os.close(file)
            raise
        except OSError as error:
            os.close(file)
            log.warning("%s cannot be locked (%s): do not start a second process there", path.parent, error.strerror)
            return Lock(path, None, True)
        os.close(file)


def _lock_file(file: int, path: Path, part: bool, wait: bool) -> bool:
    """Locks an open file; returns whether for this process alone."""
    if fcntl is None:
        raise OSError(errno.ENOSYS, "this system has no POSIX locks")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            raise
    holder = os.pread(file, 200, 0).decode(errors="replace")
    if not (part or wait):
        who = f"another process ({holder})" if holder else "another process"
        raise BlockingIOError(f"{who} is at work in {path.parent}: wait until it is done, or choose another out")
    if holder:
        log.info("waiting for another process (%s), which is at work in %s", holder, path.parent)
    fcntl.lockf(file, fcntl.LOCK_SH if part else fcntl.LOCK_EX)
    return not part


def _sign(file: int) -> None:
    """Writes the owner into the lock file, for the message to other processes."""
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    with contextlib.suppress(OSError):  # a full disk
        os.ftruncate(file, 0)
        os.pwrite(file, f"PID {os.getpid()} on {socket.gethostname()}, since {since}".encode(), 0)
