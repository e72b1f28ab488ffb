"""`moalloy simulate sro`: refusals, and V-Fe from end to end, killed once, against exact numbers."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from ase import units
from rich.console import Console
from support import lmp, vanadium
from support.bundles import fake_bundle
from support.processes import processes_below
from typer.testing import CliRunner

from moalloy_md.cli.app import app
from moalloy_md.config import validate
from moalloy_md.errors import ConfigError, ModelError, RunDirectoryError
from moalloy_md.structures.host import HostCell
from moalloy_md.structures.lattice import neighbour_shells
from moalloy_md.structures.pairs import pair_sites
from moalloy_md.workflows.simulate.run import read_plan
from moalloy_md.workflows.sro.config import SroConfig
from moalloy_md.workflows.sro.workflow import TOPIC, sro

QUIET = Console(quiet=True)

#: Two Fe in 54 sites, rigid: all their places can be counted.
VANADIUM = {
    "potential": {
        "kind": "lammps",
        "style": "eam/fs",
        "files": ["VFe_mm.eam.fs"],
        "elements": ["V", "Fe"],
    },
    "host": "V",
    "repeat": 3,
    "lattice_parameter_angstrom": vanadium.A0,
    "compositions": {"Fe4": {"Fe": 0.037}},
    "temperatures_k": [1500],
    "rigid": True,
    "steps": 400,
    "swap_every": 1,
    "swaps": 20,
    "dump_interval": 1,
    "thermo_interval": 1,
    "restart_interval": 200,
    "shells": 5,
    "rdf_cutoff_angstrom": 6.0,
}


def settings(base=VANADIUM, **changes):
    return validate({**base, **changes}, SroConfig, source="sro.yaml")


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"compositions": {"pure": {}}}, "pure: expected at least one dopant, found pure V: there"),
        ({"compositions": {"a": {"V": 0.1}}}, "dopants other than the host, found V"),
        ({"compositions": {"a": {"Xx": 0.1}}}, r"compositions\.a\.Xx.*found 'Xx'"),
        ({"compositions": {"a": {"Fe": 0.001}}}, "a fraction that gives an atom, found 0.001"),
        ({"swap_every": 0}, "swap_every"),
        ({"swaps": 0}, "swaps"),
        ({"temperatures_k": [300, -5]}, "temperatures above 0 K, found -5"),
        ({"starts": ["random", "random"]}, "expected different starts"),
        ({"starts": ["ordered"]}, "starts"),
        ({"shells": 7, "repeat": 2}, r"nearer than an atom's own image .5 in this cell., found 7"),
        ({"swap_evry": 5}, "did you mean 'swap_every'"),
        ({"barostat": "isotropic"}, "barostat"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, sentence):
    with pytest.raises(ConfigError, match=sentence):
        settings(**changes)


def test_no_compositions_are_refused():
    with pytest.raises(ConfigError, match="compositions"):
        validate({}, SroConfig, source="sro.yaml")


def test_what_only_the_files_show_is_refused(tmp_path):
    out = tmp_path / "out"
    potential = {"kind": "bundle", "bundle": str(fake_bundle(tmp_path / "b", ("V", "Fe")))}
    with pytest.raises(ModelError, match="knows Nb, V, found V, Fe, without Nb: export the model"):
        sro(settings(potential=potential, compositions={"a": {"Nb": 0.04}}), out=out, console=QUIET)
    with pytest.raises(ConfigError, match="expected a potential, found none: give --bundle"):
        sro(settings(potential=None), out=out, console=QUIET)
    assert not out.exists()


def test_folders_of_something_else_are_refused(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("mine")
    with pytest.raises(RunDirectoryError, match=r"without a manifest\.json"):
        sro(settings(), out=mine, console=QUIET)
    assert [path.name for path in mine.iterdir() if path.name[0] != "."] == ["thesis.tex"]
    other = tmp_path / "thermal"
    other.mkdir()
    (other / "manifest.json").write_text(json.dumps({"kind": "simulate thermal", "config": {}}))
    with pytest.raises(RunDirectoryError, match="found one left by 'moalloy simulate thermal'"):
        sro(settings(), out=other, console=QUIET)


# ---- from end to end, killed once --------------------------------------------------------------------


def start(folder):
    with (folder / "screen").open("a") as screen:
        return subprocess.Popen(
            [sys.executable, "-m", "moalloy_md.cli.app", "simulate", "sro",
             "--config", "sro.yaml", "--out", "out"],
            cwd=folder, stdout=screen, stderr=subprocess.STDOUT, env={**os.environ, "COLUMNS": "100"},
        )  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sro")
    (folder / "sro.yaml").write_text(yaml.safe_dump(VANADIUM, sort_keys=False))
    restart = folder / "out" / "runs" / "Fe4" / "1500K-random" / "restart.mcmd"
    process, end = start(folder), time.monotonic() + 240
    while not restart.exists():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while processes_below(folder):
        assert time.monotonic() < end, "lmp was left behind"
        time.sleep(0.05)
    assert start(folder).wait(timeout=600) == 0, (folder / "screen").read_text()[-3000:]
    return folder


def results_of(folder):
    (one,) = json.loads((folder / "out" / "sro.json").read_text())["ensembles"]
    return one


def exact_alpha(folder, temperature_k):
    """α of Fe-Fe in each shell, from the energies of all 53 places of the second Fe."""
    cell = HostCell(host="V", repeat=3, lattice_parameter_angstrom=vanadium.A0)
    kinds, host, cells = pair_sites(cell), vanadium.crystal(), []
    for kind in kinds:
        pair = host.copy()
        pair.symbols[[0, kind.site]] = "Fe"
        cells.append(pair)
    folder.mkdir()
    levels = lmp.energies(cells, folder, symbols=vanadium.TYPES, pair_lines=vanadium.pair_lines())
    weights = np.exp(-(levels - levels.min()) / (units.kB * temperature_k))
    weights *= [kind.n_sites for kind in kinds]
    neighbours = np.zeros(5)  # mean number in each shell: each image counts
    for kind, weight in zip(kinds, weights / weights.sum(), strict=True):
        if kind.shell <= 5:
            neighbours[kind.shell - 1] += weight * kind.n_contacts
    coordination = [len(shell.vectors) for shell in neighbour_shells("bcc", 5)]
    return 1 - neighbours / coordination / (2 / 54)


def test_alpha_is_that_of_all_arrangements(finished, tmp_path):
    one = results_of(finished)
    exact = exact_alpha(tmp_path / "levels", 1500)
    assert np.ptp(exact) > 0.5
    for shell, alpha in enumerate(exact, start=1):
        found = one["both"][f"alpha_Fe-Fe_{shell}"]
        assert found["error"] < 0.15
        assert found["value"] == pytest.approx(alpha, abs=4 * found["error"])
        if shell in (1, 3):  # where Fe repel and attract each other most
            assert abs(found["value"] - one["random_alpha"]["Fe-Fe"]) > 4 * found["error"]


def test_both_starts_meet_and_it_is_said(finished):
    one = results_of(finished)
    assert one["converged"], one["verdict"]
    assert one["verdict"].startswith(
        "Fe4 at 1500 K: converged: the starts have met in all 7 numbers"
    )
    assert set(one["starts"]) == {"random", "clustered"}
    text = (finished / "screen").read_text()
    assert "Fe4 at 1500 K: swaps that succeed: V-Fe" in text
    assert "2 done, 0 failed, 0 not finished." in text
    assert "α1" in text


def test_counts_and_series_agree_with_the_log(finished):
    """They go on over the kill: 400 calls of twenty attempts."""
    one = results_of(finished)
    for start_name, run in one["starts"].items():
        swaps = run["swaps"]["V-Fe"]
        assert swaps["attempted"] == 400 * 20
        assert swaps["rate"]["value"] == pytest.approx(
            swaps["accepted"] / swaps["attempted"], abs=4 * swaps["rate"]["error"]
        )
        assert run["swaps_per_atom"] == {"Fe": swaps["accepted"] / 2}
        folder = finished / "out" / "runs" / "Fe4" / f"1500K-{start_name}"
        with (folder / "series.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 401
        assert float(rows[-1]["swaps_per_dopant"]) == pytest.approx(swaps["accepted"] / 2)
        first = float(rows[0]["alpha_Fe-Fe_1"])
        assert (first < -2) == (start_name == "clustered")
        assert (folder / "last_frame.png").read_bytes().startswith(b"\x89PNG")


def test_it_leaves_tables_and_pictures(finished):
    out = finished / "out"
    for name in ("alpha", "alpha_against_swaps", "clusters", "pair_correlation"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
    with (out / "sro.csv").open() as file:
        rows = {row["quantity"]: row for row in csv.DictReader(file)}
    one = results_of(finished)
    alpha = rows["alpha_Fe-Fe_3"]
    assert float(alpha["value"]) == one["both"]["alpha_Fe-Fe_3"]["value"]
    assert float(alpha["in_a_random_alloy"]) == one["random_alpha"]["Fe-Fe"]
    assert alpha["starts_agree"] == "True"
    with (out / "swaps.csv").open() as file:
        assert {row["start"] for row in csv.DictReader(file)} == {"random", "clustered"}
    assert not list(out.rglob("*.tmp"))


def test_other_settings_are_refused_and_done_runs_are_kept(finished):
    before = (
        (finished / "out" / "runs" / "Fe4" / "1500K-random" / "results.json").stat().st_mtime_ns
    )
    with pytest.raises(RunDirectoryError, match="swaps = 20, now asked to go on with 7"):
        sro(settings(swaps=7), out=finished / "out", console=QUIET)
    answer = CliRunner().invoke(
        app,
        ["simulate", "sro", "--config", str(finished / "sro.yaml"), "--out",
         str(finished / "out"), "--json"],
    )  # fmt: skip
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["ensembles"][0]["converged"]
    after = (finished / "out" / "runs" / "Fe4" / "1500K-random" / "results.json").stat().st_mtime_ns
    assert after == before


def test_a_run_that_is_too_short_is_not_called_converged_and_can_be_extended(tmp_path):
    """With motion, and one start of two at first."""
    base = {
        **VANADIUM, "rigid": False, "steps": 200, "swap_every": 10, "swaps": 5,
        "dump_interval": 20, "thermo_interval": 10, "temperatures_k": [900], "picture": False,
    }  # fmt: skip
    found, results = sro(settings(base), out=tmp_path / "out", only="Fe4/900K-ran", console=QUIET)
    assert (len(found.done), len(found.failed)) == (1, 0)
    (one,) = results.ensembles
    assert "the run from the clustered start is not done" in one.verdict()
    found, results = sro(settings(base), out=tmp_path / "out", console=QUIET)
    (one,) = results.ensembles
    assert "Fe4 at 900 K: not converged: " in one.verdict()
    assert "have no error yet" in one.verdict()
    assert one.verdict().endswith("Give more steps")
    found, results = sro(settings(base, steps=400), out=tmp_path / "out", console=QUIET)
    (one,) = results.ensembles
    assert [run["steps"] for run in one.starts.values()] == [400, 400]
    assert {run["swaps"]["V-Fe"]["attempted"] for run in one.starts.values()} == {40 * 5}
    assert len(read_plan(tmp_path / "out")[1]) == 2
    temperature = one.quantities["temperature_k"]
    assert temperature.value == pytest.approx(900, abs=300)


def test_a_dry_run_counts_the_energies_of_swaps_and_leaves_nothing(tmp_path):
    few = settings(starts=["random"], swap_every=20, swaps=10)
    (run,) = TOPIC.plan(few, tmp_path / "plan")
    assert run.evaluations_per_step == pytest.approx(1 + 11 / 20)
    (tmp_path / "sro.yaml").write_text(yaml.safe_dump(VANADIUM))
    answer = CliRunner().invoke(
        app,
        ["simulate", "sro", "--config", str(tmp_path / "sro.yaml"), "--out", str(tmp_path / "out"),
         "--dry-run"],
    )  # fmt: skip
    assert answer.exit_code == 0
    assert not (tmp_path / "out").exists()
