"""Studies: a tiny one from end to end, runs that fail or are killed, committees, the report."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from ase.io import read
from rich.console import Console
from support.processes import kill, wait_until
from support.studies import changed_study, files_below

from moalloy_md.errors import RunFailedError
from moalloy_md.workflows.study.plan import read_study
from moalloy_md.workflows.study.run import do_chain, status
from moalloy_md.workflows.study.workflow import outcome, run_study

QUIET = Console(quiet=True)


def test_a_failed_run_stops_no_other(tiny):
    found, again, last = tiny.runs
    assert set(found.done) == {"iid/00/zero-shot/good", "iid/00/tuned/good"}
    assert set(found.failed) == {"iid/00/zero-shot/late", "iid/00/tuned/late"}
    assert all("late.model: cannot be read" in error for error in found.failed.values())
    assert again.done == ("new/00/tuned/good",)
    assert last.done == ("new/00/refined/good",)


def test_refined_runs_wait_for_their_parent(tiny, tmp_path):
    text = (tiny.folder / "study.yaml").read_text()
    (tmp_path / "study.yaml").write_text(text)
    found = run_study(
        tmp_path / "study.yaml", out=tmp_path / "out", only="new/00/refined/good", console=QUIET
    )
    assert found.waiting == ("new/00/refined/good",)


def test_new_elements_are_evaluated_by_proxy_and_after_refining(tiny):
    def metrics(run, evaluation):
        return json.loads((tiny.out / "runs" / run / evaluation / "metrics.json").read_text())

    tuned, refined = "new/00/tuned/good", "new/00/refined/good"
    assert metrics(tuned, "evaluate")["proxies"] == {"Al": "Cu"}
    assert metrics(tuned, "evaluate-old")["proxies"] == {}
    assert metrics(refined, "evaluate")["proxies"] == {}
    manifest = json.loads((tiny.out / "runs" / refined / "train" / "manifest.json").read_text())
    assert manifest["data"]["start"]["proxies"] == {"Al": "Cu"}
    for name in ("evaluate", "evaluate-old"):  # the same test cells
        assert metrics(tuned, name)["n_cells"] == metrics(refined, name)["n_cells"]


def test_proxies_by_configuration(tiny, without_al, tmp_path):
    """Al by Ni, of zero-shot and fine-tuning, and as the start of refining; Cu is the nearest."""

    def by_host(content):
        content["sizes"] = {"small": {"foundation": str(without_al)}}
        content["protocols"] = {"new": content["protocols"]["new"] | {"proxies": {"Al": "Ni"}}}

    found = run_study(changed_study(tiny, tmp_path, by_host), out=tmp_path / "out", console=QUIET)
    runs = {name: tmp_path / "out/runs/new/00" / name / "small" for name in ("zero-shot", "tuned")}
    assert len(found.done) == 3, found.failed
    for folder in runs.values():
        metrics = json.loads((folder / "evaluate/metrics.json").read_text())
        assert metrics["proxies"] == {"Al": "Ni"}
        assert json.loads((folder / "evaluate-old/metrics.json").read_text())["proxies"] == {}
    refined = tmp_path / "out/runs/new/00/refined/small/train/manifest.json"
    assert json.loads(refined.read_text())["data"]["start"]["proxies"] == {"Al": "Ni"}


def test_zero_shot_by_proxy_gives_the_numbers_of_the_proxy(tiny, without_al, tmp_path):
    """Its energies are those of the same cells in which the proxy is what it stands for."""
    from moalloy_md.potentials.loading import load_model
    from moalloy_md.potentials.predict import predict

    def zero_shot(content):
        content["paradigms"] = {"zero-shot": {"kind": "zero-shot"}}
        content["sizes"] = {"small": {"foundation": str(without_al)}}
        content["protocols"] = {"new": content["protocols"]["new"]}

    file = changed_study(tiny, tmp_path, zero_shot)
    found = run_study(file, out=tmp_path / "out", console=QUIET)
    assert found.done == ("new/00/zero-shot/small",), found.failed
    cells_ = read(tmp_path / "out/runs/new/00/zero-shot/small/evaluate/predictions.extxyz", ":")
    for atoms in cells_:
        atoms.symbols[atoms.symbols == "Al"] = "Cu"
    energies = predict(load_model(without_al), cells_, batch_size=8).energies_ev
    # 10 meV of a cell: the screened Coulomb repulsion knows the real nuclei; another proxy is eV off
    assert energies == pytest.approx([atoms.info["pred_energy"] for atoms in cells_], abs=0.01)


def test_proxies_that_a_foundation_does_not_need_are_left_out(tiny, tmp_path):
    def knows_all(content):
        content["paradigms"] = {"zero-shot": {"kind": "zero-shot"}}
        del content["sizes"]["late"]
        content["protocols"] = {"new": content["protocols"]["new"] | {"proxies": {"Al": "Cu"}}}

    run_study(changed_study(tiny, tmp_path, knows_all), out=tmp_path / "out", console=QUIET)
    folder = tmp_path / "out/runs/new/00/zero-shot/good"
    assert json.loads((folder / "run.json").read_text())["state"] == "done"
    assert json.loads((folder / "evaluate/metrics.json").read_text())["proxies"] == {}


def test_a_committee_goes_on_after_a_kill_in_its_second_member(
    tiny, without_al, tmp_path, monkeypatch
):
    """Its errors are of the mean of its models, which is computed here from each alone."""
    from moalloy_md.potentials import committee
    from moalloy_md.potentials.loading import load_model
    from moalloy_md.potentials.predict import predict

    def of_two(content):
        fit = {"max_epochs": 1, "batch_size": 2, "learning_rate": 0.05}
        tuned = {"kind": "fine-tune", "optimisation": fit, "committee": 2}
        content["paradigms"] = {"tuned": tuned, "refined": {**tuned, "kind": "refine"}}
        content["sizes"] = {"small": {"foundation": str(without_al)}}
        content["protocols"] = {"new": content["protocols"]["new"]}

    file, out = changed_study(tiny, tmp_path, of_two), tmp_path / "out"
    whole = committee.train

    def killed(config, folder, **more):
        if folder.name == "01":
            raise KeyboardInterrupt
        return whole(config, folder, **more)

    monkeypatch.setattr(committee, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        run_study(file, out=out, console=QUIET)
    monkeypatch.setattr(committee, "train", whole)
    folder = out / "runs/new/00/tuned/small"
    assert json.loads((folder / "run.json").read_text())["state"] == "begun"
    first = (folder / "train/00/model.model").stat().st_mtime_ns
    found = run_study(file, out=out, console=QUIET)
    assert found.done == ("new/00/tuned/small", "new/00/refined/small"), found.failed
    assert (folder / "train/00/model.model").stat().st_mtime_ns == first

    images = read(folder / "evaluate-old/predictions.extxyz", ":")
    energies = np.array([
        predict(load_model(folder / f"train/{k:02d}/model.model"), images, batch_size=8).energies_ev
        for k in range(2)
    ])  # fmt: skip
    per_atom = energies / [len(atoms) for atoms in images]
    reference = np.array([atoms.info["REF_energy"] / len(atoms) for atoms in images])
    metrics = json.loads((folder / "evaluate-old/metrics.json").read_text())
    mae = 1000 * np.abs(per_atom.mean(axis=0) - reference).mean()
    assert metrics["energy_mae_mev_per_atom"] == pytest.approx(mae, rel=1e-3)
    spread = 1000 * np.sqrt((per_atom.std(axis=0, ddof=1) ** 2).mean())
    assert metrics["committee"]["energy_mev_per_atom"] == pytest.approx(spread, rel=0.05, abs=1e-3)
    assert metrics["committee"]["n_models"] == 2

    hashes = [
        json.loads((out / "runs/new/00" / name / "manifest.json").read_text())
        for name in ("tuned/small/train/00", "tuned/small/train/01", "refined/small/train/01")
    ]
    # each member refines its own
    assert hashes[2]["data"]["start"]["sha256"] == hashes[1]["model_sha256"]
    assert hashes[1]["model_sha256"] != hashes[0]["model_sha256"]


def test_report_says_what_the_runs_say(tiny):
    from moalloy_md.workflows.study.report import report_study

    report = report_study(tiny.out, QUIET)
    assert (report.n_runs, report.n_done) == (10, 4)
    folder = tiny.out / "report"
    run = "iid/00/tuned/good"
    metrics = json.loads((tiny.out / "runs" / run / "evaluate" / "metrics.json").read_text())
    summary = json.loads((folder / "summary.json").read_text())
    entry = next(e for e in summary["means"] if e["paradigm"] == "tuned" and e["protocol"] == "iid")
    mean = entry["mean"]["energy_mae_mev_per_atom"]
    assert mean["mean"] == metrics["energy_mae_mev_per_atom"]
    assert mean["runs"] == [f"{run}/evaluate"]
    page = (folder / "report.html").read_text()
    assert f"{metrics['energy_mae_mev_per_atom']:.2f}" in page
    assert f'href="../runs/{run}/evaluate/metrics.json"' in page
    assert "late.model: cannot be read" in page  # failed ones are shown
    assert "proxy Al=Cu" in page
    for name in ("table_1.csv", "table_new_elements.csv", "results.csv", "parity_energy_iid.png"):
        assert (folder / name).stat().st_size > 0


def test_the_same_command_retries_what_failed_and_nothing_else(tiny, emt_training, tmp_path):
    out, late = tmp_path / "out", tiny.folder / "late.model"
    shutil.copytree(tiny.out, out)
    before = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("metrics.json")}
    late.write_bytes(emt_training[1].model.read_bytes())
    try:
        found = run_study(
            tiny.folder / "study.yaml", out=out, only="iid/00/zero-shot", console=QUIET
        )
    finally:
        late.unlink()  # the study is that of other tests too
    assert set(found.done) == {"iid/00/zero-shot/good", "iid/00/zero-shot/late"}
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_broken_run_is_written_down_with_its_traceback(tiny, monkeypatch, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(tiny.out, out)
    config, runs = read_study(out)
    run = next(run for run in runs if run.name == "iid/00/tuned/late")

    def broken(*_):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("moalloy_md.workflows.study.run._do", broken)
    with pytest.raises(RunFailedError, match=r"iid/00/tuned/late: expected it to be done"):
        do_chain(out, [run.name, "new/00/tuned/late"])  # a job that ends so is a failed one
    found = status(out, run)
    assert found.state == "failed"
    assert "ZeroDivisionError: by zero" in found.error
    assert outcome(out, [run]).failed.keys() == {run.name}
    assert config.device == "cpu"


@pytest.mark.slow
def test_a_killed_study_ends_as_an_unbroken_one(tiny, tmp_path):
    """kill -9 on the command in the middle of a training: nobody survives, the same command goes on."""

    def longer(content):
        content["paradigms"] = {"tuned": content["paradigms"]["tuned"]}
        content["paradigms"]["tuned"]["optimisation"] = {"max_epochs": 12, "batch_size": 2}
        content["sizes"] = {"good": content["sizes"]["good"]}
        content["protocols"] = {"iid": {"protocol": "iid", "repeats": 2}}

    file = changed_study(tiny, tmp_path, longer)
    out, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    code = "from moalloy_md.cli.app import app; app()"
    command = [sys.executable, "-c", code, "study", "run", str(file), "--out", str(out)]
    with (tmp_path / "log").open("w") as log:
        parent = subprocess.Popen(command, start_new_session=True, stdout=log, stderr=log)
        second = out / "runs/iid/01/tuned/good/train"
        history = second / "trainer/state/history.jsonl"
        wait_until(lambda: history.exists() and history.read_text().count("\n") >= 4, parent)
        kill(parent, str(out))
    first = out / "runs/iid/00/tuned/good"
    before = files_below(first)
    assert json.loads((second.parent / "run.json").read_text())["state"] == "begun"
    assert not (second / "model.model").exists()
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert files_below(first) == before

    run_study(file, out=unbroken, console=QUIET)
    for label in ("00", "01"):
        metrics = [
            json.loads((folder / f"runs/iid/{label}/tuned/good/evaluate/metrics.json").read_text())
            for folder in (out, unbroken)
        ]
        assert metrics[0] == metrics[1]  # on one thread not a bit differs
