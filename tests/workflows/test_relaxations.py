"""Relaxations of many cells: against ASE's own, in processes, after a kill, after what was torn."""

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.optimize import BFGS
from rich.console import Console
from support.bundles import base_bundle, fake_bundle
from support.processes import pids_with

from moalloy_md.errors import ConfigError, MoAlloyError, ModelError
from moalloy_md.potentials.native import NativeCalculator
from moalloy_md.potentials.torchscript_calculator import TorchScriptCalculator
from moalloy_md.workflows import relaxations
from moalloy_md.workflows.relaxation_store import POSITIONS, RESULTS
from moalloy_md.workflows.relaxations import Task, count_done, relax_all, relax_one


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return base_bundle(tmp_path_factory.mktemp("base") / "bundle", ("Mo", "W", "Zr"))


def cells(n=4):
    """Cells of 54 atoms with W and Zr, each other than the others."""
    made = []
    for k in range(n):
        atoms = bulk("Mo", "bcc", a=3.17, cubic=True).repeat(3)
        atoms.symbols[0] = "Zr"
        atoms.symbols[k + 1] = "W"
        made.append(Task(f"Zr-W {k}", atoms))
    return made


def relax(tasks, bundle, folder, *, processes=1, **changes):
    options = {"fmax_ev_per_angstrom": 0.01, "max_steps": 100, **changes}
    return relax_all(
        tasks,
        bundle=bundle,
        folder=folder,
        processes=processes,
        console=Console(file=io.StringIO()),
        **options,
    )


def test_one_cell_against_another_optimiser_of_ase():
    atoms = bulk("Cu", "fcc", cubic=True).repeat(3)
    atoms.symbols[5] = "Ag"
    start = atoms.positions.copy()
    found = relax_one(Task("Ag", atoms), EMT(), fmax_ev_per_angstrom=0.002, max_steps=100)
    assert atoms.positions == pytest.approx(start), "the task stays as it is"
    atoms.calc = EMT()
    assert found.unrelaxed_ev == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    BFGS(atoms, logfile=None).run(fmax=1e-4)
    assert found.converged
    assert found.max_force_ev_per_angstrom <= 0.002
    assert found.energy_ev == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
    assert found.positions == pytest.approx(atoms.positions, abs=2e-3)
    assert found.energy_ev < found.unrelaxed_ev - 0.01


def test_processes_and_one_process_give_the_same(bundle, tmp_path):
    one = relax(cells(), bundle, tmp_path / "one")
    two = relax(cells(), bundle, tmp_path / "two", processes=2)
    assert list(one) == list(two) == [task.key for task in cells()]
    for key, result in one.items():
        assert result.energy_ev == two[key].energy_ev
        assert np.array_equal(result.positions, two[key].positions)
    task = cells()[1]
    atoms = task.atoms.copy()
    atoms.positions = one[task.key].positions
    atoms.calc = NativeCalculator(bundle, precision="float64", threads=1)
    assert one[task.key].energy_ev == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
    forces = np.linalg.norm(atoms.get_forces(), axis=1)
    assert forces.max() == pytest.approx(one[task.key].max_force_ev_per_angstrom, abs=1e-8)


def test_what_is_kept_is_not_computed_again(bundle, tmp_path, monkeypatch):
    first = relax(cells(3), bundle, tmp_path)
    computed = []
    monkeypatch.setattr(
        relaxations, "relax_one", lambda task, *a, **k: computed.append(task) or first[task.key]
    )
    relax(cells(3), bundle, tmp_path)
    assert not computed
    moved = cells(3)
    moved[1].atoms.positions[7, 0] += 0.05
    relax(moved, bundle, tmp_path)
    assert [task.key for task in computed] == ["Zr-W 1"], "another structure"
    computed.clear()
    relax(cells(3), bundle, tmp_path, fmax_ev_per_angstrom=0.005)
    assert len(computed) == 3, "another limit"
    computed.clear()
    other = base_bundle(tmp_path / "other", ("Mo", "W", "Zr", "Ti"))
    relax(cells(3), other, tmp_path)
    assert len(computed) == 3, "another model"


