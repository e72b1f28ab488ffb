"""The report of a small study from end to end: what its files say is what its runs say."""

import csv
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from ase.io import read, write
from rich.console import Console
from support.trainings import cells
from typer.testing import CliRunner

from moalloy_md.cli.app import app
from moalloy_md.workflows.study.report import report_study
from moalloy_md.workflows.study.workflow import run_study

QUIET = Console(quiet=True)
TUNED, REFINED = "new/00/tuned/small", "new/00/refined/small"


@pytest.fixture(scope="module")
def reported(emt_training, tmp_path_factory):
    """A random protocol of two training sizes, and one for Al, of which tuning sees no cell."""
    folder = tmp_path_factory.mktemp("report")
    images = cells(8, 41, symbols=("Ni", "Cu")) + cells(6, 42, symbols=("Ni", "Al"))
    for k, atoms in enumerate(images):
        atoms.info["group"] = f"group {k // 2}"
    write(folder / "data.extxyz", images)
    fit = {"max_epochs": 1, "batch_size": 2}
    sizes = {"train_fractions": [0.6, 1.0], "test_fraction": 0.2}
    content = {
        "data": str(folder / "data.extxyz"),
        "device": "cpu",
        "paradigms": {
            "tuned": {"kind": "fine-tune", "optimisation": fit},
            "refined": {"kind": "refine", "optimisation": fit},
        },
        "sizes": {"small": {"foundation": str(emt_training[1].model)}},
        "protocols": {
            "groups": {"protocol": "iid", "repeats": 1, **sizes},
            "new": {"protocol": "new-elements", "elements": ["Al"], "test_fraction": 0.3},
        },
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(content))
    out = folder / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        found = run_study(folder / "study.yaml", out=out, console=QUIET)
    assert not found.failed
    text = io.StringIO()
    report = report_study(out, Console(file=text, width=80))
    return SimpleNamespace(out=out, folder=out / "report", report=report, console=text.getvalue())


def test_the_commands_print_json(reported):
    """On standard output JSON alone: what the report's files and the runs' folders say."""

    def printed(*arguments):
        answer = CliRunner().invoke(app, [*map(str, arguments), "--json"])
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout)

    found = printed("study", "report", reported.out)
    assert {name: found[name] for name in ("report", "n_runs", "n_done")} == {
        "report": str(reported.folder / "report.html"), "n_runs": 4, "n_done": 4
    }  # fmt: skip
    assert found["means"] == json.loads((reported.folder / "summary.json").read_text())["means"]
    command = ("study", "run", reported.out.parent / "study.yaml", "--out", reported.out)
    found = printed(*command)
    done = {
        str(p.parent.relative_to(reported.out / "runs")) for p in reported.out.rglob("run.json")
    }
    assert (set(found["done"]), found["failed"], found["waiting"]) == (done, {}, [])
    assert TUNED in done
    assert printed(*command, "--dry-run") == []
    (cost, *_) = printed(*command[:-1], reported.out.parent / "new", "--dry-run", "--only", TUNED)
    assert (cost["paradigm"], cost["n_runs"]) == ("tuned", 1)
    assert cost["hours"] > 0


def metrics(reported, run, evaluation="evaluate"):
    path = reported.out / "runs" / run / evaluation / "metrics.json"
    return json.loads(path.read_text())


