"""What pair_style mace/native alone has: a choice of precision, and what it says in the log."""

import re

import numpy as np
import pytest
from ase.neighborlist import neighbor_list
from support import lmp
from support.cells import doped_cell
from support.styles import assert_same

from moalloy_md.lammps.installation import native_plugin

ELEMENTS = ("V", "Mo", "Ta", "W")
TYPES = ("W", "Mo", "V", "Ta")
STYLE = "pair_style mace/native:"

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread", "style"),
    pytest.mark.parametrize("style", ["mace/native"], indirect=True),
]


@pytest.fixture
def atoms():
    return doped_cell(ELEMENTS, n=3, seed=79)


def said(log, what):
    """Lines of the pair style that contain a text."""
    return [line for line in log.splitlines() if line.startswith(STYLE) and what in line]


def test_plugin_does_not_know_of_torch():
    content = native_plugin().read_bytes()
    assert b"libtorch" not in content
    assert b"libc10" not in content


# --- precision


@pytest.mark.parametrize("ranks", [1, 2])
def test_single_precision_with_a_double_file(random_potential, atoms, tmp_path, ranks):
    potential = random_potential(elements=ELEMENTS)
    found = potential.compute(atoms, tmp_path, TYPES, "precision float", ranks=ranks)
    assert len(said(found.log, "float with")) == 1
    assert_same(found, potential, atoms, tolerance=5e-5)


@pytest.mark.parametrize("ranks", [1, 2])
def test_double_precision_with_a_single_file(random_potential, atoms, tmp_path, ranks):
    """The weights are rounded once, after the constants of e3nn went into them: 1e-7 of each."""
    potential = random_potential(elements=ELEMENTS, dtype="float32")
    found = potential.compute(atoms, tmp_path / "n", TYPES, "precision double", ranks=ranks)
    assert len(said(found.log, "double with")) == 1
    assert_same(found, potential, atoms, tolerance=5e-6)
    # the arithmetic is double: what is left is the order of summation
    one = potential.compute(atoms, tmp_path / "1", TYPES, "precision double", threads=2)
    np.testing.assert_allclose(found.forces, one.forces, atol=1e-11)


def test_style_again_changes_the_precision(random_potential, atoms, tmp_path):
    potential = random_potential(elements=ELEMENTS)
    again = "run 0\npair_style mace/native precision float\nrun 0"  # LAMMPS keeps pair_coeff
    found = potential.compute(atoms, tmp_path / "both", TYPES, run=again)
    assert [len(said(found.log, f"{name} with")) for name in ("double", "float")] == [1, 1]
    twice = "run 0\nrun 0"  # the second run has the atoms in another order
    single = potential.compute(atoms, tmp_path / "single", TYPES, "precision float", run=twice)
    np.testing.assert_array_equal(found.forces, single.forces)


# --- communication


def test_neighbours_and_ghosts_by_type(random_potential, atoms, tmp_path):
    """comm_modify mode multi, which pair_style mace cannot do on several ranks."""
    potential = random_potential(elements=ELEMENTS)
    multi = "neighbor 1.0 multi\ncomm_modify mode multi\nrun 0"
    found = potential.compute(atoms, tmp_path, TYPES, ranks=2, run=multi)
    assert_same(found, potential, atoms)


def test_ghosts_reach_one_cutoff(random_potential, atoms, tmp_path):
    potential = random_potential(elements=ELEMENTS)
    found = potential.compute(atoms, tmp_path, TYPES, ranks=2)
    assert "ghost atom cutoff = 5.5" in found.log  # r_max + skin


# --- the log


def test_says_once_what_it_runs(random_potential, atoms, tmp_path):
    potential = random_potential(elements=ELEMENTS)
    found = potential.compute(atoms, tmp_path, TYPES, ranks=2, run="run 0\nrun 0")
    (line,) = said(found.log, "layers")
    assert line.startswith(
        f"{STYLE} {potential.file}: V Mo Ta W, r_max 4.5 A, 2 layers, 8 channels"
    )
    assert "and 1 thread a rank" in line
    error = float(re.search(r"slopes of the radial functions to (\S+)$", line)[1])
    assert 0 < error < 1e-7


