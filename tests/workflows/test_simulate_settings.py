"""Settings that change under the results of a simulation: refused, or analysed anew from the frames."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from support.thermal import VANADIUM, settings

from moalloy_md.config import validate
from moalloy_md.errors import RunDirectoryError
from moalloy_md.lammps.inputs import input_file
from moalloy_md.lammps.logs import read_run
from moalloy_md.workflows.simulate.plan import read_status
from moalloy_md.workflows.simulate.workflow import plan_costs
from moalloy_md.workflows.sro.config import SroConfig
from moalloy_md.workflows.sro.workflow import sro
from moalloy_md.workflows.thermal.workflow import TOPIC, thermal

QUIET = Console(quiet=True)
RAMP = {"start_k": 300, "end_k": 900, "steps": 1000, "n_windows": 4}
SMALL = {
    "compositions": {"Fe4": {"Fe": 0.04}},
    "temperatures_k": [300],
    "steps": 1000,
    "ramp": RAMP,
}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A finished simulation, to be copied."""
    out = tmp_path_factory.mktemp("thermal") / "out"
    found, _ = thermal(settings(**SMALL), out=out, console=QUIET)
    assert len(found.done) == 2, found
    return out


@pytest.fixture
def out(simulated, tmp_path):
    return shutil.copytree(simulated, tmp_path / "out")


def contents(out):
    """What a refusal has to leave as it was."""
    names = ("simulation.json", "thermal.json", "structures/Fe4.data")
    return {name: (out / name).read_bytes() for name in names}


def of_lammps(out):
    return {path: path.stat().st_mtime_ns for path in out.rglob("log.*.lammps")}


# ---- settings of the motion --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"compositions": {"Fe4": {"Fe": 0.2}}},
            (
                r"compositions\.Fe4 was \{'Fe': 0\.04\} and is now \{'Fe': 0\.2\}, after Fe4/npt-300K and 1 "
                "more were begun with the old value. Give the old value back; or give the new composition "
                "another name; or choose another folder; or remove the folders of these runs in .*/runs"
            ),
        ),
        (
            {"ramp": {**RAMP, "end_k": 3000}},
            r"ramp\.end_k was 900\.0 and is now 3000\.0, after Fe4/ramp was begun with the old value",
        ),
        ({"ramp": {**RAMP, "start_k": 200}}, r"ramp\.start_k was 300\.0 and is now 200\.0"),
        (
            {
                "ramp": {**RAMP, "start_k": 200},
                "compositions": {"Fe4": {"Fe": 0.037}},
            },  # as many atoms
            r"ramp\.start_k was 300\.0",
        ),
        ({"ramp": {**RAMP, "steps": 2000}}, r"ramp\.steps was 1000 and is now 2000"),
    ],
)
def test_settings_of_the_motion_are_refused_before_anything_is_written(out, changes, sentence):
    """They are in no name and in no identity of the folder: the old numbers stood beside the new settings."""
    before = contents(out)
    changed = settings(**{**SMALL, **changes})
    with pytest.raises(RunDirectoryError, match=sentence):
        thermal(changed, out=out, console=QUIET)
    with pytest.raises(RunDirectoryError, match=sentence):
        plan_costs(TOPIC, changed, out=out, ranks=1, console=QUIET)
    assert contents(out) == before
    assert [path.name for path in out.glob(".*")] == [".lock"]


def test_a_run_that_only_failed_keeps_its_settings_too(out):
    """Its structure would be replaced under its frames; its folder removed, it is begun anew."""
    folder = out / "runs" / "Fe4" / "npt-300K"
    status = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**status, "state": "failed", "error": "disk"}))
    changed = settings(**{**SMALL, "ramp": None, "compositions": {"Fe4": {"Fe": 0.2}}})
    with pytest.raises(RunDirectoryError, match=r"compositions\.Fe4 was"):
        thermal(changed, out=out, console=QUIET)
    shutil.rmtree(out / "runs" / "Fe4")
    found, results = thermal(changed, out=out, console=QUIET)
    assert found.done == ("Fe4/npt-300K",)
    assert results.compositions[0].counts == {"V": 43, "Fe": 11}


