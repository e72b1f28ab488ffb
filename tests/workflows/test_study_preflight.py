"""Studies: what is refused before the first run, and what a dry run says."""

import io

import pytest
import yaml
from rich.console import Console
from support.studies import changed_study
from support.trainings import NETWORK, cells
from typer.testing import CliRunner

from moalloy_md.cli.app import app
from moalloy_md.config import load_config
from moalloy_md.datasets.frames import Frame, read_dataset
from moalloy_md.errors import ConfigError, ModelError, RunDirectoryError
from moalloy_md.workflows.study.config import StudyConfig
from moalloy_md.workflows.study.plan import make_folds, make_runs
from moalloy_md.workflows.study.preflight import check_runs
from moalloy_md.workflows.study.workflow import plan_costs, run_study

QUIET = Console(quiet=True)


def test_unknown_run_and_foreign_folder(tiny, tmp_path):
    from moalloy_md.workflows.study.report import report_study

    with pytest.raises(ConfigError, match=r"--only: expected a run such as iid/00/.*found .idd"):
        run_study(tiny.folder / "study.yaml", out=tiny.out, only="idd", console=QUIET)
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(RunDirectoryError, match="files without a manifest"):
        run_study(tiny.folder / "study.yaml", out=tmp_path, console=QUIET)
    with pytest.raises(RunDirectoryError, match=r"found no study\.json in it"):
        report_study(tmp_path, QUIET)


def test_a_foundation_that_lacks_elements_is_refused_before_the_first_run(
    tiny, without_al, tmp_path
):
    def lacking(content):
        content["sizes"] = {"small": {"foundation": str(without_al)}}

    file, out = changed_study(tiny, tmp_path, lacking), tmp_path / "out"
    message = (
        r"sizes\.small: .*lacks Al \(it knows .*\), which paradigms .*tuned.* need\. Take another"
    )
    with pytest.raises(ModelError, match=message):
        run_study(file, out=out, console=QUIET)
    assert not out.exists()
    with pytest.raises(ModelError, match=message):
        plan_costs(file, QUIET, out=out)
    check_runs(*planned_from(file, "new"), executor="here")  # there proxies stand in


def planned_from(file, only):
    config = load_config(file, StudyConfig)
    folds = make_folds(config, read_dataset(config.data))
    runs = [run for run in make_runs(config, folds) if run.name.startswith(only)]
    return config, folds, runs


def test_a_proxy_that_no_model_knows_is_refused_before_the_first_run(tiny, tmp_path):
    def unknown(content):
        content["sizes"].pop("late")
        content["protocols"]["new"]["proxies"] = {"Al": "W"}

    with pytest.raises(ModelError, match=r"protocols\.new\.proxies: expected for Al .*found W"):
        run_study(changed_study(tiny, tmp_path, unknown), out=tmp_path / "out", console=QUIET)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("executor", ["here", "slurm"])
def test_cuda_that_is_absent_is_refused_before_the_first_run(tiny, tmp_path, monkeypatch, executor):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setenv("PATH", str(tmp_path))  # no sbatch
    file = changed_study(tiny, tmp_path, lambda content: content.update(device="cuda"))
    # the nodes of a cluster may have what the machine that submits has not
    error, message = {
        "here": (ModelError, "device cuda: expected a CUDA device"),
        "slurm": (RunDirectoryError, "expected SLURM on this machine"),
    }[executor]
    with pytest.raises(error, match=message):
        run_study(file, out=tmp_path / "out", executor=executor, console=QUIET)
    assert not (tmp_path / "out/runs").exists()


def test_dry_run_times_a_step_of_each_size(tiny, tmp_path, emt_training):
    content = yaml.safe_load((tiny.folder / "study.yaml").read_text())
    content["paradigms"]["scratch"] = {
        "kind": "scratch",
        "committee": 2,
        "optimisation": {"max_epochs": 40, "batch_size": 2},
    }
    content["sizes"] = {"one": {"foundation": str(emt_training[1].model), "model": NETWORK}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(content))
    lines = plan_costs(tmp_path / "study.yaml", QUIET)
    by_name = {(line.protocol, line.paradigm): line for line in lines}
    scratch = by_name["iid", "scratch"]
    assert (scratch.n_runs, scratch.n_models, scratch.max_epochs) == (1, 2, 40)
    assert scratch.seconds_per_epoch > 0
    zero_shot = by_name["iid", "zero-shot"]
    assert scratch.beside_s > zero_shot.beside_s > 0  # it is tested too
    seconds = 40 * scratch.seconds_per_epoch + scratch.beside_s
    assert scratch.hours == pytest.approx(seconds / 3600)
    assert (zero_shot.n_models, zero_shot.seconds_per_epoch) == (0, 0)
    assert not (tmp_path / "out").exists()
    answer = CliRunner().invoke(app, ["study", "run", str(tmp_path / "study.yaml"), "--dry-run"])
    assert answer.exit_code == 0, answer.output
    assert "at most" in answer.output
    assert not (tmp_path / "study").exists()


def test_dry_run_counts_what_is_left(tiny, tmp_path):
    seen = Console(record=True, width=120, file=io.StringIO())
    file = changed_study(tiny, tmp_path, lambda content: content["sizes"].pop("late"))
    lines = plan_costs(file, seen, out=tiny.out, only="iid")
    assert lines == []
    assert "2 chosen, 2 of them done, 0 left" in seen.export_text()
    lines = plan_costs(file, QUIET, out=tmp_path / "out", only="iid/00/tuned")
    assert [(line.paradigm, line.n_runs) for line in lines] == [("tuned", 1)]
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError, match=r"--only: expected a run such as"):
        plan_costs(file, QUIET, out=tiny.out, only="idd")


def test_step_is_timed_on_cells_that_the_foundation_knows(without_al):
    from moalloy_md.potentials.cost import seconds_per_atom

    larger = cells(9, 41, symbols=("Ni", "Al"))
    images = [atoms.repeat((2, 1, 1)) for atoms in larger]  # the 8 largest
    for atoms, old in zip(images, larger, strict=True):
        atoms.info = dict(old.info)
    unknown = [Frame(atoms) for atoms in images if "Al" in atoms.symbols]
    known = [Frame(atoms) for atoms in cells(2, 42, symbols=("Ni", "Cu"))]
    assert seconds_per_atom(str(without_al), unknown + known, device="cpu") > 0
    with pytest.raises(ModelError, match=r"expected a foundation that knows .*found that each"):
        seconds_per_atom(str(without_al), unknown, device="cpu")