def large_cell(ranks):
    """A box in which ghosts do not outnumber atoms tenfold; without the model's file."""
    return f"""
units metal
lattice bcc 3.16
region box prism 0 8 0 8 0 {8 * ranks} 0.6 0.3 -0.2
create_box 4 box
create_atoms 2 box
set group all type/ratio 1 0.3 4711
displace_atoms all random 0.1 0.1 0.1 4712
mass * 100.0
neighbor 1.0 bin
"""


@pytest.mark.parametrize("ranks", [1, 2])
def test_forecast_of_atoms_and_memory(random_potential, tmp_path, ranks):
    """Atoms, ghosts and neighbours against LAMMPS's own count; memory against what is used."""
    potential = random_potential(elements=ELEMENTS)
    text = large_cell(ranks) + potential.lines(TYPES) + "run 0\n"
    status, log = lmp.run_script(text, tmp_path, ranks=ranks)
    assert status == 0, log[-2000:]
    (line,) = said(log, "forecast for a rank")
    found = re.search(
        r"(\d+) atoms, (\d+) ghosts, (\d+) listed neighbours an atom, ([\d.]+) MB and ([\d.]+) MB",
        line,
    )
    atoms, ghosts, listed, memory, tables = map(float, found.groups())
    assert atoms == 1024
    assert ghosts == pytest.approx(float(re.search(r"Nghost: +(\S+)", log)[1]), rel=0.1)
    assert listed == pytest.approx(float(re.search(r"Ave neighs/atom = (\S+)", log)[1]), rel=0.1)
    (end,) = said(log, "us/atom/step")
    of_engine = float(re.search(r"([\d.]+) KB an atom", end)[1]) * atoms * 1e-3  # MB
    assert 0.5 * of_engine < memory + tables < 2 * of_engine


@pytest.mark.parametrize(("ranks", "threads"), [(1, 1), (2, 1), (1, 2)])
def test_what_a_run_cost(random_potential, atoms, tmp_path, ranks, threads):
    potential = random_potential(elements=ELEMENTS)
    found = potential.compute(
        atoms, tmp_path, TYPES, run="run 0\nrun 40", ranks=ranks, threads=threads
    )
    lines = said(found.log, "us/atom/step")
    assert len(lines) == 2
    pattern = (
        rf"{STYLE} ([\d.]+) us/atom/step on {ranks} ranks? x {threads} threads? "
        r"\(([\d.]+) us of one rank\), ([\d.]+) % communication \(([\d.]+) MB a rank and step\), "
        r"([\d.]+) neighbours an atom, ([\d.]+) KB an atom"
    )
    found_numbers = re.fullmatch(pattern, lines[1]).groups()
    each, of_rank, share, messages, neighbours, memory = map(float, found_numbers)
    r_max = float(potential.model.r_max)
    assert neighbours == pytest.approx(len(neighbor_list("i", atoms, r_max)) / len(atoms), abs=0.05)
    assert each * ranks == pytest.approx(of_rank, abs=0.02)
    assert 0 < share < 100
    # to each ghost 8 channels, padded to whole lines of 64 bytes, of 1 + 3 components; and back
    ghosts = float(re.findall(r"^Nghost: +(\S+) ave", found.log, re.MULTILINE)[-1])
    assert messages == pytest.approx(2e-6 * ghosts * 4 * 64, abs=0.006)
    assert memory > 0
    # LAMMPS's own clock, which leaves out the step before the first
    seconds = float(re.findall(r"^Pair +\| \S+ +\| (\S+)", found.log, re.MULTILINE)[-1])
    assert 1e-6 * of_rank * len(atoms) / ranks * 40 == pytest.approx(seconds, rel=0.5)