def test_runs_of_versions_that_recorded_less_are_refused_by_what_they_recorded(out):
    for path in out.glob("runs/*/*/manifest.json"):
        manifest = json.loads(path.read_text())
        del manifest["settings"]
        path.write_text(json.dumps(manifest))
    counts = r"compositions .atoms. was \{'V': 52, 'Fe': 2\} and is now \{'V': 43, 'Fe': 11\}"
    for changes, sentence in (
        ({"compositions": {"Fe4": {"Fe": 0.2}}}, counts),
        ({"ramp": {**RAMP, "end_k": 3000}}, "end_temperature_k was 900.0 and is now 3000.0"),
    ):
        with pytest.raises(RunDirectoryError, match=sentence):
            thermal(settings(**{**SMALL, **changes}), out=out, console=QUIET)


def test_what_may_grow_still_grows(out):
    """More steps, temperatures and compositions; and a fraction that gives the same atoms is the same."""
    more = {
        **SMALL,
        "compositions": {"Fe4": {"Fe": 0.037}, "Fe6": {"Fe": 0.06}},
        "temperatures_k": [300, 400],
        "steps": 2000,
    }
    found, results = thermal(settings(**more), out=out, console=QUIET, only="Fe4")
    assert len(found.done) == 3, found
    (one,) = results.compositions
    assert {t: run["steps"] for t, run in one.runs.items()} == {300.0: 2000, 400.0: 2000}


def test_the_manifest_names_the_variables_to_run_it_by_hand(out, tmp_path):
    """The input with them, in an empty folder, goes through the same states."""
    folder = out / "runs" / "Fe4" / "npt-300K"
    variables = json.loads((folder / "manifest.json").read_text())["variables"]
    assert {"structure", "elements", "style", "potential", "restart_interval", "steps"} <= set(
        variables
    )
    variables["steps"] = "100"
    lmp = Path(sys.executable).with_name("lmp")  # as a user starts it
    command = [str(lmp), "-in", str(input_file("in.npt")), "-log", "none"]
    for name, value in variables.items():
        command += ["-var", name, value]
    by_hand = tmp_path / "hand"
    by_hand.mkdir()
    subprocess.run(command, cwd=by_hand, check=True, capture_output=True, timeout=60)
    np.testing.assert_allclose(
        read_run(by_hand).column("PotEng"), read_run(folder).column("PotEng")[:11], rtol=1e-9
    )


# ---- settings of the analysis ------------------------------------------------------------------------


def test_settings_of_the_analysis_make_the_results_anew_from_the_frames(out):
    """Without LAMMPS, and as often as they change; the numbers are those of a fresh analysis."""
    first, logs = json.loads((out / "thermal.json").read_text()), of_lammps(out)
    other = {"rdf_cutoff_angstrom": 6.0, "ramp": {**RAMP, "n_windows": 5}}
    found, results = thermal(settings(**{**SMALL, **other}), out=out, console=QUIET)
    assert len(found.done) == 2
    (one,) = results.compositions
    assert max(one.runs[300.0]["rdf"]["distances_angstrom"]) < 6.0
    assert len(one.ramp["windows"]["bcc_fraction"]["values"]) == 5
    back, _ = thermal(settings(**SMALL), out=out, console=QUIET)
    assert json.loads((out / "thermal.json").read_text()) == first
    assert of_lammps(out) == logs
    assert back.done == found.done


def test_the_cutoff_of_the_crystal_is_a_setting_and_stands_beside_the_numbers(out):
    """As `moalloy analyze structure` counts with the same one."""
    from moalloy_md.analysis.crystal import crystal_series
    from moalloy_md.lammps.frames import frame_files

    for cutoff in (0.15, 0.04):
        config = settings(**SMALL, crystal_rmsd_cutoff=cutoff)
        _, results = thermal(config, out=out, console=QUIET, only="Fe4/npt")
        ours = results.compositions[0].runs[300.0]["quantities"]["bcc_fraction"]["mean"]
        frames = frame_files(out / "runs" / "Fe4" / "npt-300K")
        assert ours in [
            pytest.approx(crystal_series(frames[first:], rmsd_cutoff=cutoff).bcc.mean())
            for first in range(len(frames))  # without the start that is not in equilibrium
        ]
        assert json.loads((out / "thermal.json").read_text())["crystal_rmsd_cutoff"] == cutoff
        assert (ours > 0.9) == (cutoff == 0.15)


