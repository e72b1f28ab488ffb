"""``moalloy analyze`` from files to results: what it writes, resumes, compares and refuses."""

import csv
import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from support.frames import write_dump
from typer.testing import CliRunner

from moalloy_md.analysis import ovito_support, pictures, trajectory
from moalloy_md.analysis.ovito_support import OvitoError
from moalloy_md.analysis.quantities import mean_of, mean_of_independent
from moalloy_md.analysis.topics.base import Column
from moalloy_md.analysis.topics.sro import SroSettings
from moalloy_md.analysis.topics.structure import Structure, StructureSettings
from moalloy_md.cli.app import app
from moalloy_md.errors import ConfigError, DataError, RunDirectoryError
from moalloy_md.report.analyze_plots import series_figure
from moalloy_md.workflows.analyze.compare import compare
from moalloy_md.workflows.analyze.files import trajectory_files
from moalloy_md.workflows.analyze.workflow import RESULTS, TOPICS, analyze, default_out

QUICK = StructureSettings(picture=False)


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    """Rendering is most of the time otherwise."""
    monkeypatch.setattr(pictures, "draw", partial(pictures.draw, size=(120, 100)))


def alloy(seed=0, *, rattle=0.1, a=3.15):
    atoms = bulk("Mo", "bcc", a=a, cubic=True) * (4, 4, 4)
    atoms.symbols[[3, 40, 77, 100]] = "W"
    atoms.rattle(rattle, seed=seed)
    atoms.wrap()
    return atoms


def make_run(folder, n_frames, **options):
    """A run folder as our inputs leave it."""
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    for k in range(n_frames):
        write_dump(alloy(k, **options), folder / f"frames/{k * 50:09d}.dump", step=k * 50)
    return folder


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run", 3)


def rows_of(out):
    with (out / "frames.csv").open() as file:
        return list(csv.DictReader(file))


def test_what_it_leaves(run):
    out = default_out(run, "structure")
    seen = []
    results = analyze(StructureSettings(), run, out=out, watch=lambda *step: seen.append(step))
    assert out == run / "analysis" / "structure"
    assert json.loads((out / RESULTS).read_text()) == json.loads(json.dumps(results))
    assert (results["n_frames"], results["n_atoms"]) == (3, 128)
    assert (results["first_step"], results["last_step"]) == (0, 100)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    rows = rows_of(out)
    assert [row["step"] for row in rows] == ["0", "50", "100"]
    bcc = results["quantities"]["bcc"]
    assert bcc["value"] == pytest.approx(np.mean([float(row["bcc"]) for row in rows]))
    assert bcc["error"] is None
    assert "expected at least 30 samples" in bcc["note"]
    assert (out / "picture.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "frames.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "frames.pdf").read_bytes().startswith(b"%PDF")


def test_error_and_sample_count_where_there_are_frames_enough(tmp_path):
    run = make_run(tmp_path / "run", 90, rattle=0.22)
    results = analyze(QUICK, run, out=tmp_path / "out")
    bcc = results["quantities"]["bcc"]
    values = [float(row["bcc"]) for row in rows_of(tmp_path / "out")]
    assert 45 <= bcc["n_samples"] <= 90
    assert 0 < bcc["error"] < np.std(values)
    assert bcc["interval_95"][0] < bcc["value"] < bcc["interval_95"][1]


def test_a_killed_analysis_goes_on_and_sees_new_frames(run, monkeypatch):
    seen = []
    original = Structure.see
    monkeypatch.setattr(
        Structure, "see", lambda self, f: (seen.append(f.step), original(self, f))[1]
    )
    out = run / "analysis" / "structure"
    first = analyze(QUICK, run, out=out)
    assert seen == [0, 50, 100]
    # the run has gone on, and the kill cut a line of what was kept
    for k in (3, 4):
        write_dump(alloy(k), run / f"frames/{k * 50:09d}.dump", step=k * 50)
    store = out / ".frames.jsonl"
    store.write_text(store.read_text() + '{"key": "x", "st')
    seen.clear()
    changed = run / "frames/000000050.dump"
    changed.write_text(changed.read_text() + "\n")  # written anew: measured anew
    second = analyze(QUICK, run, out=out)
    # the changed one and the new ones
    assert seen == [50, 150, 200]
    assert second["n_frames"] == 5
    assert [row["step"] for row in rows_of(out)] == ["0", "50", "100", "150", "200"]
    assert second["quantities"]["bcc"]["value"] == pytest.approx(
        first["quantities"]["bcc"]["value"], abs=0.2
    )


