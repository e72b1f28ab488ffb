"""`moalloy simulate segregation`: what is refused, physics of a boundary, a kill, Monte Carlo."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from ase.build import bulk
from ase.constraints import FixAtoms
from ase.io import write
from rich.console import Console
from support.bundles import base_bundle, fake_bundle
from support.processes import processes_below, wait_until
from typer.testing import CliRunner

from moalloy_md.analysis.isotherms import site_filling
from moalloy_md.cli.app import app
from moalloy_md.config import validate
from moalloy_md.errors import ConfigError, DataError, ModelError, RunDirectoryError
from moalloy_md.lammps.logs import read_run
from moalloy_md.potentials.native import NativeCalculator
from moalloy_md.rundir import read_json
from moalloy_md.structures.grain_boundaries import GrainBoundaryConfig, grain_boundary
from moalloy_md.workflows.relaxations import Task, relax_one
from moalloy_md.workflows.segregation.config import SegregationConfig
from moalloy_md.workflows.segregation.energies import Clusters
from moalloy_md.workflows.segregation.results import read_results
from moalloy_md.workflows.segregation.shown import _is_done
from moalloy_md.workflows.segregation.workflow import Work, segregation, show_forecast

BOUNDARY = {"kind": "boundary", "boundary": "sigma5-310", "min_thickness_angstrom": 12}
SETTINGS = {
    "host": BOUNDARY,
    "dopants": ["Zr", "W"],
    "sizes_angstrom": [6],
    "sites": {"max_distance_angstrom": 5, "check_alike": 2},
}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return base_bundle(tmp_path_factory.mktemp("base") / "bundle", ("Mo", "W", "Zr"))


def quiet():
    return Console(file=io.StringIO())


def settings(bundle=None, **changes):
    model = {} if bundle is None else {"potential": {"kind": "bundle", "bundle": str(bundle)}}
    return validate({**SETTINGS, **model, **changes}, SegregationConfig, source="s.yaml")


# ---- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dopants": ["Mo"]}, "dopants other than the host Mo"),
        ({"dopants": []}, "dopants"),
        ({"dopants": ["W", "W"]}, "each dopant once"),
        ({"dopants": ["Xx"]}, "found 'Xx'"),
        ({"dopant": ["W"]}, "did you mean 'dopants'"),
        ({"host": {**BOUNDARY, "sigmas": 5}}, "unknown key .*sigmas.*did you mean 'sigma'"),
        ({"host": {"kind": "boundry"}}, "did you mean boundary"),
        ({"host": {**BOUNDARY, "boundary": "sigma5-311"}}, "expected one of sigma3-112"),
        ({"host": {**BOUNDARY, "cell": "vacuum"}}, "surfaces attract dopants too"),
        ({"host": {**BOUNDARY, "lattice": "fcc", "host": "Mo"}}, "expected bcc, found fcc"),
        ({"host": {"kind": "void"}}, "radius_angstrom"),
        ({"temperatures_k": [0]}, "above 0 K"),
        ({"temperatures_k": [300, 300]}, "different temperatures"),
        ({"bulk_fractions": [0]}, "between 0 and 1, found 0"),
        ({"bulk_fractions": [2]}, "between 0 and 1, found 2"),
        (
            {"sites": {"max_distance_angstrom": 3}},
            r"a max_distance_angstrom of at least 4 \(width_angstrom\), found 3",
        ),
        ({"sizes_angstrom": []}, "sizes_angstrom"),
        ({"sizes_angstrom": [9, 9]}, "different sizes"),
        ({"mcmd": {"dopants": ["Hf"]}}, "some of Zr, W, found Hf"),
        ({"mcmd": {"step": 5}}, "did you mean 'steps'"),
        ({"mcmd": {"temperatures_k": [1200, -5]}}, "mcmd.temperatures_k: .*above 0 K, found -5"),
        ({"mcmd": {"temperatures_k": [900, 900]}}, "mcmd.temperatures_k: expected different"),
        ({"mcmd": {"temperatures_k": [900, 900.0001]}}, "mcmd.temperatures_k: expected different"),
        ({"mcmd": {"temperatures_k": [float("nan")]}}, "a finite number, found nan"),
        ({"mcmd": {"temperatures_k": []}}, "mcmd.temperatures_k: expected 1 or more entries"),
        ({"mcmd": {"dopants": ["W", "W"]}}, "mcmd.dopants: expected each dopant once, found W, W"),
        ({"mcmd": {"dopants": []}}, "mcmd.dopants: expected 1 or more entries"),
        (
            {"potential": {"kind": "lammps", "style": "eam", "files": ["a"], "elements": ["Mo"]}},
            "expected one bundle",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        settings(**changes)


def test_a_dopant_that_the_bundle_does_not_know(tmp_path):
    lacking = fake_bundle(tmp_path / "bundle", ("Mo", "W"))
    with pytest.raises(ModelError, match="knows Zr, found one of Mo, W: export the model"):
        segregation(settings(lacking), out=tmp_path / "out", console=quiet())
    with pytest.raises(ConfigError, match="expected a bundle, found none: give --bundle"):
        segregation(settings(), out=tmp_path / "out", console=quiet())
    with pytest.raises(ModelError, match="expected a bundle"):
        segregation(settings(tmp_path / "nix"), out=tmp_path / "out", console=quiet())
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else(bundle, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunDirectoryError, match=r"without a manifest\.json"):
        segregation(settings(bundle), out=tmp_path, console=quiet())


def test_grains_so_thin_that_their_middle_is_not_bulk(bundle, tmp_path):
    thin = settings(bundle, host={**BOUNDARY, "min_thickness_angstrom": 4})
    with pytest.raises(DataError, match=r"5 Å .the model's cutoff. .* found at most .*not bulk"):
        segregation(thin, out=tmp_path / "out", console=quiet())


def crystal_file(path, *, edge, symbol="Mo", n=5):
    atoms = bulk("Mo", "bcc", a=edge, cubic=True).repeat(n)
    atoms.symbols[3] = symbol
    write(path, atoms)
    return {"kind": "file", "path": str(path)}


def test_files_that_are_no_host(bundle, tmp_path):
    edge = 3.1714
    perfect = crystal_file(tmp_path / "perfect.extxyz", edge=edge)
    with pytest.raises(DataError, match="expected a boundary, found none: all atoms are bcc"):
        segregation(settings(bundle, host=perfect), out=tmp_path / "a", console=quiet())
    doped = crystal_file(tmp_path / "doped.extxyz", edge=edge, symbol="W")
    with pytest.raises(DataError, match="pure host Mo, found W besides"):
        segregation(settings(bundle, host=doped), out=tmp_path / "b", console=quiet())
    with pytest.raises(ConfigError, match=r"heights from 0 to 15\.86 Å, found 20"):
        segregation(
            settings(bundle, host={**perfect, "planes_angstrom": [20]}),
            out=tmp_path / "c",
            console=quiet(),
        )
    (tmp_path / "junk.extxyz").write_text("no structure")
    for name, message in (
        ("nix.extxyz", "found nothing there.*gb-search"),
        ("junk.extxyz", "a structure that ASE can read"),
    ):
        wrong = {"kind": "file", "path": str(tmp_path / name)}
        with pytest.raises(DataError, match=message):
            segregation(settings(bundle, host=wrong), out=tmp_path / "d", console=quiet())
    # one boundary with vacuum, as moalloy structures gb makes it
    vacuum = grain_boundary(
        GrainBoundaryConfig(boundary="sigma3-112", cell="vacuum", min_width_angstrom=0.1)
    )
    write(tmp_path / "vacuum.extxyz", vacuum.atoms)
    host = {"kind": "file", "path": str(tmp_path / "vacuum.extxyz")}
    with pytest.raises(DataError, match="found one with vacuum"):
        segregation(settings(bundle, host=host), out=tmp_path / "e", console=quiet())


def test_a_host_that_lammps_cannot_read_is_told_before_any_work(bundle, tmp_path):
    """Relaxations do not mind how a cell is turned, LAMMPS does: for Monte Carlo or a large host."""
    found = grain_boundary(GrainBoundaryConfig(boundary="sigma5-310", min_width_angstrom=0.1))
    atoms = found.atoms
    atoms.rotate(90, "z", rotate_cell=True)
    write(tmp_path / "turned.extxyz", atoms)
    host = {"kind": "file", "path": str(tmp_path / "turned.extxyz")}
    for changes in ({"mcmd": {}}, {"spheres": {"above_atoms": 5}}):
        config = settings(bundle, host=host, **changes)
        with pytest.raises(DataError, match=r"turned\.extxyz: expected a cell whose first vector"):
            segregation(config, out=tmp_path / "out", console=quiet())
    assert not (tmp_path / "out").exists()
    Work(settings(bundle, host=host), tmp_path / "out", 1, quiet()).check()


def test_a_large_host_and_monte_carlo_do_not_go_together(bundle, tmp_path):
    large = settings(bundle, spheres={"above_atoms": 10}, mcmd={})
    with pytest.raises(ConfigError, match="up to 10 atoms, whose sites are all known, found"):
        segregation(large, out=tmp_path / "out", console=quiet())


def test_a_host_is_not_minimised_again_with_other_settings(bundle, tmp_path, monkeypatch):
    """They did nothing in the same folder, without a word."""
    monkeypatch.setattr(Work, "_relaxed", lambda work: (work.unrelaxed, 0.04))

    def work(**spheres):
        return Work(settings(bundle, spheres=spheres), tmp_path, 1, quiet())

    first = work(above_atoms=10)
    first.check()
    assert len(first.host.atoms) > 10
    for spheres in ({"above_atoms": 10}, {"above_atoms": 9, "shell_angstrom": 5}):
        work(**spheres).check()
    for spheres, message in (
        (
            {"above_atoms": 10, "host_max_steps": 2000},
            r"spheres\.host_max_steps = 1000, now .* 2000",
        ),
        ({"above_atoms": 10, "host_fmax_ev_per_angstrom": 0.1}, "host_fmax_ev_per_angstrom = 0.05"),
        ({}, r"relaxed as a large one.* spheres\.above_atoms now makes it a whole cell"),
    ):
        with pytest.raises(RunDirectoryError, match=message):
            work(**spheres).check()


def test_only_large_hosts_are_annealed(bundle, tmp_path):
    small = settings(bundle, spheres={"anneal": {"temperature_k": 1500}})
    with pytest.raises(ConfigError, match=r"expected a host of more than 5000 atoms .*in\.anneal"):
        segregation(small, out=tmp_path / "out", console=quiet())


@pytest.mark.parametrize(
    ("anneal", "message"),
    [
        ({"temperature_k": 1500, "hold_ps": 0, "cooling_ps": 0}, "expected hold_ps or cooling_ps"),
        ({"temperature_k": 200}, "expected an end_temperature_k of at most 200 .*found 300"),
    ],
)
def test_an_annealing_that_makes_no_sense(bundle, anneal, message):
    with pytest.raises(ConfigError, match=message):
        settings(bundle, spheres={"anneal": anneal})


# ---- a boundary, from end to end, killed once ------------------------------------------------------------


def start(folder, bundle):
    with (folder / "screen").open("a") as screen:
        return subprocess.Popen(
            [sys.executable, "-m", "moalloy_md.cli.app", "simulate", "segregation",
             "--bundle", str(bundle), "--config", "s.yaml", "--out", "out"],
            cwd=folder, stdout=screen, stderr=subprocess.STDOUT,
        )  # fmt: skip


def n_lines(path):
    return path.read_text().count("\n") if path.exists() else 0


@pytest.fixture(scope="module")
def finished(bundle, tmp_path_factory):
    """A boundary with Zr and W and a short Monte Carlo, killed in the middle of each part."""
    folder = tmp_path_factory.mktemp("segregation")
    content = {
        **SETTINGS,
        "mcmd": {
            "dopants": ["Zr"], "steps": 600, "width_angstrom": 6, "total_fraction": 0.04,
            "swap_every": 5, "swaps": 5, "temperatures_k": [1500],
        },
        "dump_interval": 10,
        "restart_interval": 100,
    }  # fmt: skip
    (folder / "s.yaml").write_text(yaml.safe_dump(content))
    cells = folder / "out" / "cells" / "relaxations.jsonl"
    process = start(folder, bundle)
    wait_until(lambda: n_lines(cells) >= 4, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = n_lines(cells)
    process = start(folder, bundle)
    run = folder / "out" / "mcmd" / "runs" / "Zr-0.04" / "1500K"
    wait_until((run / "restart.mcmd").exists, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 20
    while processes_below(folder) and time.monotonic() < end:
        time.sleep(0.05)
    assert not processes_below(folder)
    assert start(folder, bundle).wait(timeout=300) == 0, (folder / "screen").read_text()[-2000:]
    return folder / "out", before, n_lines(cells)


def test_killed_it_goes_on_and_computes_nothing_twice(finished):
    out, before, after = finished
    results = read_results(out)
    n_sites = len(results["sites"])
    # pure host, each dopant at each site and in the middle, two sites again, crystal with and without
    assert after == 1 + 2 * (n_sites + 1) + 2 + 1 + 2
    assert 4 <= before < after
    logs = sorted(int(p.name.split(".")[1]) for p in out.rglob("log.*.lammps") if "mcmd" in str(p))
    assert len(logs) == 2
    assert logs[1] >= 100
    for name in ("sites.csv", "isotherm.csv", "mcmd.csv", "energies.png", "boundary.png"):
        assert (out / name).stat().st_size > 0


def test_the_boundary_of_the_settings(finished):
    results = read_results(finished[0])
    distances = [site["distance_angstrom"] for site in results["sites"]]
    assert distances == sorted(distances)
    assert distances[-1] <= 5
    # the nearest sites to the plane of (310) lie on it, with 14 neighbours but more room
    first = results["sites"][0]
    crystal = results["crystal_site"]
    assert first["distance_angstrom"] < 0.2
    assert first["volume_angstrom3"] > 1.1 * crystal["volume_angstrom3"]
    assert crystal["coordination"] == 14
    assert crystal["is_crystal"]
    assert 0.5 < results["host"]["boundary_energy_j_per_m2"] < 3.0
    # of the pair at either boundary, one stands for the other
    assert results["alike_ev"]
    assert max(map(abs, results["alike_ev"].values())) < 1e-3


def test_segregation_energies_are_those_of_a_direct_calculation(finished, bundle):
    """Energy of the dopant at the site less that in the middle, by ASE alone."""
    out, _, _ = finished
    results = read_results(out)
    config = settings(bundle)
    work = Work(config, out, 1, quiet())
    cell = work.host.atoms.repeat(work.host.repeats(6))
    energies = []
    for site in (results["sites"][0], results["crystal_site"]):
        atoms = cell.copy()
        atoms.symbols[site["index"]] = "Zr"
        atoms.calc = NativeCalculator(bundle, precision="float64", threads=1)
        energies.append(atoms.get_potential_energy())
    found = next(e for e in results["energies"] if (e["dopant"], e["site"]) == ("Zr", "1"))
    assert found["unrelaxed_ev"] == pytest.approx(energies[0] - energies[1], abs=1e-6)
    assert found["relaxed_ev"] < 0
    assert found["converged"]


def test_large_atoms_go_where_there_is_room(finished):
    """Zr is a third larger than Mo, W as large: stretched sites draw Zr, and W hardly feels them."""
    results = read_results(finished[0])
    trend = results["with_volume"]
    assert trend["Zr"]["spearman"] < -0.6
    assert trend["Zr"]["slope_ev_per_angstrom3"] < -0.2
    energies = {d: [e["relaxed_ev"] for e in results["energies"] if e["dopant"] == d]
                for d in ("Zr", "W")}  # fmt: skip
    assert min(energies["Zr"]) < -0.4
    assert max(np.abs(energies["W"])) < 0.2


def test_far_from_the_boundary_nothing_is_gained(finished):
    results = read_results(finished[0])
    near = max(abs(e["relaxed_ev"]) for e in results["energies"] if e["dopant"] == "Zr")
    assert abs(results["far_ev"]["Zr"]["largest_ev"]) < 0.15 * near
    assert abs(results["middle_minus_bulk_ev"]["Zr"]) < 0.1 * near


def test_the_isotherm_is_that_of_the_energies(finished):
    results = read_results(finished[0])
    own = {e["site"]: e["relaxed_ev"] for e in results["energies"] if e["dopant"] == "Zr"}
    values = [
        own[site["label"]]
        for site in results["sites"]
        for _ in range(site["n_alike"])
        if site["distance_angstrom"] <= 4
    ]
    row = next(
        r for r in results["isotherm"]
        if (r["dopant"], r["temperature_k"], r["bulk_fraction"]) == ("Zr", 1200, 0.01)
    )  # fmt: skip
    assert row["boundary_fraction"] == pytest.approx(site_filling(0.01, values, 1200).fraction)
    assert row["excess_per_nm2"] > 0
    assert row["boundary_energy_change_j_per_m2"] < 0


def test_monte_carlo_keeps_the_dopants_and_sees_the_boundary(finished):
    (run,) = read_results(finished[0])["mcmd"]
    assert run["swaps_tried"] == 600  # 5 at each of 120 calls
    assert 0 < run["swaps_accepted"] < 600
    assert run["moved_fraction"] < 0.1
    bins = run["profile"]
    held = sum(f * n for f, n in zip(bins["fraction"], bins["n_atoms"], strict=True) if n)
    assert held == pytest.approx(run["n_dopants"], abs=1e-6)
    assert sum(bins["n_atoms"]) == run["n_atoms"]
    # so short a run is far from equilibrium, but the boundary has more than the bulk by then
    assert run["boundary"]["value"] > run["bulk"]["value"]
    assert run["boundary"]["isotherm"] > run["bulk"]["isotherm"]
    assert run["sites"]["1"]["isotherm"] == max(one["isotherm"] for one in run["sites"].values())


def test_a_folder_whose_monte_carlo_failed_is_not_done(finished, bundle, tmp_path):
    """So --slurm submits what is left of it, instead of running LAMMPS where it was asked."""
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    hot = {"dopants": ["Zr"], "steps": 100, "width_angstrom": 6, "swap_every": 5, "swaps": 5,
           "total_fraction": 0.04, "temperatures_k": [1600]}  # fmt: skip
    config = settings(
        bundle, mcmd=hot, dump_interval=10, restart_interval=100, watch={"close_fraction": 0.98}
    )
    _, outcome = segregation(config, out=out, console=quiet())
    assert list(outcome.failed) == ["Zr-0.04/1600K"]
    assert not _is_done(config, out)
    assert read_json(out / "manifest.json")["finished"] is None
    cold = config.model_copy(update={"mcmd": None})
    segregation(cold, out=out, console=quiet())
    assert _is_done(cold, out)
    assert not _is_done(config, out)


def test_other_sites_and_bins_are_looked_for_in_the_frames_that_are_there(
    finished, bundle, tmp_path
):
    """Contents by site stood beside the sites of other settings, and a missing one became NaN."""
    out = tmp_path / "out"
    shutil.copytree(finished[0], out)
    mcmd = {"dopants": ["Zr"], "steps": 600, "width_angstrom": 6, "total_fraction": 0.04,
            "swap_every": 5, "swaps": 5, "temperatures_k": [1500], "bin_angstrom": 2}  # fmt: skip
    fewer = {"max_distance_angstrom": 3, "width_angstrom": 2, "check_alike": 2}
    config = settings(bundle, mcmd=mcmd, sites=fewer, dump_interval=10, restart_interval=100)
    logs = sorted(out.rglob("log.*.lammps"))
    results, outcome = segregation(config, out=out, console=quiet())
    assert outcome.done == ("Zr-0.04/1500K",)
    assert sorted(out.rglob("log.*.lammps")) == logs
    (run,), (before,) = results["mcmd"], read_results(finished[0])["mcmd"]
    assert list(run["sites"]) == [site["label"] for site in results["sites"]]
    assert len(run["sites"]) < len(before["sites"])
    assert run["sites"]["1"]["value"] == before["sites"]["1"]["value"]
    assert run["boundary"]["n_sites"] < before["boundary"]["n_sites"]
    assert len(run["profile"]["fraction"]) < len(before["profile"]["fraction"])
    assert read_results(out) == results


def test_more_temperatures_cost_no_more_cells(finished, bundle, monkeypatch):
    out, _, after = finished
    monkeypatch.setattr(
        "moalloy_md.workflows.segregation.workflow.relax_host", None
    )  # the host is there
    more = settings(bundle, temperatures_k=[700, 1100])
    results, _ = segregation(more, out=out, console=quiet())
    assert n_lines(out / "cells" / "relaxations.jsonl") == after
    assert {row["temperature_k"] for row in results["isotherm"]} == {700, 1100}
    with pytest.raises(RunDirectoryError, match="min_thickness_angstrom = 12"):
        segregation(
            settings(bundle, host={**BOUNDARY, "min_thickness_angstrom": 14}), out=out,
            console=quiet(),
        )  # fmt: skip


def test_a_forecast_leaves_nothing_and_counts_what_is_done(finished, bundle, tmp_path):
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(SETTINGS))
    answer = CliRunner().invoke(
        app,
        ["simulate", "segregation", "--bundle", str(bundle), "--config", str(tmp_path / "s.yaml"),
         "--out", str(tmp_path / "out"), "--dry-run"],
    )  # fmt: skip
    assert answer.exit_code == 0, answer.output
    assert "relaxations of" in answer.output
    assert "not relaxed yet" in " ".join(answer.output.split())
    assert not (tmp_path / "out").exists()
    out, _, after = finished
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    said = Console(file=io.StringIO(), width=200)
    assert show_forecast(settings(bundle), out=out, ranks=1, console=said) == 0
    assert f"{after} relaxations" in said.file.getvalue()
    assert f"{after} done" in said.file.getvalue()
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*")}


@pytest.mark.slow
def test_a_host_that_a_dopant_changes_is_told(bundle, tmp_path):
    """The twin as it is built shears when Zr disturbs it, and the gain is in all its energies."""
    twin = settings(
        bundle,
        host={"kind": "boundary", "boundary": "sigma3-112", "min_thickness_angstrom": 14},
        dopants=["Zr", "W"],
        sizes_angstrom=[8],
        sites={"max_distance_angstrom": 3, "width_angstrom": 3, "check_alike": 0},
    )
    results, _ = segregation(twin, out=tmp_path / "out", console=quiet())
    assert any("changed the boundary's structure" in one for one in results["cautions"])
    changed = {e["dopant"] for e in results["energies"] if e["wide_shift_angstrom"] > 0.1}
    assert changed == {"Zr"}
    quiet_ones = [e for e in results["energies"] if e["dopant"] == "W"]
    assert max(e["largest_shift_angstrom"] for e in quiet_ones) < 0.15


# ---- large hosts -------------------------------------------------------------------------------------------


def test_frozen_atoms_stay(bundle):
    atoms = bulk("Mo", "bcc", a=3.17, cubic=True).repeat(3)
    atoms.symbols[0] = "Zr"
    atoms.set_constraint(FixAtoms(indices=range(20, 54)))
    calculator = NativeCalculator(bundle, precision="float64", threads=1)
    found = relax_one(Task("x", atoms), calculator, fmax_ev_per_angstrom=0.01, max_steps=100)
    moved = np.linalg.norm(found.positions - atoms.positions, axis=1)
    assert moved[20:].max() == 0
    assert moved[:20].max() > 0.01
    assert found.converged


@pytest.mark.slow
def test_spheres_agree_with_the_whole_cell(bundle, tmp_path):
    """The boundary's own cell, wide, beside spheres cut from a wide copy of the same host."""
    wide = settings(
        bundle,
        host={**BOUNDARY, "min_thickness_angstrom": 18},
        dopants=["Zr"],
        sizes_angstrom=[12],
        sites={"max_distance_angstrom": 2.5, "width_angstrom": 2.5, "check_alike": 0},
    )
    whole, _ = segregation(wide, out=tmp_path / "whole", console=quiet())
    work = Work(wide, tmp_path / "whole", 1, quiet())
    copies = work.host.atoms.repeat((9, 3, 1))
    host = work.host.with_atoms(copies)
    clusters = Clusters(
        host, work.chosen, ["Zr"],
        settings=wide.spheres.model_copy(update={"free_radius_angstrom": 6.0}),
        reach_angstrom=8.0,
    )  # fmt: skip
    calculator = NativeCalculator(bundle, precision="float64", threads=1)
    relaxed = {
        task.key: relax_one(task, calculator, fmax_ev_per_angstrom=0.01, max_steps=200)
        for task in clusters.tasks()
    }
    for one in clusters.read(relaxed).sites:
        expected = next(e for e in whole["energies"] if e["site"] == one.site)
        assert one.unrelaxed_ev == pytest.approx(expected["unrelaxed_ev"], abs=0.02)
        assert one.relaxed_ev == pytest.approx(expected["relaxed_ev"], abs=0.05)


