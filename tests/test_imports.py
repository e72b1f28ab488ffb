"""Imports run one way, and what has to start quickly imports nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "moalloy_md"
MODULES = sorted(PACKAGE.rglob("*.py"))

GROUND = {"units", "errors", "elements", "config", "rundir", "processes", "bundle", "memory"}
#: What each folder may import besides itself and the ground floor.
MAY_IMPORT = {
    "structures": set(),
    "datasets": {"structures"},
    "data": set(),
    "native": set(),
    "potentials": {"structures", "datasets", "_engine"},
    "lammps": {"structures", "datasets"},
    "analysis": {"structures", "datasets"},
    "report": {"structures", "datasets", "potentials", "lammps", "analysis", "workflows"},
    "workflows": {"structures", "datasets", "potentials", "lammps", "analysis", "report"},
    "cli": {"structures", "datasets", "potentials", "lammps", "analysis", "report", "workflows"},
}


def imported(path):
    """Top-level names inside moalloy_md, and outside of it, that a module imports anywhere."""
    ours, others = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "moalloy_md" and len(parts) > 1:
                ours.add(parts[1])
            else:
                others.add(parts[0])
    return ours, others


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    ours, others = imported(path)
    place = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    ours -= {"__version__", place}
    if place in GROUND | {"__init__"}:
        assert ours <= GROUND, "the ground floor knows nobody above it"
        assert not others & {"torch", "mace", "lammps", "ovito"}
    else:
        assert ours <= GROUND | MAY_IMPORT[place]
    if place != "potentials":
        assert not others & {"torch", "mace", "e3nn"}, "torch lives in potentials"


def test_every_folder_has_a_rule():
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders == MAY_IMPORT.keys()


@pytest.mark.parametrize(
    ("statement", "banned"),
    [
        ("import moalloy_md", {"numpy", "ase", "pydantic", "torch", "lammps"}),
        # the lmp script of everybody calls this one
        (
            "from moalloy_md.lammps.installation import plugin_path; plugin_path()",
            {"numpy", "ase", "pydantic", "torch", "lammps"},
        ),
        ("import moalloy_md.cli.app", {"torch", "mace", "ovito", "matplotlib", "scipy", "lammps"}),
    ],
)
def test_quick_starts_import_nothing_heavy(statement, banned):
    code = f"{statement}; import sys; print(*(m.partition('.')[0] for m in sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not set(answer.stdout.split()) & banned