def test_a_file_that_grows_meanwhile_is_measured_as_far_as_it_was(tmp_path):
    file = tmp_path / "all.dump"
    one = write_dump(alloy(), tmp_path / "one", step=100).read_text()
    file.write_text(
        "".join(write_dump(alloy(k), tmp_path / "x", step=k).read_text() for k in (0, 1))
    )

    def lammps_writes_on(_done, _total):
        with file.open("a") as opened:
            opened.write(one)

    results = analyze(QUICK, file, out=tmp_path / "out", watch=lammps_writes_on)
    assert [row["step"] for row in rows_of(tmp_path / "out")] == ["0", "1"]
    assert results["n_frames"] == 2
    again = analyze(QUICK, file, out=tmp_path / "out")
    assert again["n_frames"] == 4


def test_a_truncated_last_frame_is_left_out_and_said(run):
    last = run / "frames/000000100.dump"
    last.write_text(last.read_text()[:2000])
    results = analyze(QUICK, run, out=run / "out")
    assert results["n_frames"] == 2
    assert "000000100.dump: its last frame is not whole and was left out" in results["cautions"][0]


def test_another_truncated_frame_is_an_error(run):
    middle = run / "frames/000000050.dump"
    middle.write_text(middle.read_text()[:2000])
    with pytest.raises(DataError, match=r"050\.dump: expected a frame that OVITO can read"):
        analyze(QUICK, run, out=run / "out")
    assert not (run / "out" / RESULTS).exists()


def test_empty_and_missing_trajectories_are_refused(tmp_path, run):
    empty = tmp_path / "empty.dump"
    empty.write_text("")
    with pytest.raises(DataError, match=r"empty\.dump: expected a whole frame.*the file is empty"):
        analyze(QUICK, empty, out=tmp_path / "out")
    (tmp_path / "none.dump").write_text("hello\n")
    with pytest.raises(DataError, match=r"none\.dump: expected a whole frame, found none"):
        analyze(QUICK, tmp_path / "none.dump", out=tmp_path / "out")
    with pytest.raises(DataError, match="nowhere: expected a run folder or a trajectory"):
        analyze(QUICK, tmp_path / "nowhere", out=tmp_path / "out")
    make_run(tmp_path / "study" / "300K", 1)
    with pytest.raises(DataError, match=r"expected a trajectory .*is it one of .*study/300K\?"):
        trajectory_files(tmp_path / "study")
    (tmp_path / "bare").mkdir()
    with pytest.raises(DataError, match=r"bare: expected a trajectory .*check the path"):
        trajectory_files(tmp_path / "bare")
    (run / "frames" / "000000000.dump").unlink()
    with pytest.raises(DataError, match="expected frames from step 500 on"):
        analyze(QUICK.model_copy(update={"first_step": 500}), run, out=tmp_path / "out")


def test_files_of_a_folder_come_in_the_order_of_their_numbers(tmp_path):
    for n in (10, 9, 100):
        (tmp_path / f"a{n}.dump").touch()
    assert [p.name for p in trajectory_files(tmp_path)] == ["a9.dump", "a10.dump", "a100.dump"]


def test_elements_that_are_not_named(tmp_path):
    named = write_dump(alloy(), tmp_path / "named.dump")
    bare = tmp_path / "bare.dump"
    text = named.read_text().replace("id type element x", "id type x")
    bare.write_text(text.replace(" Mo ", " ").replace(" W ", " "))
    odd = tmp_path / "odd.dump"
    odd.write_text(named.read_text().replace(" W ", " Wolfram "))
    settings = SroSettings(picture=False)
    with pytest.raises(DataError, match="expected chemical symbols, found type 1, type 2: give"):
        analyze(settings, bare, out=tmp_path / "1")
    with pytest.raises(DataError, match="expected chemical symbols, found Wolfram"):
        analyze(settings, odd, out=tmp_path / "2")
    given = settings.model_copy(update={"elements": ("Mo", "W")})
    with pytest.raises(DataError, match=r"names its elements itself \(Mo, W\): leave --elements"):
        analyze(given, named, out=tmp_path / "3")
    short = settings.model_copy(update={"elements": ("Mo",)})
    with pytest.raises(DataError, match="expected 2 elements for its atom types, found 1"):
        analyze(short, bare, out=tmp_path / "4")
    same = [analyze(s, f, out=tmp_path / f.stem) for s, f in ((given, bare), (settings, named))]
    assert same[0]["quantities"] == same[1]["quantities"]


