"""Runs of the length that people run: energy, memory, restarts and swaps. Most by hand: -m slow."""

import re
from pathlib import Path

import numpy as np
import pytest
from support import lmp
from support.cells import doped_cell
from support.tungsten import processes_in

from moalloy_md.lammps.logs import read_log
from moalloy_md.lammps.run import run_lammps

pytestmark = pytest.mark.usefixtures("one_torch_thread")

ELEMENTS = ("V", "Mo", "Ta", "W")
TYPES = ("W", "Mo", "V", "Ta")

START = """
units metal
atom_style atomic
atom_modify sort 0 0
read_{what}
mass * 100.0
{lines}
neighbor 1.0 bin
timestep 0.001
thermo_modify norm no format float %.15g
"""


def start(potential, what="data data.lmp"):
    return START.format(what=what, lines=potential.lines(TYPES))


def finished(text, folder, *, ranks=1, timeout_s=10_000):
    status, output = lmp.run_script(text, folder, ranks=ranks, timeout_s=timeout_s)
    assert status == 0, output[-2000:]
    return output


@pytest.fixture
def repelling(random_potential):
    """Random models may let atoms meet; ZBL keeps them apart."""

    def make(dtype="float64"):
        return random_potential(elements=ELEMENTS, hidden="8x0e", zbl=True, dtype=dtype)

    return make


def slope_mev_per_atom_ps(energies_ev, n_atoms, step_ps):
    return np.polyfit(step_ps * np.arange(len(energies_ev)), 1e3 * energies_ev / n_atoms, 1)[0]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("style", ["mace/native", "mace"], indirect=True)
