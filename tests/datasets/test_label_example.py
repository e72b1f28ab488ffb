"""examples/01: the plan makes the bundled cells again, and run.py writes the contract, resumably."""

import importlib.util
import os
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes

from moalloy_md.datasets.bundled import bundled_path, load_bundled
from moalloy_md.datasets.frames import read_dataset
from moalloy_md.datasets.split import Iid, split_frames

FOLDER = Path(__file__).parents[2] / "examples" / "01_label_cells_with_dft"
OUT = "mo_dopants_pbe.extxyz"


def load(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


plan = load(FOLDER / "plan.py", "plan_of_example")
PLANNED = {atoms.info["name"]: atoms for atoms in plan.cells()}


def printed(numbers):
    """As extended XYZ prints them; minus zero is zero."""
    return [f"{number:.8f}".replace("-0.00000000", "0.00000000") for number in np.ravel(numbers)]


def test_the_plan_makes_every_bundled_cell():
    for frame in load_bundled():
        atoms = PLANNED[frame.name]
        assert atoms.get_chemical_symbols() == frame.atoms.get_chemical_symbols()
        assert printed(atoms.positions) == printed(frame.atoms.positions)
        np.testing.assert_allclose(atoms.cell.array, frame.atoms.cell.array, rtol=0, atol=1e-14)
        for key in ("name", "group", "state", "shell", "host"):
            assert atoms.info[key] == frame.atoms.info[key]


def test_the_bundled_cells_are_the_start_of_the_plan():
    names = [frame.name for frame in load_bundled()]
    assert list(PLANNED)[: len(names)] == names


def test_the_plan_is_the_one_that_was_computed():
    shared = os.environ.get("MOALLOY_SHARED")
    path = Path(shared or ".") / "dft" / "plan.py"
    if shared is None or not path.exists():
        pytest.skip("MOALLOY_SHARED does not lead to dft/plan.py")
    theirs = list(load(path, "plan_as_computed").cells())
    assert [atoms.info["name"] for atoms in theirs] == list(PLANNED)
    for atoms in theirs:
        ours = PLANNED[atoms.info["name"]]
        assert atoms == ours  # positions, species, cell, pbc: exactly
        assert atoms.info == {k: v for k, v in ours.info.items() if k != "host"}


def test_the_plan_is_balanced_when_cut_short():
    ones = [name for name in PLANNED if name.endswith("1-ideal") and "shell" not in name]
    assert ones == [f"{x}1-ideal" for x in plan.DOPANTS]
    assert len(PLANNED) == len(list(plan.cells())) == 98


def test_plan_prints_what_the_readme_shows(capsys):
    plan.main()
    lines = capsys.readouterr().out.splitlines()
    readme = (FOLDER / "README.md").read_text().splitlines()
    for line in (lines[0], lines[1], lines[97]):
        assert f"    {line}" in readme


class NotConvergedError(Exception):
    """Stands for gpaw.ConvergenceError."""


class FakeGpaw(Calculator):
    """Labels that depend on the cell, with energy and free energy told apart."""

    implemented_properties = ("energy", "free_energy", "forces")
    fails_for = ()
    calls = 0

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        type(self).calls += 1
        if atoms.info["name"] in self.fails_for:
            raise NotConvergedError("not after 120 iterations")
        free = -11.0 * len(atoms) + atoms.positions.sum() * 1e-3
        self.results = {
            "energy": free + 0.5,
            "free_energy": free,
            "forces": np.sin(atoms.positions),
        }


@pytest.fixture
def run(monkeypatch, tmp_path):
    """run.py with a stand-in for GPAW, in an empty folder."""
    gpaw = types.ModuleType("gpaw")
    settings = {}

    def make(**kwargs):
        settings.update(kwargs)
        return FakeGpaw()

    gpaw.GPAW, gpaw.ConvergenceError = make, NotConvergedError
    gpaw.PW = lambda cutoff: ("PW", cutoff)
    gpaw.FermiDirac = lambda width: ("FermiDirac", width)
    mpi = types.ModuleType("gpaw.mpi")
    mpi.world = types.SimpleNamespace(rank=0, size=1, barrier=lambda: None)
    monkeypatch.setitem(sys.modules, "gpaw", gpaw)
    monkeypatch.setitem(sys.modules, "gpaw.mpi", mpi)
    monkeypatch.setitem(sys.modules, "plan", plan)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(FakeGpaw, "calls", 0)
    monkeypatch.setattr(FakeGpaw, "fails_for", ())
    module = load(FOLDER / "run.py", "run_of_example")
    module.settings = settings
    return module


def test_run_writes_the_dataset_contract(run, capsys):
    run.main(20)
    assert read_dataset(Path(OUT))[0].atoms.info["energy_zero_smearing"] == pytest.approx(
        0.5 + read_dataset(Path(OUT))[0].energy_ev
    )
    frames = read_dataset(Path(OUT))
    assert [frame.name for frame in frames] == list(PLANNED)[:20]
    for frame in frames:
        planned = PLANNED[frame.name]
        assert {"REF_energy", "host", "group", "state", "source"} <= set(frame.atoms.info)
        assert (frame.host, frame.source) == ("Mo", OUT)
        assert frame.group == planned.info["group"]
        assert frame.state == planned.info["state"]
        free_energy = -11.0 * 16 + planned.positions.sum() * 1e-3
        assert frame.energy_ev == pytest.approx(free_energy, abs=1e-12)
        np.testing.assert_allclose(frame.forces, np.sin(planned.positions), atol=0.51e-8)
    assert "20 labelled, 0 failed, 78 left" in capsys.readouterr().out
    assert [path.name for path in Path().iterdir()] == [OUT]
    split = split_frames(frames, Iid(test_fraction=0.3))
    assert len(split.test) == 6


def test_run_uses_the_settings_of_the_bundled_set(run):
    run.main(1)
    assert run.settings["mode"] == ("PW", 350)
    assert run.settings["xc"] == "PBE"
    assert run.settings["kpts"] == {"size": (3, 3, 3), "gamma": True}
    assert run.settings["occupations"] == ("FermiDirac", 0.1)


def test_run_resumes(run, capsys):
    run.main(5)
    first = Path(OUT).read_bytes()
    run.main(3)
    assert Path(OUT).read_bytes().startswith(first)
    assert [frame.name for frame in read_dataset(Path(OUT))] == list(PLANNED)[:8]
    assert FakeGpaw.calls == 8
    run.main()
    assert len(read_dataset(Path(OUT))) == FakeGpaw.calls == 98
    run.main()
    assert FakeGpaw.calls == 98
    assert "0 labelled, 0 failed, 0 left" in capsys.readouterr().out


def test_run_leaves_out_what_does_not_converge_and_tries_it_again(run, capsys, monkeypatch):
    monkeypatch.setattr(FakeGpaw, "fails_for", ("Mo16-vol1",))
    run.main(3)
    assert [frame.name for frame in read_dataset(Path(OUT))] == ["Mo16-vol0", "Mo16-vol2"]
    assert re.search(r"Mo16-vol1 +FAILED: not after 120 iterations", capsys.readouterr().out)
    monkeypatch.setattr(FakeGpaw, "fails_for", ())
    run.main(1)
    assert read_dataset(Path(OUT))[-1].name == "Mo16-vol1"


def test_other_ranks_write_and_print_nothing(run, capsys, monkeypatch):
    monkeypatch.setattr(run.world, "rank", 1)
    run.main(2)
    assert not list(Path().iterdir())
    assert capsys.readouterr().out == ""


def test_the_report_line_is_the_one_in_the_readme(run, capsys):
    run.report(load_bundled()[0].atoms)
    line = capsys.readouterr().out.rstrip("\n")
    assert f"    {line}\n" in (FOLDER / "README.md").read_text()


@pytest.fixture
def convergence(run, monkeypatch):
    """convergence.py beside the same stand-in, whose energy then depends on the settings."""
    monkeypatch.setitem(sys.modules, "run", run)
    return load(FOLDER / "convergence.py", "convergence_of_example")


def test_convergence_computes_what_it_lacks_with_its_settings(convergence, run, capsys):
    made = []

    def make(**kwargs):
        made.append((kwargs["mode"][1], kwargs["kpts"]["size"]))
        return FakeGpaw()

    run.GPAW = make
    convergence.main()
    assert made == [(cutoff, (k, k, k)) for _, (cutoff, k) in convergence.JOBS]
    frames = read_dataset(convergence.OUT)
    for frame, (cell, _) in zip(frames, convergence.JOBS, strict=True):
        assert printed(frame.atoms.positions) == printed(PLANNED[cell].positions)
        assert frame.group == PLANNED[cell].info["group"]
    assert "error bar of E_b" in capsys.readouterr().out
    convergence.main()
    assert len(made) == len(frames) == len({frame.name for frame in frames})


def test_the_readme_of_the_set_has_the_numbers_that_were_computed(convergence):
    """Its sentence on the settings, from the energies beside the script."""
    results = convergence.read_results(FOLDER / "convergence.extxyz")
    usual, finer = convergence.USUAL, convergence.MORE_K_POINTS
    bundled = {frame.name: frame for frame in load_bundled()}
    for cell in (convergence.HOST, convergence.ONE, convergence.PAIR):
        again = results[cell, usual].free_energy_ev
        assert again == pytest.approx(bundled[cell].energy_ev, abs=1e-6)
    rise = {
        cell: 1000 * (results[cell, finer].free_energy_ev - bundled[cell].energy_ev)
        for cell in (convergence.HOST, convergence.ONE)
    }
    moved = np.abs(results[convergence.ONE, finer].forces - bundled[convergence.ONE].forces).max()
    plain, fine = (convergence.binding_mev(results, settings) for settings in (usual, finer))
    cold = convergence.binding_mev(results, usual, zero_smearing=True)
    readme = " ".join((bundled_path().parent / "README.md").read_text().split())
    for sentence in (
        f"pure Mo rises by {rise['Mo16-vol0']:.0f} meV ({rise['Mo16-vol0'] / 16:.1f} meV/atom)",
        f"one Ti by {rise['Ti1-ideal']:.0f} meV ({rise['Ti1-ideal'] / 16:.1f} meV/atom)",
        f"changes by up to {1000 * moved:.0f} meV/Å",
        f"is {plain:.0f} meV from these labels, {fine:.0f} meV with 5×5×5 k-points, and {cold:.0f} meV",
        f"uncertain by {abs(cold - plain):.0f} meV",
    ):
        assert sentence in readme


def test_convergence_says_what_its_table_lacks(convergence, run, capsys):
    run.label_missing([(convergence.planned_cells()[0], run.Settings())], convergence.OUT)
    capsys.readouterr()
    convergence.main("table")
    said = capsys.readouterr().out
    assert said.startswith("the table needs Ti1-ideal-350eV-k3, ")
    assert "Mo16-vol0-350eV-k3" not in said


def test_binding_energies_of_the_table(convergence):
    """By hand: pair + host - 2 one, in eV, and what a setting adds to each cell."""
    energies = {"Mo16-vol0": -180.0, "Ti1-ideal": -175.0, "Ti2-shell1-ideal": -169.7}
    added = {(350, 3): (0, 0, 0), (350, 5): (0.2, 0.1, 0.03), (600, 3): (-0.4, -0.5, -0.58)}
    added[600, 5] = (-0.2, -0.39)
    results = {}
    for setting, extra in added.items():
        for (cell, energy), more in zip(energies.items(), extra, strict=False):
            forces = np.full((16, 3), 0.01 * setting[1])
            results[cell, setting] = convergence.Labels(energy + more, energy + more + 0.5, forces)
    lines = convergence.table(results).splitlines()
    numbers = [re.findall(r"[+-]?\d+\.\d", line) for line in lines]
    assert numbers[1:5] == [
        ["300.0", "+0.0"],
        ["330.0", "+30.0"],
        ["320.0", "+20.0"],
        ["300.0", "+0.0"],
    ]
    assert lines[2].endswith(" 20 meV/Å")
    assert lines[5].startswith("error bar of E_b: 50 meV")
    assert numbers[6] == ["-100.0", "-100.0", "-190.0"]
