"""Every Python snippet of the pages runs, word for word, in a folder with what it reads."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.bundles import base_bundle

from moalloy_md.datasets.bundled import load_bundled

TOP = Path(__file__).parent.parent
PAGES = (
    TOP / "README.md",
    *(page for page in sorted((TOP / "docs").rglob("*.md")) if "_build" not in page.parts),
    *sorted((TOP / "examples").glob("*/README.md")),
)
V_FE = {
    "host": "V",
    "lattice_parameter_angstrom": 3.03,
    "potential": {
        "kind": "lammps",
        "style": "eam/fs",
        "files": ["VFe_mm.eam.fs"],
        "elements": ["V", "Fe"],
    },
    "repeat": 3,
    "compositions": {"Fe4": {"Fe": 0.04}},
}
#: Configurations that snippets read, as small as they can be.
CONFIGURATIONS = {
    "thermal.yaml": V_FE | {"temperatures_k": [300, 600], "steps": 1000, "ramp": None},
    "sro.yaml": V_FE
    | {"temperatures_k": [1000], "steps": 200, "dump_interval": 20, "picture": False},
    "interaction.yaml": {
        "dopants": ["W", "Zr"],
        "repeat": 3,
        "shells": [1],
        "vacancy_shells": [],
        "lattice_parameter_angstrom": 3.17,
    },
    "sigma5.yaml": {
        "potential": {"kind": "bundle", "bundle": "bundle"},
        "host": {"kind": "boundary", "boundary": "sigma5-310", "min_thickness_angstrom": 12},
        "dopants": ["W"],
        "sizes_angstrom": [6],
        "sites": {"max_distance_angstrom": 3, "width_angstrom": 3},
    },
}
#: What has to be true after a snippet, by page and number of the snippet there.
CHECKS = {
    ("docs/analyses/defects.md", 0): "assert len(pairs) == len(perfect)",
    ("docs/analyses/dislocations.md", 0): "assert len(loop) == len(crystal) + len(disc) > 11_664",
    ("docs/base_model.md", 0): "assert model.interactions",
    ("docs/interaction.md", 0): "assert strongest.relaxed_ev < 0.1",
    ("docs/python.md", 0): "assert np.mean(errors) < 0.5 and 12 < volume['value'] < 18",
    # eV an atom: the reference energies of base-small
    ("docs/python.md", 1): "assert -11.5 < crystal.get_potential_energy() / 128 < -10.0",
    ("docs/python.md", 2): "assert hotter.repeat == config.repeat and small.n_sites == 54",
    ("docs/segregation.md", 0): "assert results['energies'] and outcome is None",
    ("docs/simulate.md", 0): "assert len(outcome.done) == 2 and results is not None",
    ("docs/sro.md", 0): "assert len(outcome.done) == 2 and results is not None",
}


def snippets():
    for page in PAGES:
        found = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
        name = str(page.relative_to(TOP))
        for k, code in enumerate(found):
            yield pytest.param(name, k, code, id=f"{name}-{k}")


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """base-small, for all elements that the bundled cells have."""
    elements = sorted({symbol for frame in load_bundled() for symbol in frame.elements})
    return base_bundle(tmp_path_factory.mktemp("base") / "bundle", elements)


def test_each_snippet_has_a_check():
    assert {p.values[:2] for p in snippets()} == set(CHECKS)


@pytest.mark.parametrize(("page", "number", "code"), list(snippets()))
def test_snippet(page, number, code, bundle, tmp_path):
    (tmp_path / "bundle").symlink_to(bundle)
    for name in re.findall(r'"(\w+\.yaml)"', code):
        (tmp_path / name).write_text(yaml.safe_dump(CONFIGURATIONS[name]))
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{CHECKS[page, number]}\n"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
