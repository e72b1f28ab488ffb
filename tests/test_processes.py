"""Whatever ends us ends what we started."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from moalloy_md.processes import running

# starts a child through `running`, which starts a grandchild; both write their process IDs
PARENT = """
import signal
import sys
from pathlib import Path
from moalloy_md.processes import exit_on_sigterm, running
exit_on_sigterm()
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
child = "import os, subprocess, sys; open('child', 'w').write(str(os.getpid())); " \\
        "p = subprocess.Popen(['sleep', '60']); open('grandchild', 'w').write(str(p.pid)); p.wait()"
with running([sys.executable, "-c", child], cwd=Path.cwd()) as process:
    process.wait()
"""


def alive(pid):
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=15.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.fixture
def family(tmp_path):
    """Parent, child and grandchild, running."""
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=tmp_path) as parent:
        files = [tmp_path / "child", tmp_path / "grandchild"]
        assert wait_until(lambda: all(f.exists() and f.read_text() for f in files))
        yield parent, *(int(f.read_text()) for f in files)
        parent.kill()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_signal_ends_the_whole_group(family, sig):
    parent, child, grandchild = family
    os.kill(parent.pid, sig)
    assert wait_until(lambda: parent.poll() is not None)
    assert wait_until(lambda: not alive(child))
    assert wait_until(lambda: not alive(grandchild))


def test_a_kill_of_the_parent_ends_the_child(family):
    parent, child, _ = family
    parent.kill()
    assert wait_until(lambda: not alive(child))


def test_leaving_ends_a_child_that_ignores_sigterm(tmp_path, monkeypatch):
    monkeypatch.setattr("moalloy_md.processes._GRACE_S", 0.5)
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "open('ready', 'w').close(); time.sleep(60)"
    )
    with running([sys.executable, "-c", code], cwd=tmp_path) as process:
        assert wait_until((tmp_path / "ready").exists)
    assert process.returncode == -signal.SIGKILL


def test_a_finished_child_keeps_its_status(tmp_path):
    with running([sys.executable, "-c", "raise SystemExit(3)"], cwd=tmp_path) as process:
        process.wait()
    assert process.returncode == 3
