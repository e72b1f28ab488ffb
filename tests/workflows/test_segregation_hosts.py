"""`moalloy simulate segregation` at surfaces and voids, and as a job."""

import io

import numpy as np
import pytest
from ase.build import bulk
from rich.console import Console
from support.bundles import base_bundle
from support.slurm import fake_slurm

from moalloy_md.config import validate
from moalloy_md.errors import DataError
from moalloy_md.potentials.native import NativeCalculator
from moalloy_md.workflows.segregation.config import SegregationConfig, Sites
from moalloy_md.workflows.segregation.energies import Cells
from moalloy_md.workflows.segregation.host import Host
from moalloy_md.workflows.segregation.results import read_results
from moalloy_md.workflows.segregation.shown import submit_segregation
from moalloy_md.workflows.segregation.sites import ChosenSites, Site, choose_sites
from moalloy_md.workflows.segregation.workflow import Work, segregation

QUIET = Console(file=io.StringIO())
SLAB = {"kind": "slab", "plane": [1, 1, 0], "n_layers": 8, "vacuum_angstrom": 10}
VOID = {"kind": "void", "radius_angstrom": 3.0, "repeat": 5}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return base_bundle(tmp_path_factory.mktemp("base") / "bundle", ("Mo", "Zr"))


def settings(bundle, host, **changes):
    content = {
        "host": host,
        "dopants": ["Zr"],
        "sizes_angstrom": [6],
        "sites": {"max_distance_angstrom": 5},
        "potential": {"kind": "bundle", "bundle": str(bundle)},
        **changes,
    }
    return validate(content, SegregationConfig, source="s.yaml")


@pytest.fixture(scope="module")
def at_a_surface(bundle, tmp_path_factory):
    """A slab of Mo (110) with Zr, by a job of submitit on this machine."""
    out = tmp_path_factory.mktemp("slab") / "out"
    config = settings(bundle, SLAB, slurm={"cpus": 1})
    submit_segregation(config, out=out, executor="local", console=QUIET)
    return config, out, read_results(out)


def test_the_second_place_of_a_site_may_be_the_first_atom():
    """Atom 0 is a place like any other: the check computes the dopant there, not twice at the site."""
    host = Host("x", bulk("Mo", "bcc", a=3.17, cubic=True).repeat((1, 1, 3)), 3.17, (0.0, 0.5))
    site = Site("1", 3, 0.0, 2, 14, None, None, is_crystal=True, another=0)
    middle = Site("crystal", 5, 4.0, 1, 14, None, None, is_crystal=True)
    chosen = ChosenSites((site,), middle, 0, np.zeros(6, int), np.zeros(6), boundaries_differ=False)
    cells = Cells(host, chosen, ["Zr"], sizes_angstrom=[3], check_alike=1)
    where = {task.key: list(np.flatnonzero(task.atoms.symbols == "Zr")) for task in cells.tasks()}
    assert where["3 Å/Zr/1"] == [3]
    assert where["3 Å/Zr/1 again"] == [0]
    assert where["3 Å/pure/pure"] == []


def test_a_distance_below_the_first_plane_is_told_with_that_plane():
    """Planes of bcc (001) are a/2 apart; these boundaries lie in the middle between two of them."""

    def chosen(atoms):
        return choose_sites(
            Host("x", atoms, 3.2, (0.8 / 19.2, 0.5 + 0.8 / 19.2)),
            Sites(max_distance_angstrom=0.5, width_angstrom=0.5),
            is_large=False,
            seed=1,
            pressures_gpa=None,
            least_middle_angstrom=2,
        )

    crystal = bulk("Mo", "bcc", a=3.2, cubic=True).repeat((2, 2, 6))
    with pytest.raises(DataError, match=r"x: expected sites that differ .* found all alike"):
        chosen(crystal)
    first = [atom.index for atom in crystal if atom.x < 2 and atom.y < 2 and atom.z % 9.6 < 1]
    assert len(first) == 2  # a vacancy at each boundary
    del crystal[first]
    with pytest.raises(DataError, match=r"x: expected sites within 0\.5 Å .* nearest at 0\.80 Å"):
        chosen(crystal)


