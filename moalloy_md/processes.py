"""Child processes that never outlive us.

LAMMPS and the trainer run for hours. Each is started in a process group of its own, so that
everything that it starts in turn can be ended with it, and asks the kernel to be ended when its
parent dies, so that even ``kill -9`` on the parent leaves nothing behind.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_GRACE_S = 5.0


def _die_with_parent() -> Callable[[], None] | None:
    """Return a function for the forked child to run before ``exec``; None where not offered."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None, use_errno=True)  # loaded before the fork: the child must not
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # the parent died between the fork and the request
            os._exit(1)

    return ask


def die_with(parent: int) -> None:
    """Ask the kernel to end this process when its parent does; for the start of a child.

    Parameters
    ----------
    parent
        Process id of the parent, which may be dead already.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdout: IO[str] | int | None = None,
    stderr: IO[str] | int | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Start `command` and yield its process; on leaving, nothing of its group is left running.

    Parameters
    ----------
    command
        The program and its arguments. No shell is involved.
    cwd
        Folder in which it starts.
    env
        Its whole environment; ours where None.
    stdout, stderr
        As in `subprocess.Popen`; text mode.
    """
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=cwd,
        env=None if env is None else dict(env),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        start_new_session=True,
        preexec_fn=_die_with_parent(),  # noqa: PLW1509  prctl only: async-signal-safe
    )
    try:
        yield process
    finally:
        end_group(process)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def set_openmp(env: dict[str, str], *, threads: int | None = None) -> None:
    """Say in an environment how many OpenMP threads a child takes, and how they wait.

    libgomp's threads wait by spinning without end. Where another program keeps a core busy, two of
    them can land on one core and wait for each other: MD of 128 atoms took 1 to 2.5 s a step
    instead of 0.05 s. So they spin for some microseconds and then sleep; sleeping at once
    (``OMP_WAIT_POLICY=PASSIVE``) took twice as long on an idle machine.

    Parameters
    ----------
    env
        Changed in place; what the user has set about waiting stays.
    threads
        Number of threads; what is set already, or all cores, where None.
    """
    if threads is not None:
        env["OMP_NUM_THREADS"] = str(threads)
    if "OMP_WAIT_POLICY" not in env:
        env.setdefault("GOMP_SPINCOUNT", "10000")


def end_group(process: subprocess.Popen[str]) -> None:
    """End the process group of `process`: politely first, then for certain."""
    for sig in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sig)
        except (ProcessLookupError, PermissionError):
            break  # nobody is left in the group
        try:
            process.wait(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            continue
        if not _group_alive(process.pid):
            break
    process.wait()


def _group_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def exit_on_sigterm() -> None:
    """Turn SIGTERM into `SystemExit`, so that ``finally`` blocks run when a scheduler ends us."""

    def leave(signum: int, _frame: object) -> None:
        raise SystemExit(128 + signum)

    signal.signal(signal.SIGTERM, leave)