def test_energy_of_250_atoms_at_1000_k(repelling, tmp_path, style, dtype, record_property):
    """Over 20 ps, with the time step that the inputs have."""
    lmp.write_data(doped_cell(ELEMENTS, n=5, seed=83), TYPES, tmp_path)
    text = (
        start(repelling(dtype))
        + """
minimize 0 0.01 200 1000
reset_timestep 0
timestep 0.002
velocity all create 2000.0 17
fix move all nve
fix bath all langevin 1000 1000 0.02 18
run 500
unfix bath
reset_timestep 0
fix energy all print 1 "$(temp) $(etotal:%.15g)" file energy.txt screen no
thermo 1000
run 10000
"""
    )
    finished(text, tmp_path)
    temperatures, energies = np.loadtxt(tmp_path / "energy.txt").T
    assert len(energies) == 10_001
    # the crystal of a random model goes on relaxing, which heats it
    assert 900 < temperatures.mean() < 1500
    slope = slope_mev_per_atom_ps(energies, 250, 0.002)
    record_property("slope_mev_per_atom_ps", str(slope))
    assert abs(slope) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("style", ["mace/native"], indirect=True)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_npt_conserves(repelling, tmp_path, dtype, record_property):
    """Energy of atoms, thermostat and barostat together; and the mean pressure is that asked for."""
    lmp.write_data(doped_cell(ELEMENTS, n=5, seed=83), TYPES, tmp_path)
    text = (
        start(repelling(dtype))
        + """
minimize 0 0.01 200 1000
reset_timestep 0
velocity all create 1000.0 17
fix move all npt temp 500 500 0.1 aniso 0 0 1.0
fix energy all print 1 "$(press) $(econserve:%.15g)" file energy.txt screen no
thermo 1000
run 20000
"""
    )
    finished(text, tmp_path)
    pressures, energies = np.loadtxt(tmp_path / "energy.txt").T
    later = pressures[len(pressures) // 4 :]
    blocks = later[: len(later) // 10 * 10].reshape(10, -1).mean(axis=1)
    error = blocks.std(ddof=1) / np.sqrt(len(blocks))
    slope = slope_mev_per_atom_ps(energies, 250, 0.001)
    record_property("slope_mev_per_atom_ps", str(slope))
    record_property("pressure_bar", str((later.mean(), error)))
    assert abs(slope) < 0.1
    assert abs(later.mean()) < 4 * error


@pytest.mark.parametrize("style", ["mace/native"], indirect=True)
@pytest.mark.parametrize("ranks", [1, 2])
def test_positions_after_a_restart(repelling, tmp_path, ranks, record_property):
    """100 steps in two halves end where 100 steps in one end: within 1e-8 Å."""
    lmp.write_data(doped_cell(ELEMENTS, n=3, seed=71), TYPES, tmp_path)
    potential = repelling()
    move = "fix move all nve\n"
    end = "write_dump all custom {}.txt id x y z vx vy vz modify sort id format float %.17g\n"
    finished(
        start(potential)
        + "velocity all create 800.0 5\n"
        + move
        + "run 50\nwrite_restart half\nrun 50\n"
        + end.format("whole"),
        tmp_path,
        ranks=ranks,
    )
    finished(
        start(potential, "restart half") + move + "run 50\n" + end.format("parts"),
        tmp_path,
        ranks=ranks,
    )
    whole, parts = lmp.last_frame(tmp_path / "whole.txt"), lmp.last_frame(tmp_path / "parts.txt")
    record_property("deviation_angstrom", str(np.abs(parts - whole)[:, 1:4].max()))
    np.testing.assert_allclose(parts[:, 1:4], whole[:, 1:4], rtol=0, atol=1e-8)  # Å
    np.testing.assert_allclose(parts[:, 4:], whole[:, 4:], rtol=0, atol=1e-7)  # Å/ps


@pytest.mark.parametrize(
    ("style", "ranks"),
    [
        ("mace/native", 1),
        ("mace/native", 2),
        pytest.param("mace", 1, marks=pytest.mark.slow),
        pytest.param("mace", 2, marks=pytest.mark.slow),
    ],
    indirect=["style"],
)
def test_fifty_swaps(repelling, tmp_path, ranks, record_property):
    """After each move of fix atom/swap the energy is that of a fresh process."""
    lmp.write_data(doped_cell(ELEMENTS, n=3, seed=67), TYPES, tmp_path)
    potential = repelling()
    moves = start(potential) + (
        "fix swap all atom/swap 1 1 4711 1e6 ke no types 1 2\n"
        "run 0 post no\n"
        "label next\n"
        "variable k loop 50\n"
        "run 1 post no\n"
        'print "energy $(pe:%.15g)"\n'
        "write_data swap.$k.data nocoeff\n"
        "next k\n"
        "jump SELF next\n"
        'print "accepted $(f_swap[2]:%.0f)"\n'
    )
    output = finished(moves, tmp_path, ranks=ranks)
    fresh = (
        "label next\nvariable k loop 50\nclear\n"
        + start(potential, "data swap.$k.data")
        + 'run 0 post no\nprint "energy $(pe:%.15g)"\nnext k\njump SELF next\n'
    )
    again = finished(fresh, tmp_path)
    energies, expected = (
        np.array([float(e) for e in re.findall(r"^energy (\S+)$", text, re.MULTILINE)])
        for text in (output, again)
    )
    assert len(energies) == len(expected) == 50
    accepted = int(re.search(r"^accepted (\d+)", output, re.MULTILINE)[1])
    record_property("accepted", str(accepted))
    record_property("deviation_ev", str(np.abs(energies - expected).max()))
    assert accepted > 25
    assert len(np.unique(energies.round(6))) > 25, "the swaps change nothing"
    np.testing.assert_allclose(energies, expected, rtol=0, atol=1e-8)  # eV


@pytest.mark.slow
@pytest.mark.parametrize("style", ["mace", "mace/native"], indirect=True)
def test_memory_stays_where_it_is(repelling, tmp_path, record_property):
    """10,000 steps of a small hot cell, whose number of edges changes in every step."""
    lmp.write_data(doped_cell(ELEMENTS, n=2, seed=89), TYPES, tmp_path)
    text = start(repelling("float32")) + (
        "minimize 0 0.01 200 1000\nreset_timestep 0\nvelocity all create 2000.0 17\n"
        "fix move all nve\nthermo 500\nrun 10000\n"
    )
    (tmp_path / "in.memory").write_text(text)
    found = {}

    def look(step, _total):
        for pid, name in processes_in(tmp_path).items():
            if name == "lmp":
                status = Path(f"/proc/{pid}/status").read_text()
                found[step] = int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024

    run_lammps(tmp_path / "in.memory", run_dir=tmp_path, variables={}, on_step=look)
    assert int(read_log(tmp_path / "log.lammps")[-1].steps[-1]) == 10_000
    early, late = (
        np.mean([mib for step, mib in found.items() if low <= step <= high])
        for low, high in ((2000, 4000), (8000, 10_000))
    )
    record_property("mib_early_late", str((early, late)))
    # one byte an edge and step would be 4 MB
    assert late - early < 1.0
