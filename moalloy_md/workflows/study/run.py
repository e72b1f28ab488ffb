"""One run of a study: a training and its evaluations in a folder of its own.

Everything that it needs is in the folder of the study, so it can be started by itself, on another
machine of a cluster too, and again after a kill.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from moalloy_md.rundir import RunDirectory
from moalloy_md.workflows.simulate.plan import RunStatus, do_recorded, read_status
from moalloy_md.workflows.study.config import Paradigm, StudyConfig, training
from moalloy_md.workflows.study.plan import RUNS, SPLITS, Run, read_study
from moalloy_md.workflows.study.settings import SETTINGS, run_settings


def status(out: Path, run: Run) -> RunStatus:
    """Say how a run stands."""
    return read_status(out / RUNS / run.name)


def do_chain(out: Path, names: list[str]) -> list[str]:
    """Do runs one after the other, as a job of a cluster does; return those that failed.

    After a failure the others, which go on from it, are left alone.
    """
    _, runs = read_study(out)
    by_name = {run.name: run for run in runs}
    for name in names:
        if not do_run(out, by_name[name]):
            return [name]
    return []


def do_run(out: Path, run: Run, *, watch: Callable[[Any], None] | None = None) -> bool:
    """Do one run, or what is left of it; a failure is written down, not raised.

    Parameters
    ----------
    out
        Folder of the study.
    run
        Which one.
    watch
        As of `moalloy_md.potentials.train.train`.

    Returns
    -------
    bool
        Whether it is done; also False while another process is at work on it.

    Raises
    ------
    RunDirectoryError
        If its folder holds something else.
    """
    if status(out, run).state == "done":
        return True

    def work(directory: RunDirectory) -> None:
        config, _runs = read_study(out)
        directory.update_manifest(**{SETTINGS: run_settings(config, run)})
        _do(out, run, config, watch)

    folder = out / RUNS / run.name
    return do_recorded(folder, work, kind="study-run", config=run.as_dict())


def _do(out: Path, run: Run, config: StudyConfig, watch: Callable[[Any], None] | None) -> None:
    from moalloy_md.potentials.train import train

    paradigm, size = config.paradigms[run.paradigm], config.sizes[run.size]
    folder = out / RUNS / run.name
    split = out / SPLITS / run.split
    own = {"new-elements": "new" if paradigm.kind == "refine" else "old"}.get(run.kind, "")
    if paradigm.kind == "zero-shot":
        model: str | Path = size.foundation or ""  # StudyConfig makes sure that there is one
    else:
        parent = None if run.parent is None else out / RUNS / run.parent / "train" / "model.model"
        settings = training(
            paradigm,
            size,
            train=split / own / "train.extxyz",
            valid=split / own / "valid.extxyz",
            model=parent,
        ).model_copy(
            update={"device": config.device, "allow_failed_checks": config.allow_failed_checks}
        )
        model = train(settings, folder / "train", watch=watch).model
    for name, part, proxies in _evaluations(run, paradigm):
        _evaluate(config, model, split / part, folder / name, proxies=proxies)


def _evaluations(run: Run, paradigm: Paradigm) -> list[tuple[str, str, bool]]:
    """Name, part of the split, and whether proxies are needed, of each evaluation of a run."""
    if run.kind != "new-elements":
        return [("evaluate", "", False)]
    both = [("evaluate", "new", False), ("evaluate-old", "old", False)]
    if paradigm.kind == "fine-tune":
        return [("evaluate", "new", True), ("evaluate-old", "old", False)]
    return both


def _evaluate(
    config: StudyConfig, model: str | Path, split: Path, out: Path, *, proxies: bool
) -> None:
    from moalloy_md.potentials.evaluate import evaluate

    evaluate(
        model=model,
        data=split / "test.extxyz",
        train=split / "train.extxyz",
        out=out,
        proxies={} if proxies else None,
        device=config.device,
        batch_size=config.batch_size,
    )
