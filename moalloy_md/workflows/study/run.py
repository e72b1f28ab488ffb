"""One run of a study: a training and its evaluations in a folder of its own.

Everything that it needs is in the folder of the study, so it can be started by itself, on another
machine of a cluster too, and again after a kill.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from moalloy_md.errors import RunFailedError
from moalloy_md.rundir import RunDirectory
from moalloy_md.workflows.job_queue import Requeued
from moalloy_md.workflows.simulate.plan import RunStatus, do_recorded, read_status
from moalloy_md.workflows.study.config import NewElementFolds, StudyConfig, training
from moalloy_md.workflows.study.plan import (
    RUNS,
    SPLITS,
    Run,
    evaluations,
    read_study,
    training_part,
)
from moalloy_md.workflows.study.settings import SETTINGS, run_settings

if TYPE_CHECKING:
    from moalloy_md.potentials.committee import Member
    from moalloy_md.potentials.training_progress import Watch

    Begin = Callable[[Member], None]

#: Folder of a run's training, or of its committee.
TRAIN = "train"


def status(out: Path, run: Run) -> RunStatus:
    """Say how a run stands."""
    return read_status(out / RUNS / run.name)


def do_chain(out: Path, names: list[str]) -> None:
    """Do runs one after the other, as a job of a cluster does.

    After a failure the others, which go on from it, are left alone.

    Raises
    ------
    RunFailedError
        If a run failed, whose status says so by then: the job has to end as a failed one, for the
        scheduler's records. Not where another process is at work on it.
    """
    _, runs = read_study(out)
    by_name = {run.name: run for run in runs}
    for name in names:
        if do_run(out, by_name[name]):
            continue
        found = status(out, by_name[name])
        if found.state == "failed":
            raise RunFailedError(
                f"{out / RUNS / name}: expected it to be done, found: {found.error}"
            )
        return


class ChainJob(Requeued):
    """Does runs one after the other, as `do_chain`; queued again, it goes on within a training."""

    def __call__(self, out: Path, names: list[str]) -> None:
        """Do them."""
        do_chain(out, names)


def do_run(
    out: Path, run: Run, *, watch: "Watch | None" = None, begin: "Begin" = lambda _member: None
) -> bool:
    """Do one run, or what is left of it; a failure is written down, not raised.

    Parameters
    ----------
    out
        Folder of the study.
    run
        Which one.
    watch
        As of `moalloy_md.potentials.train.train`.
    begin
        As of `moalloy_md.potentials.committee.train_committee`.

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
        _do(out, run, config, watch, begin)

    folder = out / RUNS / run.name
    return do_recorded(folder, work, kind="study-run", config=run.as_dict())


def _do(out: Path, run: Run, config: StudyConfig, watch: "Watch | None", begin: "Begin") -> None:
    paradigm, size = config.paradigms[run.paradigm], config.sizes[run.size]
    folder = out / RUNS / run.name
    split = out / SPLITS / run.split
    if paradigm.kind == "zero-shot":
        models: list[str | Path] = [size.foundation or ""]  # StudyConfig makes sure of one
    else:
        models = [*_train(out, run, config, watch, begin)]
    proxies = _proxies(config, run)
    for name, part, by_proxy in evaluations(run, paradigm):
        _evaluate(
            config, models, split / part, folder / name, proxies=proxies if by_proxy else None
        )


def _train(
    out: Path, run: Run, config: StudyConfig, watch: "Watch | None", begin: "Begin"
) -> list[Path]:
    from moalloy_md.potentials.committee import committee_models, train_committee
    from moalloy_md.potentials.train import MODEL, train

    paradigm = config.paradigms[run.paradigm]
    split = out / SPLITS / run.split / training_part(run, paradigm)
    refined: list[Path] = []
    if run.parent is not None:
        parent = out / RUNS / run.parent / TRAIN
        refined = committee_models(parent) or [parent / MODEL]
    settings = training(
        paradigm,
        config.sizes[run.size],
        train=split / "train.extxyz",
        valid=split / "valid.extxyz",
        model=refined[0] if refined else None,
        proxies=_proxies(config, run),
    ).model_copy(
        update={"device": config.device, "allow_failed_checks": config.allow_failed_checks}
    )
    folder = out / RUNS / run.name / TRAIN
    if settings.committee == 1:
        return [train(settings, folder, watch=watch).model]
    results = train_committee(settings, folder, watch=watch, begin=begin, refined=refined)
    return [result.model for result in results]


def _proxies(config: StudyConfig, run: Run) -> dict[str, str]:
    protocol = config.protocols[run.protocol]
    return protocol.proxies if isinstance(protocol, NewElementFolds) else {}


def _evaluate(
    config: StudyConfig,
    models: list[str | Path],
    split: Path,
    out: Path,
    *,
    proxies: Mapping[str, str] | None,
) -> None:
    from moalloy_md.potentials.evaluate import evaluate

    evaluate(
        model=models,
        data=split / "test.extxyz",
        train=split / "train.extxyz",
        out=out,
        proxies=None if proxies is None else _of_unknown(models[0], proxies),
        device=config.device,
        batch_size=config.batch_size,
    )


def _of_unknown(model: str | Path, proxies: Mapping[str, str]) -> dict[str, str]:
    """Leave proxies out that a model does not need: a foundation may know the new elements."""
    if not proxies:
        return {}
    from moalloy_md.potentials.foundations import open_model
    from moalloy_md.potentials.predict import known_symbols

    network, _ = open_model(model)
    known = known_symbols(network)
    return {x: proxy for x, proxy in proxies.items() if x not in known}
