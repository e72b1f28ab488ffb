"""The benchmarks start; how fast anything is belongs into benchmarks/results, not here."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "benchmarks" / "engine_speed.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False
    )


def test_help_names_the_models():
    done = run("--help")
    assert done.returncode == 0, done.stderr
    assert "128x0e" in done.stdout


def test_cell_that_is_no_cube_is_refused_before_anything_long():
    done = run("--atoms", "1000")
    assert done.returncode == 1
    assert "take 1024" in done.stderr
