"""Examples 04 to 07 as their READMEs say it, on the small configuration of each: most are slow.

01 has tests of its own (datasets/test_label_example.py), 03 too (lammps/test_in_process.py), and so
have the Python snippets of all pages (test_snippets.py).
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from moalloy_md.workflows.export import export

EXAMPLES = Path(__file__).parent.parent / "examples"

#: What the small configuration of an example leaves, and numbers in it that have to be there.
RESULTS = {
    "04_thermal": ("short/thermal.json", "short/expansion.png"),
    "05_interaction": ("short/interaction.json",),
    "06_short_range_order": ("short/sro.json", "short/alpha.png"),
    "07_segregation": ("short/segregation.json", "short/isotherm.png"),
}


def commands(readme, word):
    """Commands of a README that name `word`, as words."""
    lines = re.findall(r"^    (moalloy .*)$", readme.read_text(), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines if word in line.split()]


def run(words, folder):
    program = str(Path(sys.executable).parent / "moalloy")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [program, *words[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The base model as it is."""
    elements = ["Mo", "W", "Re", "Ta", "Nb", "Ti", "V", "Zr", "Hf"]
    return export("base-small", out=tmp_path_factory.mktemp("base") / "bundle", elements=elements)


@pytest.mark.parametrize(
    "name",
    # one of them in every test run
    [n if n == "05_interaction" else pytest.param(n, marks=pytest.mark.slow) for n in RESULTS],
)
def test_small_configuration(name, bundle, tmp_path):
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder)
    (folder / "bundle").symlink_to(bundle.path)
    found = commands(folder / "README.md", "short.yaml")
    assert found, "no command with short.yaml"
    for words in found:
        done = run(words, folder)
        assert done.returncode == 0, done.stderr[-2000:]
    for result in RESULTS[name]:
        assert (folder / result).stat().st_size > 0
    json.loads((folder / RESULTS[name][0]).read_text())
    again = run(found[0], folder)  # nothing is done twice
    assert again.returncode == 0
    assert again.stdout == done.stdout or len(found) > 1


def test_study_says_what_it_costs(tmp_path):
    """Example 02: half an hour of trainings; here its costs alone."""
    shutil.copytree(EXAMPLES / "02_study", tmp_path / "study")
    (words, *_) = commands(tmp_path / "study" / "README.md", "--dry-run")
    done = run(words, tmp_path / "study")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "fine-tune" in done.stdout + done.stderr