def table(reported, name):
    with (reported.folder / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_rows_know_how_many_cells_trained_them(reported):
    for line in table(reported, "results"):
        part = {"tuned": "old", "refined": "new"}[line["paradigm"]]
        split = reported.out / "splits" / line["run"].rsplit("/", 2)[0]
        folder = split / part if line["protocol"] == "new" else split
        images = read(folder / "train.extxyz", ":")
        assert int(line["n_train"]) == len(images), line["run"]
        assert int(line["n_train_atoms"]) == sum(map(len, images))
        tested = folder if line["protocol"] != "new" else split / (
            "old" if line["evaluation"] == "evaluate-old" else "new"
        )  # fmt: skip
        assert float(line["n_cells"]) == len(read(tested / "test.extxyz", ":"))


def test_learning_curve_has_a_line_a_size(reported):
    lines = table(reported, "table_learning_curve")
    assert [(x["protocol"], x["fraction"]) for x in lines] == [("groups", "0.6"), ("groups", "1")]
    for line in lines:
        (evaluation,) = line["runs"].split()
        run = evaluation.removesuffix("/evaluate")
        found = metrics(reported, run)
        assert line["F MAE (meV/Å)"] == f"{found['force_mae_mev_per_angstrom']:.2f}"
        assert line["R² of F"] == f"{found['force_r2']:.3f}"
    page = (reported.folder / "report.html").read_text()
    assert "Learning curves" in page
    assert 'href="table_learning_curve.csv"' in page
    assert (reported.folder / "learning_curve_force.png").stat().st_size > 0


def test_forgetting_is_the_difference_of_the_two_files(reported):
    lines = {line["model"]: line for line in table(reported, "table_new_elements")}
    new, old = (metrics(reported, run, "evaluate-old") for run in (REFINED, TUNED))
    name = "force_mae_mev_per_angstrom"
    found = lines["refined, small: forgotten"]
    assert found["F MAE (meV/Å)"] == f"{new[name] - old[name]:+z.2f}"
    assert found["runs"] == f"{REFINED}/evaluate-old"
    summary = json.loads((reported.folder / "summary.json").read_text())
    (entry,) = (
        e for e in summary["means"] if e["paradigm"] == "refined" and "-old" in e["evaluation"]
    )
    assert np.isclose(entry["refined_less_parent"][name]["mean"], new[name] - old[name])


def test_proxies_are_named_wherever_a_number_of_them_is(reported):
    label = "proxy Al=Cu"
    assert metrics(reported, TUNED)["proxies"] == {"Al": "Cu"}
    summary = json.loads((reported.folder / "summary.json").read_text())
    by_proxy = {(e["paradigm"], e["evaluation"]) for e in summary["means"] if e["proxies"] == label}
    assert by_proxy == {("tuned", "evaluate")}
    lines = [line["model"] for line in table(reported, "table_new_elements")]
    assert lines.count(f"tuned, small, {label}") == 1
    # once in the console's table, which folds it
    of_new = reported.console[reported.console.index("new") :]
    assert "Al=Cu" in of_new
    runs = (reported.folder / "report.html").read_text().split("<h2>Runs</h2>")[1]
    assert f"{TUNED}</a>, {label}" in runs


def test_an_element_that_was_never_trained_keeps_its_proxy(reported, tmp_path):
    """A foundation that lacks a strictly held-out dopant predicts it by proxy, and the row says so."""
    from moalloy_md.workflows.study.results import _proxies_kept

    for member in ("00", "01"):
        (tmp_path / "train" / member).mkdir(parents=True)
        manifest = {"data": {"start": {"proxies": {"Hf": "Zr", "V": "Nb"}}}}
        (tmp_path / "train" / member / "manifest.json").write_text(json.dumps(manifest))
    assert _proxies_kept(tmp_path, {"elements_not_in_train": ["Hf"]}) == {"Hf": "Zr"}
    assert _proxies_kept(tmp_path, {"elements_not_in_train": []}) == {}
    assert _proxies_kept(tmp_path / "zero-shot", {"elements_not_in_train": ["Hf"]}) == {}


def test_console_has_what_tells_zero_from_success(reported):
    assert "R²" in reported.console
    assert "slope" in reported.console
    assert max(map(len, reported.console.splitlines()[:20])) <= 80


def test_files_of_an_earlier_report_go_and_others_stay(reported):
    summary_file = reported.folder / "summary.json"
    summary = json.loads(summary_file.read_text())
    old, own = reported.folder / "table_old.csv", reported.folder / "mine.csv"
    summary_file.write_text(json.dumps({**summary, "files": [*summary["files"], old.name]}))
    for file in (old, own):
        file.write_text("")
    report_study(reported.out, QUIET)
    assert own.exists()
    assert not old.exists()
    assert json.loads(summary_file.read_text()) == summary
    assert all((reported.folder / name).exists() for name in summary["files"])