@pytest.mark.slow
def test_a_polycrystal_has_a_spectrum(bundle, tmp_path):
    config = settings(
        bundle,
        host={"kind": "polycrystal", "size_angstrom": 45, "n_grains": 3},
        dopants=["Zr"],
        sites={"n_random": 12, "n_crystal": 2},
        spheres={
            "above_atoms": 1000,
            "anneal": {"temperature_k": 1200, "hold_ps": 1, "cooling_ps": 1},
            "free_radius_angstrom": 5,
            "shell_angstrom": 8,
        },
        fmax_ev_per_angstrom=0.03,
    )
    results, _ = segregation(config, out=tmp_path / "out", ranks=2, console=quiet())
    hot = read_run(tmp_path / "out" / "anneal")
    assert hot.column("Temp")[(hot.steps > 300) & (hot.steps <= 500)].mean() == pytest.approx(
        1200,
        rel=0.2,  # boundaries that relax heat it
    )
    assert hot.column("Temp")[-1] < 900  # 1 ps is too short to get to 300 K
    assert np.ptp(hot.column("Lx")) > 0
    assert results["host"]["max_force_ev_per_angstrom"] <= 0.05
    assert not any("not annealed" in caution for caution in results["cautions"])
    assert results["host"]["is_sampled"]
    spectrum = results["spectra"]["Zr"]
    assert spectrum["n_energies"] == 12
    assert spectrum["mean_ev"] < -0.1
    assert abs(results["far_ev"]["Zr"]["largest_ev"]) < 0.1
    assert json.loads((tmp_path / "out" / "segregation.json").read_text()) == results
