"""Train a MACE model: mace-torch's trainer in a child process, in a run directory of ours."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from moalloy_md.errors import RunDirectoryError, TrainingError
from moalloy_md.potentials.foundations import one_head
from moalloy_md.potentials.loading import load_model, model_heads, resolve_device, save_model
from moalloy_md.potentials.mace_options import (
    NAME,
    START,
    TRAIN_WITH_REPLAY,
    mace_arguments,
)
from moalloy_md.potentials.reference_energies import in_order
from moalloy_md.potentials.replay import label_replay, write_with_replay
from moalloy_md.potentials.start import replay_elements
from moalloy_md.potentials.train_config import Refine, TrainConfig
from moalloy_md.potentials.training_failure import training_failure
from moalloy_md.potentials.training_set import (
    TrainingSet,
    read_training_set,
    refuse_failed_checks,
)
from moalloy_md.processes import running, set_openmp
from moalloy_md.rundir import (
    MANIFEST,
    RunDirectory,
    now,
    open_run,
    read_json,
    replacing,
    sha256,
)
from moalloy_md.units import MEV_PER_EV

MODEL, LOG, HISTORY = "model.model", "train.log", "history.jsonl"
#: The model of a training with replay as mace-torch wrote it; ``model.model`` has the new head.
BOTH_HEADS = "multihead.model"
#: What mace-torch calls the heads of the data and of the old cells.
MAIN_HEAD, REPLAY_HEAD = "Default", "pt_head"

_PACKAGES = ("mace-torch", "e3nn", "torch", "numpy", "ase")
_POLL_S = 0.2

#: Not part of what makes two trainings the same: data are known by their hashes, and a folder may
#: be moved.
_PATHS = {"out", "train", "valid", "test"}


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training is, after each validation."""

    epoch: int
    """Epochs that are done."""
    n_epochs: int
    """Epochs that are to be done at most."""
    loss: float
    """Validation loss."""
    energy_mae_mev_per_atom: float
    """Mean absolute error of the energy per atom on the validation set."""
    force_mae_mev_per_angstrom: float
    """Mean absolute error of a force component on the validation set."""
    seconds_left: float | None
    """Estimate of the time left; None before the first epoch of this process is timed."""


Watch = Callable[[TrainingProgress], None]


