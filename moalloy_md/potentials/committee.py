"""Committees: models that differ in their seed alone, whose disagreement estimates their error."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from moalloy_md.potentials.train import TrainResult, identity, train
from moalloy_md.potentials.train_config import TrainConfig
from moalloy_md.potentials.training_progress import TrainingProgress, Watch
from moalloy_md.rundir import now, open_run, read_json, write_json

#: Lists the models of a committee, relative to its folder.
COMMITTEE = "committee.json"


@dataclass(frozen=True)
class Member:
    """One training of a committee, before it begins."""

    index: int
    """Counted from 0."""
    n_members: int
    """Size of the committee."""
    seed: int
    """Seed of its weights and of the order of its cells."""


def train_committee(
    config: TrainConfig,
    out: Path,
    *,
    watch: Watch | None = None,
    begin: Callable[[Member], None] = lambda _member: None,
    refined: Sequence[Path] = (),
) -> list[TrainResult]:
    """Train ``config.committee`` models one after the other; the same call goes on after a kill.

    Parameters
    ----------
    config
        What to train; the seeds are ``optimisation.seed`` and those that follow. A fine-tuned
        committee starts from the same weights, so its members differ in the order of the cells,
        and a new head of replay, alone.
    out
        Folder to make: the training runs ``00``, ``01`` and so on, and ``committee.json``.
    watch
        Called after each epoch; it says of which model, and the time that all of them need.
    begin
        Called before each training.
    refined
        Models that the members refine, one each and from the first again where they are fewer;
        all refine that of `config` if empty.

    Raises
    ------
    MoAlloyError
        As `moalloy_md.potentials.train.train` does.
    """
    out = Path(out).absolute()
    run = open_run(out, kind="committee", config=identity(config))
    digits = max(2, len(str(config.committee - 1)))
    results = []
    of_members = None if watch is None else _Watch(watch, config.committee)
    for k in range(config.committee):
        seed = config.optimisation.seed + k
        begin(Member(k, config.committee, seed))
        fit = config.optimisation.model_copy(update={"seed": seed})
        member = config.model_copy(update={"optimisation": fit, "committee": 1})
        if refined:
            start = member.start.model_copy(update={"model": refined[k % len(refined)]})
            member = member.model_copy(update={"start": start})
        if of_members is not None:
            of_members.model = k + 1
        results.append(train(member, out / f"{k:0{digits}d}", watch=of_members))
    models = [str(result.model.relative_to(out)) for result in results]
    write_json(out / COMMITTEE, {"models": models})
    run.update_manifest(finished=now())
    return results


def committee_models(folder: Path) -> list[Path]:
    """Return the models of a committee by its folder; none where there is no finished committee."""
    listed = folder / COMMITTEE
    return [folder / name for name in read_json(listed)["models"]] if listed.is_file() else []


class _Watch:
    """Says which model of how many a training is, and its pace before it has one of its own."""

    def __init__(self, watch: Watch, n_models: int) -> None:
        self._watch, self._n_models = watch, n_models
        self._pace: float | None = None
        self.model = 1

    def __call__(self, progress: TrainingProgress) -> None:
        self._pace = progress.seconds_per_epoch or self._pace
        self._watch(
            replace(
                progress,
                model=self.model,
                n_models=self._n_models,
                seconds_per_epoch=self._pace,
            )
        )
