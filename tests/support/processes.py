"""What runs where, and its violent end."""

import os
import signal
import time
from pathlib import Path


class Struck(Exception):  # noqa: N818  not an error of the package
    """What a test throws into a run to end it there."""


def processes_below(folder):
    """Commands that run in `folder` or below; what only waits to be reaped does not count."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            where = (entry / "cwd").readlink() if entry.name.isdigit() else None
            if where is not None and where.is_relative_to(folder):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [command for command in found if command]


def pids_with(words):
    """Ids of the processes whose command holds `words`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if entry.name.isdigit() and words in command:
            found.append(int(entry.name))
    return found


def wait_until(condition, process, seconds=240.0):
    """Wait for a condition while a process goes on."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def kill(process, words, seconds=10.0):
    """SIGKILL a process; its children, which hold `words` in their commands, have to end by themselves."""
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    end = time.monotonic() + seconds
    while pids_with(words):
        assert time.monotonic() < end, "the trainer outlived its parent"
        time.sleep(0.05)