@dataclass(frozen=True)
class TrainResult:
    """A finished training. The errors are those of the kept weights on the validation set."""

    model: Path
    """The trained model: a whole mace-torch module."""
    n_parameters: int
    """Weights that were trained."""
    epochs: int
    """Epochs that were trained."""
    best_epoch: int
    """Epoch whose weights were kept, counted from 1."""
    stopped_early: bool
    """Whether patience ended the training before ``max_epochs``."""
    energy_mae_mev_per_atom: float
    """Mean absolute error of the energy per atom."""
    energy_rmse_mev_per_atom: float
    """Root mean square error of the energy per atom."""
    force_mae_mev_per_angstrom: float
    """Mean absolute error of a force component."""
    force_rmse_mev_per_angstrom: float
    """Root mean square error of a force component."""
    e0s_ev: dict[str, float]
    """Energy of each element that the network's own energy is counted from, eV."""
    e0s_from: str
    """Where these come from, in words."""
    unseen: dict[str, str]
    """Elements that the model knows and no training cell has, and where their E0 is from."""
    proxies: dict[str, str]
    """Elements whose weights started as a copy of another one's."""
    wall_s: float
    """Time spent in training, over all processes that took part in it."""
    was_finished: bool
    """Whether an earlier command had finished it, so that nothing was done."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {**asdict(self), "model": str(self.model)}


def train(config: TrainConfig, out: Path, *, watch: Watch | None = None) -> TrainResult:
    """Train a model; the same call goes on with a training that was killed.

    Parameters
    ----------
    config
        What to train, on what, how.
    out
        Run directory: ``model.model``, ``manifest.json``, ``train.log`` and ``history.jsonl``
        (one line a validation; errors in eV/atom and eV/Å).
    watch
        Called after each validation.

    Raises
    ------
    DataError, ConfigError
        If the data cannot be trained on; see `read_training_set`. Nothing is written then.
    ModelError
        If CUDA is asked for and absent.
    RunDirectoryError
        If `out` holds something else, or the data changed since the training began.
    TrainingError
        If the trainer fails; the text carries the tail of its log and the likely cause.
    """
    out = Path(out).absolute()
    data = read_training_set(config, before=_data_of_earlier_run(out))
    device = resolve_device(config.device)
    if not (out / MANIFEST).exists():
        refuse_failed_checks(config)
    run = open_run(out, kind="train", config=identity(config), packages=_PACKAGES)
    _refuse_changed_data(run, data)
    if (finished := run.result("train")) is not None:
        _refuse_changed_model(run)
        shutil.rmtree(out / "trainer", ignore_errors=True)  # a kill may have left it
        return TrainResult(**finished, model=out / MODEL, was_finished=True)
    paths = config.model_dump(mode="json", include=_PATHS)
    run.update_manifest(data=data.as_dict(), paths=paths, device=device)
    trainer = out / "trainer"
    trainer.mkdir(exist_ok=True)
    _say_energies(data, out / LOG)
    _write_start(config, data, trainer)
    _run_trainer(config, data, device, out, watch)
    result = _collect(out, trainer, data)
    run.update_manifest(finished=now(), model_sha256=sha256(out / MODEL), result=result)
    run.finish_step("train", result)
    shutil.rmtree(trainer)  # only now: until here, a killed run goes on from it
    return TrainResult(**result, model=out / MODEL, was_finished=False)


def identity(config: TrainConfig) -> dict[str, Any]:
    """Return what makes two trainings the same, without paths: files are known by their hashes."""
    identity = config.model_dump(mode="json", exclude=_PATHS)
    identity["start"].pop("model" if isinstance(config.start, Refine) else "foundation", None)
    return identity


def _data_of_earlier_run(out: Path) -> dict[str, Any] | None:
    try:
        manifest = read_json(out / MANIFEST)
    except RunDirectoryError:
        return None  # nothing there, or what opening the run will refuse
    data = manifest.get("data") if isinstance(manifest, dict) else None
    return data if isinstance(data, dict) else None


def _say_energies(data: TrainingSet, log: Path) -> None:
    energies = ", ".join(f"{name} {energy:.6f}" for name, energy in data.e0s_ev.items())
    lines = [f"# E0s (eV): {energies}", f"# E0s are {data.e0s_from}"]
    if data.replay:
        lines.append(
            f"# {data.n_replay} replayed cells, labelled by the model that training starts from"
        )
    lines += [f"# E0 of {x}, which no training cell has: {how}" for x, how in data.unseen.items()]
    with log.open("a") as file:
        file.write("\n".join(lines) + "\n")


def _write_start(config: TrainConfig, data: TrainingSet, trainer: Path) -> None:
    if data.start is None or (trainer / START).exists():
        return
    if data.replay:  # before the start is changed
        source = "cells to replay"
        labelled = label_replay(data.replay, data.start, data.e0s_ev, source=source)
        write_with_replay(config.train, labelled, trainer / TRAIN_WITH_REPLAY)
    replayed = replay_elements(config)
    # a second head takes its E0s from this file, and the first one those that it is told
    e0s = None if replayed else data.e0s_ev
    data.start.write(trainer / START, in_order(set(data.elements) | replayed), e0s)


def _refuse_changed_data(run: RunDirectory, data: TrainingSet) -> None:
    before = run.manifest.get("data")
    if before is None:
        return
    now_given = data.as_dict()
    for key, name in (
        ("train_sha256", "training set"),
        ("valid_sha256", "validation set"),
        ("elements", "table of elements"),
        ("network", "network"),
    ):
        old, new = before.get(key), now_given.get(key)
        if old != (list(new) if isinstance(new, tuple) else new):
            raise RunDirectoryError(
                f"{run.path}: was started with another {name} under the same path (its hash "
                "or content changed). Bring the old one back to go on, or choose another folder"
            )
    old_start, new_start = before.get("start") or {}, now_given.get("start") or {}
    if old_start.get("sha256") != new_start.get("sha256"):
        raise RunDirectoryError(
            f"{run.path}: was started from {old_start.get('name')}, now asked to go on from another "
            f"model ({new_start.get('name')}; the hashes differ). Give the old one to go on, or "
            "choose another folder"
        )


def _refuse_changed_model(run: RunDirectory) -> None:
    path = run.path / MODEL
    if not path.exists() or sha256(path) != run.manifest["model_sha256"]:
        raise RunDirectoryError(
            f"{path}: expected the model that this finished training wrote, found "
            f"{'another file' if path.exists() else 'none'}. Bring it back, or choose another "
            "folder to train again"
        )


def _run_trainer(
    config: TrainConfig, data: TrainingSet, device: str, out: Path, watch: Watch | None
) -> None:
    trainer = out / "trainer"
    fit = config.optimisation
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "moalloy_md.potentials.trainer",
        trainer / "state",
        str(fit.patience_epochs or 0),
        *mace_arguments(config, data, device=device, folder=trainer),
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "MPLBACKEND": "Agg"}
    set_openmp(environment)
    results = trainer / "results" / f"{NAME}_run-{fit.seed}_train.txt"
    with (out / LOG).open("a") as log:
        log.write(f"# {now()} {' '.join(map(str, command))}\n")
        log.flush()
        with running(
            command, cwd=trainer, env=environment, stdout=log, stderr=subprocess.STDOUT
        ) as process:
            for progress in _follow(process, results, fit.max_epochs):
                if watch is not None:
                    watch(progress)
    if process.returncode != 0:
        raise training_failure(process.returncode, out / LOG)


def _follow(
    process: subprocess.Popen[str], results: Path, n_epochs: int
) -> Iterator[TrainingProgress]:
    """Yield the validations that the trainer writes down, until it ends."""
    offset = results.stat().st_size if results.exists() else 0  # the rest is of killed runs
    first: tuple[int, float] | None = None
    ended = False
    while not ended:
        ended = process.poll() is not None  # read once more after the end
        lines, offset = _complete_lines(results, offset)
        for entry in map(_validation, lines):
            if entry is None:
                continue
            epoch, clock = entry["epoch"] + 1, time.monotonic()
            first = first or (epoch, clock)
            pace = (clock - first[1]) / (epoch - first[0]) if epoch > first[0] else None
            yield TrainingProgress(
                epoch=epoch,
                n_epochs=n_epochs,
                loss=entry["loss"],
                energy_mae_mev_per_atom=MEV_PER_EV * entry["mae_e_per_atom"],
                force_mae_mev_per_angstrom=MEV_PER_EV * entry["mae_f"],
                seconds_left=None if pace is None else pace * (n_epochs - epoch),
            )
        if not ended:
            time.sleep(_POLL_S)


def _complete_lines(path: Path, offset: int) -> tuple[list[str], int]:
    """Lines that were added behind `offset`, without one that is still being written."""
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        text = file.read()
    complete = text[: text.rfind(b"\n") + 1]
    return complete.decode().splitlines(), offset + len(complete)


def _validation(line: str) -> dict[str, Any] | None:
    """Return the entry of one validation after an epoch; None for all other lines."""
    try:
        entry: dict[str, Any] = json.loads(line)
    except json.JSONDecodeError:
        return None  # the half-written last line of a killed run, with ours behind it
    if (
        entry.get("mode") != "eval"
        or entry.get("epoch") is None
        or entry.get("head") == REPLAY_HEAD
    ):
        return None
    return entry


def _collect(out: Path, trainer: Path, data: TrainingSet) -> dict[str, Any]:
    """Move the model and the history to where users look; return the result without paths."""
    written = trainer / f"{NAME}.model"
    if not written.exists():
        raise TrainingError(
            f"expected mace-torch's trainer to leave {written}, found no such file although it "
            f"ended without an error. See the end of {out / LOG}"
        )
    network = load_model(written)  # a torn file must not pass for a finished training
    shutil.copyfile(trainer / "state" / HISTORY, out / HISTORY)
    if REPLAY_HEAD in model_heads(network):
        with replacing(out / BOTH_HEADS) as temporary:
            shutil.copyfile(written, temporary)
        save_model(one_head(network, MAIN_HEAD, str(written)), out / MODEL)
    else:
        with replacing(out / MODEL) as temporary:
            shutil.copyfile(written, temporary)
    summary = read_json(trainer / "state" / "summary.json")
    best = summary["best"]
    return {
        "n_parameters": summary["n_parameters"],
        "epochs": summary["epochs"],
        "best_epoch": int(best["epoch"]) + 1,
        "stopped_early": summary["stopped_early"],
        "energy_mae_mev_per_atom": MEV_PER_EV * best["mae_e_per_atom"],
        "energy_rmse_mev_per_atom": MEV_PER_EV * best["rmse_e_per_atom"],
        "force_mae_mev_per_angstrom": MEV_PER_EV * best["mae_f"],
        "force_rmse_mev_per_angstrom": MEV_PER_EV * best["rmse_f"],
        "e0s_ev": data.e0s_ev,
        "e0s_from": data.e0s_from,
        "unseen": data.unseen,
        "proxies": {} if data.start is None else data.start.proxies,
        "wall_s": summary["seconds"],
    }