def test_a_torn_line_and_a_lost_file_cost_their_cell_alone(bundle, tmp_path):
    first = relax(cells(3), bundle, tmp_path)
    file = tmp_path / RESULTS
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(lines[0] + lines[1] + lines[2][:40])
    options = {
        "bundle": bundle, "folder": tmp_path, "fmax_ev_per_angstrom": 0.01, "max_steps": 100,
    }  # fmt: skip
    assert count_done(cells(3), **options) == 2
    (tmp_path / POSITIONS / f"{json.loads(lines[0])['digest']}.npz").write_bytes(b"torn")
    assert count_done(cells(3), **options) == 1
    again = relax(cells(3), bundle, tmp_path)
    assert {k: r.energy_ev for k, r in again.items()} == {k: r.energy_ev for k, r in first.items()}
    assert count_done(cells(3), **options) == 3


def test_what_does_not_converge_is_named_and_tried_again_with_more_steps(bundle, tmp_path):
    screen = io.StringIO()
    console = Console(file=screen, width=200)
    options = {"bundle": bundle, "folder": tmp_path, "processes": 1, "console": console}
    found = relax_all(cells(1), **options, fmax_ev_per_angstrom=0.001, max_steps=1)["Zr-W 0"]
    assert not found.converged
    assert found.n_steps == 1
    assert found.max_force_ev_per_angstrom > 0.001
    assert "Zr-W 0: not relaxed" in screen.getvalue()
    again = relax_all(cells(1), **options, fmax_ev_per_angstrom=0.001, max_steps=100)["Zr-W 0"]
    assert again.converged
    assert again.energy_ev < found.energy_ev


@pytest.mark.usefixtures("one_torch_thread")
def test_torchscript_where_there_is_no_native_file(tmp_path, scripted):
    _, file = scripted(elements=("Mo", "W"), hidden="4x0e", r_max=4.0)
    folder = fake_bundle(tmp_path / "b", torchscript=file.read_bytes())
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["native"] = {"file": None, "reason": "a test"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    atoms = bulk("Mo", "bcc", a=3.17, cubic=True).repeat(2)
    atoms.symbols[0] = "W"
    found = relax([Task("a", atoms)], folder, tmp_path / "out", max_steps=1)["a"]
    atoms.calc = TorchScriptCalculator(folder)
    assert found.unrelaxed_ev == pytest.approx(atoms.get_potential_energy(), abs=1e-9)


def test_what_fails_is_named_after_all_others_are_done(bundle, tmp_path):
    tasks = cells(3)
    tasks[0].atoms.positions[1] = tasks[0].atoms.positions[0]
    with pytest.raises(MoAlloyError, match=r"1 of 3 cells .* Zr-W 0: .*two atoms on one place"):
        relax(tasks, bundle, tmp_path)
    assert len((tmp_path / RESULTS).read_text().splitlines()) == 2


def test_bad_input(bundle, tmp_path):
    with pytest.raises(ConfigError, match="different keys, found Zr-W 0 several times"):
        relax(cells(1) * 2, bundle, tmp_path)
    strange = cells(1)
    strange[0].atoms.symbols[3] = "Au"
    with pytest.raises(ModelError, match=r"elements of Zr-W 0, found one of .*, without Au"):
        relax(strange, bundle, tmp_path)
    with pytest.raises(ModelError, match="expected a bundle"):
        relax(cells(1), tmp_path, tmp_path)
    assert not (tmp_path / RESULTS).exists()


def test_a_kill_loses_the_cells_in_work_and_leaves_no_process(bundle, tmp_path):
    script = tmp_path / "job.py"
    script.write_text(
        textwrap.dedent(f"""
        import sys
        sys.path[:0] = {[p for p in sys.path if p]!r}
        from pathlib import Path
        from rich.console import Console
        from workflows_cells import relax, cells
        if __name__ == "__main__":
            relax(cells(40), Path({str(bundle)!r}), Path({str(tmp_path / "out")!r}),
                  processes=2, fmax_ev_per_angstrom=1e-3)
        """)
    )
    (tmp_path / "workflows_cells.py").write_text(Path(__file__).read_text())
    job = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    results = tmp_path / "out" / RESULTS
    wait_for(lambda: results.exists() and len(results.read_text().splitlines()) >= 3)
    workers = [pid for pid in pids_with("spawn_main") if parent_of(pid) == job.pid]
    assert len(workers) >= 2
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    wait_for(lambda: not any(is_alive(pid) for pid in workers))
    n_done = len(results.read_text().splitlines())
    assert 3 <= n_done < 40
    before = results.read_text()
    found = relax(cells(n_done), bundle, tmp_path / "out", fmax_ev_per_angstrom=1e-3)
    assert len(found) == n_done
    assert len(results.read_text().splitlines()) <= n_done + 2
    assert results.read_text().startswith(before)


def wait_for(condition, limit_s=240.0):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)


def parent_of(pid):
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