def energies(results):
    found = {e["site"]: e for e in results["energies"]}
    return [(site, found[site["label"]]) for site in results["sites"]]


def test_sites_of_a_surface_are_its_layers(at_a_surface):
    """(110): one site a layer; the outermost has lost 4 of 14 neighbours (2 of 8 nearest, 2 of 6)."""
    _, _, results = at_a_surface
    sites = results["sites"]
    spacing = results["host"]["lattice_parameter_angstrom"] / 2**0.5
    assert [s["distance_angstrom"] for s in sites] == pytest.approx(
        [0.0, spacing, 2 * spacing], abs=0.15
    )
    assert sites[0]["coordination"] == 10
    assert results["crystal_site"]["coordination"] == 14


def test_a_large_atom_goes_to_the_surface(at_a_surface, bundle):
    """And by as much as a direct calculation with ASE says."""
    config, out, results = at_a_surface
    (first, top), *_, (_, deepest) = energies(results)
    assert top["relaxed_ev"] < -0.5
    assert abs(deepest["relaxed_ev"]) < 0.2 * abs(top["relaxed_ev"])
    work = Work(config, out, 1, QUIET)
    cell = work.host.atoms.repeat(work.host.repeats(6))
    found = []
    for site in (first, results["crystal_site"]):
        atoms = cell.copy()
        atoms.symbols[site["index"]] = "Zr"
        atoms.calc = NativeCalculator(bundle, precision="float64", threads=1)
        found.append(atoms.get_potential_energy())
    assert top["unrelaxed_ev"] == pytest.approx(found[0] - found[1], abs=1e-6)


def test_a_large_atom_goes_to_a_void(bundle, tmp_path):
    results, outcome = segregation(
        settings(bundle, VOID, sites={"max_distance_angstrom": 3, "width_angstrom": 3}),
        out=tmp_path / "out",
        console=QUIET,
    )
    assert outcome is None
    assert 225 < results["host"]["n_atoms"] < 250
    rim = [(site, e) for site, e in energies(results) if site["coordination"] < 14]
    assert rim
    assert min(e["relaxed_ev"] for _, e in rim) < -0.3
    assert results["crystal_site"]["coordination"] == 14


def test_what_slurm_is_asked_for(bundle, tmp_path, monkeypatch):
    fake_slurm(tmp_path, monkeypatch)
    config = settings(bundle, SLAB, slurm={"cpus": 16, "account": "mo", "modules": ["gcc"]})
    submit_segregation(config, out=tmp_path / "out", executor="slurm", console=QUIET)
    script = next((tmp_path / "out.jobs").glob("*submission*.sh")).read_text()
    for line in ("--cpus-per-task=16", "--account=mo", "--nodes=1", "--requeue"):
        assert f"#SBATCH {line}\n" in script, script
    assert "module load gcc\n" in script


def test_a_job_that_is_queued_or_running_is_not_submitted_again(
    at_a_surface, bundle, tmp_path, monkeypatch
):
    slurm = fake_slurm(tmp_path, monkeypatch)
    text = io.StringIO()
    shown = {"executor": "slurm", "console": Console(file=text, width=300)}
    config = settings(bundle, SLAB, slurm={"cpus": 1})
    for _ in range(2):
        assert not submit_segregation(config, out=tmp_path / "out", **shown)
    assert "moalloy-segregation: queued, job 17" in text.getvalue()
    assert slurm.submissions == [17]
    slurm.fall_silent()
    assert not submit_segregation(config, out=tmp_path / "out", **shown)
    assert "may be queued or running" in text.getvalue()
    assert slurm.submissions == [17]
    slurm.speak()
    slurm.end_all()  # without a result
    assert not submit_segregation(config, out=tmp_path / "out", **shown)
    assert slurm.submissions == [17, 18]
    assert submit_segregation(config, out=at_a_surface[1], **shown)  # which is finished
    assert slurm.submissions == [17, 18]
