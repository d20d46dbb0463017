import errno
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfrecords_builder import locks
from tfrecords_builder.locks import lock

OTHER = """
import sys, time
from tfrecords_builder.locks import lock
with lock(sys.argv[1], part="part" in sys.argv, wait="wait" in sys.argv) as held:
    print("alone" if held.alone else "shared", flush=True)
    if "share" in sys.argv:
        held.share()
        print("shared", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def start():
    """Starts another process that takes a lock; the last one is stopped in the end."""
    processes = []

    def begin(*arguments):
        command = [sys.executable, "-c", OTHER, *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        processes.append(subprocess.Popen(command, **pipes, bufsize=0))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def says(process):
    line = b""
    while not line.endswith(b"\n"):
        assert select.select([process.stdout], [], [], 30)[0], "it waits for ever"
        line += process.stdout.read(1)
    return line.decode().strip()


def test_a_second_process_is_told_who_is_at_work_until_the_first_is_done(tmp_path, start):
    first = start(tmp_path / "out")
    assert says(first) == "alone"
    with pytest.raises(BlockingIOError, match=rf"another process \(PID {first.pid} on .*\) is at work in .*out: wait"):
        with lock(tmp_path / "out"):
            pass
    first.communicate()
    with lock(tmp_path / "out") as held:
        assert held.alone
    assert not list(tmp_path.glob("out/*"))


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path, start):
    first = start(tmp_path)
    says(first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert (tmp_path / ".lock").exists()
    with lock(tmp_path) as held:
        assert held.alone
    assert list(tmp_path.iterdir()) == []


def test_parts_work_side_by_side_once_the_first_shares_and_keep_a_whole_call_out(tmp_path, start):
    first = start(tmp_path, "part")
    assert says(first) == "alone"
    second = start(tmp_path, "part")
    time.sleep(0.5)
    assert second.poll() is None  # it waits
    first.communicate()
    assert says(second) == "alone"  # nobody has shared it, so this begins again
    second.kill()
    second.wait()
    sharing = start(tmp_path, "part", "share")
    assert [says(sharing), says(sharing)] == ["alone", "shared"]
    assert says(start(tmp_path, "part")) == "shared"
    with pytest.raises(BlockingIOError, match="another process is at work in"):
        with lock(tmp_path):
            pass


def test_one_that_waits_gets_the_lock_when_the_first_is_done(tmp_path, start):
    first = start(tmp_path)
    says(first)
    second = start(tmp_path, "wait")
    time.sleep(0.5)
    assert second.poll() is None
    first.communicate()
    assert says(second) == "alone"


def test_of_many_processes_that_start_together_never_two_are_at_work(tmp_path):
    code = """
import os, sys, time
from tfrecords_builder.locks import lock
for _ in range(20):
    try:
        with lock(sys.argv[1]):
            os.close(os.open(sys.argv[2], os.O_CREAT | os.O_EXCL))
            time.sleep(0.001)
            os.unlink(sys.argv[2])
    except BlockingIOError:
        pass
"""
    command = [sys.executable, "-c", code, str(tmp_path / "out"), str(tmp_path / "busy")]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(6)]
    assert [process.communicate()[1] for process in running] == [""] * 6


def test_a_folder_that_is_removed_while_it_is_made_is_made_again(tmp_path, monkeypatch):
    mkdir, calls = Path.mkdir, []

    def removed_meanwhile(path, *args, **kwargs):
        calls.append(path)
        if len(calls) == 1:
            raise FileExistsError(17, "File exists", str(path))  # as pathlib does when the folder goes away meanwhile
        mkdir(path, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", removed_meanwhile)
    with lock(tmp_path / "out") as held:
        assert held.alone
    assert len(calls) == 2


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("nowhere")], ids=["file", "dangling link"])
def test_what_is_not_a_folder_is_refused(tmp_path, make):
    make(tmp_path / "out")
    with pytest.raises(FileExistsError), lock(tmp_path / "out"):
        pass


def test_a_second_call_in_the_same_process_is_refused_too(tmp_path):
    with lock(tmp_path), pytest.raises(BlockingIOError, match="this process is already at work"):
        with lock(tmp_path / "x" / ".."):
            pass


def test_a_file_system_without_locks_keeps_no_process_out_and_warns(tmp_path, monkeypatch, caplog):
    def without(file, operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "lockf", without)
    with lock(tmp_path) as held:
        assert held.alone
        held.share()
    assert "cannot be locked (No locks available)" in caplog.text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_keeps_no_process_out(tmp_path):
    tmp_path.chmod(0o555)
    with lock(tmp_path) as held:
        assert held.alone