def test_extended_xyz_and_every_second_frame(tmp_path):
    file = tmp_path / "all.extxyz"
    write(file, [alloy(k) for k in range(5)], format="extxyz")
    out = default_out(file, "structure")
    results = analyze(QUICK.model_copy(update={"every": 2}), file, out=out)
    assert results["n_frames"] == 3
    assert out.parent.name == "all.extxyz-analysis"


def test_foreign_folders_and_other_settings_are_refused(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(RunDirectoryError, match="found files without a manifest"):
        analyze(QUICK, run, out=tmp_path / "mine")
    analyze(QUICK, run, out=tmp_path / "out")
    other = QUICK.model_copy(update={"rmsd_cutoff": 0.15})
    with pytest.raises(RunDirectoryError, match=r"rmsd_cutoff = 0\.1, now .*0\.15"):
        analyze(other, run, out=tmp_path / "out")


def test_without_ovito_it_says_so(run, monkeypatch):
    def missing():
        raise OvitoError(ovito_support._what_is_missing(ImportError("libEGL.so.1: cannot open")))

    monkeypatch.setattr(trajectory, "load_ovito", missing)
    with pytest.raises(OvitoError, match=r"libEGL\.so\.1 is missing.*apt-get install"):
        analyze(QUICK, run, out=run / "out")
    assert not (run / "out").exists()


def test_runs_side_by_side(tmp_path):
    runs = [make_run(tmp_path / name, 90, rattle=r) for name, r in (("cold", 0.18), ("hot", 0.25))]
    for one in runs:
        analyze(QUICK, one, out=default_out(one, "structure"))
    results = compare(runs, out=tmp_path / "both")
    assert results["runs"] == ["cold", "hot"]
    bcc = next(row for row in results["topics"]["structure"] if row["name"] == "bcc")
    cold, hot = bcc["runs"]
    assert cold["value"] > hot["value"]
    assert cold["sigmas"] is None
    expected = (hot["value"] - cold["value"]) / np.hypot(hot["error"], cold["error"])
    assert hot["sigmas"] == pytest.approx(expected)
    assert hot["sigmas"] < -3
    assert (tmp_path / "both" / "structure.png").is_file()
    lines = (tmp_path / "both" / "compare.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 4
    shown = CliRunner().invoke(
        app, ["analyze", "compare", *map(str, runs), "--out", str(tmp_path / "both")]
    )
    assert shown.exit_code == 0, shown.output
    assert "σ)" in shown.stdout


def test_folders_of_simulations_are_compared(run, tmp_path):
    """Which hold results.json too, of the run itself."""
    other = make_run(tmp_path / "other", 2)
    for folder in (run, other):
        analyze(QUICK, folder, out=default_out(folder, "structure"))
        (folder / RESULTS).write_text('{"lattice_parameter_angstrom": 3.15}')
    results = compare([run, other], out=tmp_path / "both")
    assert list(results["topics"]) == ["structure"]
    bare = make_run(tmp_path / "bare", 1)
    (bare / RESULTS).write_text('{"lattice_parameter_angstrom": 3.15}')
    with pytest.raises(
        DataError, match=r"bare: expected a run that was analysed, found no results"
    ):
        compare([run, bare], out=tmp_path / "out")


def test_a_line_does_not_hide_its_equal():
    columns = {name: Column(name, "", "number") for name in "abc"}
    series = {"a": [3, 2, 1], "b": [3, 2, 1], "c": [3, 2, 2]}
    (axes,) = series_figure([0, 1, 2], series, columns, x_label="time (ps)").axes
    assert [line.get_linestyle() for line in axes.lines] == ["-", "--", "-"]


def test_what_cannot_be_compared(run, tmp_path):
    with pytest.raises(DataError, match="expected two or more runs, found 1"):
        compare([run], out=tmp_path / "out")
    with pytest.raises(DataError, match="expected a run that was analysed, found no results"):
        compare([run, tmp_path], out=tmp_path / "out")
    analyze(QUICK, run, out=default_out(run, "structure"))
    other = make_run(tmp_path / "other", 1)
    analyze(SroSettings(picture=False), other, out=default_out(other, "sro"))
    with pytest.raises(DataError, match="expected a topic that all runs were analysed for"):
        compare([run, other], out=tmp_path / "out")
    with pytest.raises(DataError, match=r"expected different runs, found .* more than once"):
        compare([run, run], out=tmp_path / "out")


def test_the_command(run, tmp_path):
    call = CliRunner().invoke
    answer = call(app, ["analyze", "sro", str(run), "--no-picture", "--shells", "2", "--json"])
    assert answer.exit_code == 0, answer.output
    assert "alpha_Mo-W_2" in json.loads(answer.stdout)["quantities"]
    table = call(app, ["analyze", "clusters", str(run), "--no-picture", "--solutes", "W"])
    assert table.exit_code == 0, table.output
    assert "largest cluster" in table.stdout
    config = tmp_path / "c.yaml"
    config.write_text("rmsd_cutof: 0.1\n")
    wrong = call(app, ["analyze", "structure", str(run), "--config", str(config)])
    assert isinstance(wrong.exception, ConfigError)
    assert "did you mean 'rmsd_cutoff'" in str(wrong.exception)
    unknown = call(app, ["analyze", "clusters", str(run), "--solutes", "Wo"])
    assert "expected a chemical symbol" in str(unknown.exception)


@pytest.mark.parametrize("topic", [t for t in TOPICS if t not in {"structure", "sro", "clusters"}])
def test_every_topic_runs_from_the_command_line(run, topic):
    options = {
        "defects": ["--reference", "first"],
        "msd": ["--windows", "1", "--timestep-ps", "0.002"],
    }
    if topic == "msd":
        make_run(run, 6)
    drawn = topic in {"defects", "dislocations", "grains"}
    arguments = ["analyze", topic, str(run), *options.get(topic, [])]
    answer = CliRunner().invoke(app, arguments if drawn else [*arguments, "--no-picture"])
    assert answer.exit_code == 0, answer.exception
    out = run / "analysis" / topic
    assert (out / "picture.png").is_file() == drawn
    assert (out / RESULTS).is_file()


def test_means_without_and_with_errors():
    assert mean_of([1.0] * 3, label="x", unit="").value == 1.0
    assert mean_of([1.0] * 50, label="x", unit="").error == 0.0
    drifting = mean_of(np.linspace(0, 1, 100), label="x", unit="Å")
    assert drifting.error is None
    assert "drifts" in drifting.note
    one = mean_of_independent([2.0], label="D", unit="m²/s")
    assert (one.value, one.error) == (2.0, None)
    three = mean_of_independent([1.0, 2.0, 3.0], label="D", unit="m²/s")
    assert three.error == pytest.approx(1 / np.sqrt(3))
    assert three.interval_95 == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5), abs=1e-3)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_frames(tmp_path):
    """Peak of a process with 32 and with 96 frames of 16,000 atoms: a frame that is kept is 1 MB."""
    atoms = bulk("Mo", "bcc", a=3.15, cubic=True) * (20, 20, 20)
    frame = write_dump(atoms, tmp_path / "frame").read_bytes()
    peaks = {}
    for n in (32, 96):
        run = tmp_path / str(n)
        (run / "frames").mkdir(parents=True)
        for k in range(n):
            (run / f"frames/{k}.dump").write_bytes(frame)
        program = (
            "import resource, sys; from moalloy_md.cli.app import app\n"
            f"app(['analyze', 'structure', {str(run)!r}, '--no-picture'], standalone_mode=False)\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        peaks[n] = int(done.stderr.split()[-1]) / 1000
    assert peaks[96] < peaks[32] + 20