def test_a_ramp_of_few_frames_is_told_as_such():
    from moalloy_md.analysis.thermal import window_means
    from moalloy_md.workflows.thermal.analysis import _loses_bcc

    few = window_means([300, 400, 500], [1.0, 1.0, 1.0], edges=[250, 550])
    assert _loses_bcc(few, 300.0)["note"].startswith("fewer than 4 frames in each window: lower")
    assert "not looked at" in _loses_bcc(None, 300.0)["note"]


def test_results_of_earlier_versions_are_analysed_anew(out):
    """They do not say what they were analysed with."""
    path = out / "runs" / "Fe4" / "npt-300K" / "results.json"
    old = json.loads(path.read_text())
    new = dict(old)
    del new["analysis"]
    path.write_text(json.dumps({**new, "rdf": {}}))
    thermal(settings(**SMALL), out=out, console=QUIET)
    assert json.loads(path.read_text()) == old


def test_a_run_that_cannot_be_analysed_anew_says_why_and_keeps_its_results(out):
    folder = out / "runs" / "Fe4" / "npt-300K"
    shutil.rmtree(folder / "frames")
    old = (folder / "results.json").read_bytes()
    found, results = thermal(
        settings(**SMALL, rdf_cutoff_angstrom=6.0), out=out, console=QUIET, only="Fe4/npt"
    )
    (error,) = found.failed.values()
    assert (
        "(rdf_cutoff_angstrom was 8.0 and is now 6.0), and it could not be analysed anew" in error
    )
    assert "frames: expected frames" in error
    assert "Give the old settings back" in error
    assert 300.0 not in results.compositions[0].runs  # the new settings have no number
    assert (folder / "results.json").read_bytes() == old
    again, results = thermal(settings(**SMALL), out=out, console=QUIET, only="Fe4/npt")
    assert (again.done, again.failed) == (("Fe4/npt-300K",), {})
    assert 300.0 in results.compositions[0].runs
    assert read_status(folder).state == "done"


def test_limits_of_the_watch_are_judged_again(out):
    tight = settings(**SMALL, watch={"close_fraction": 0.9})
    found, results = thermal(tight, out=out, console=QUIET)
    assert results is None
    assert set(found.failed) == {"Fe4/npt-300K", "Fe4/ramp"}
    for error in found.failed.values():
        assert "watch.close_fraction was 0.55 and is now 0.9" in error
        assert "expected atoms farther apart than 0.9" in error
    found, _ = thermal(settings(**SMALL), out=out, console=QUIET)
    assert len(found.done) == 2


def test_short_range_order_in_more_shells_of_the_same_run(tmp_path):
    """It ended in a KeyError: the shell that was never counted."""
    base = {
        **{key: VANADIUM[key] for key in ("potential", "host", "repeat", "lattice_parameter_angstrom")},
        "compositions": {"Fe4": {"Fe": 0.04}}, "temperatures_k": [900], "rigid": True, "steps": 100,
        "swap_every": 1, "swaps": 5, "dump_interval": 1, "thermo_interval": 1, "shells": 3,
        "rdf_cutoff_angstrom": 6.0, "picture": False,
    }  # fmt: skip

    def run(**changes):
        config = validate({**base, **changes}, SroConfig, source="sro.yaml")
        return sro(config, out=tmp_path / "out", console=QUIET)[1]

    few = run()
    logs = of_lammps(tmp_path)
    (more,) = run(shells=4).ensembles
    assert more.alpha("Fe-Fe", 4).n_effective is None or more.alpha("Fe-Fe", 4).n_effective >= 1
    assert more.alpha("Fe-Fe", 1) == few.ensembles[0].alpha("Fe-Fe", 1)
    assert of_lammps(tmp_path) == logs
    with pytest.raises(RunDirectoryError, match=r"compositions\.Fe4 was .*0\.04.* is now .*0\.3"):
        run(compositions={"Fe4": {"Fe": 0.3}})
