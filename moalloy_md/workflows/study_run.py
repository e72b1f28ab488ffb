"""One run of a study: a training and its evaluations in a folder of its own.

Everything that it needs is in the folder of the study, so it can be started by itself, on another
machine of a cluster too, and again after a kill.
"""

import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moalloy_md.config import validate
from moalloy_md.errors import MoAlloyError, RunDirectoryError
from moalloy_md.rundir import open_run, read_json, write_json
from moalloy_md.workflows.run_status import STATUS, RunStatus, read_status, write_status
from moalloy_md.workflows.study_config import Paradigm, StudyConfig, training
from moalloy_md.workflows.study_plan import RUNS, SPLITS, Run

STUDY = "study.json"


def write_study(out: Path, config: StudyConfig, runs: list[Run]) -> None:
    """Write what each run needs to know."""
    content = {
        "config": config.model_dump(mode="json"),
        "runs": [run.as_dict() for run in runs],
    }
    write_json(out / STUDY, content)


def read_study(out: Path) -> tuple[StudyConfig, list[Run]]:
    """Read what `write_study` wrote.

    Raises
    ------
    RunDirectoryError
        If there is no study in the folder, or its file is damaged.
    """
    content = read_json(out / STUDY)
    config = validate(content["config"], StudyConfig, source=str(out / STUDY))
    runs = []
    for entry in content["runs"]:
        del entry["name"]
        runs.append(Run(**entry))
    return config, runs


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
    folder = out / RUNS / run.name
    try:
        open_run(folder, kind="study-run", config=run.as_dict())
    except RunDirectoryError:
        if (folder / STATUS).exists():
            return False  # another process is at work on it: how it stands is for that one to say
        raise
    began = time.monotonic()
    write_status(folder, "begun")
    try:
        config, _ = read_study(out)
        _do(out, run, config, watch)
    except (MoAlloyError, OSError) as error:
        write_status(folder, "failed", str(error), time.monotonic() - began)
        return False
    except Exception:  # noqa: BLE001  whatever it was, the other runs go on
        write_status(folder, "failed", traceback.format_exc(), time.monotonic() - began)
        return False
    write_status(folder, "done", "", time.monotonic() - began)
    return True


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
