"""Train a MACE model: mace-torch's trainer in a child process, in a run directory of ours."""

import math
import os
import shutil
import subprocess
import sys
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
from moalloy_md.potentials.training_progress import REPLAY_HEAD, Watch, follow
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
#: What mace-torch calls the head of the data.
MAIN_HEAD = "Default"

_PACKAGES = ("mace-torch", "e3nn", "torch", "numpy", "ase")

#: mace-torch adds 1e-9 eV/Å to the mean force that it divides by, per cent.
_ALL_FORCES_ARE_ZERO = 1e7

#: Not part of what makes two trainings the same: data are known by their hashes, and a folder may
#: be moved.
_PATHS = {"out", "train", "valid", "test"}


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
    mean_abs_force_mev_per_angstrom: float | None = None
    """Mean absolute reference force component of the validation set: the error of predicting zero.
    None in trainings that were finished before it was recorded, and where all forces are zero."""
    force_r2: float | None = None
    """``1 − Σ(F̂ − F)²/ΣF²`` over the components: 0 is no better than predicting zero. None as above."""

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
        Called after each epoch.

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
            for progress in follow(process, results, fit.max_epochs):
                if watch is not None:
                    watch(progress)
    if process.returncode != 0:
        raise training_failure(process.returncode, out / LOG)


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
        **_size_of_forces(best),
        "e0s_ev": data.e0s_ev,
        "e0s_from": data.e0s_from,
        "unseen": data.unseen,
        "proxies": {} if data.start is None else data.start.proxies,
        "wall_s": summary["seconds"],
    }


def _size_of_forces(best: dict[str, float]) -> dict[str, float | None]:
    """Return mean |F| and R² from what mace-torch says in per cent of the forces."""
    mae, relative_mae = best["mae_f"], best.get("rel_mae_f", 0.0)
    relative_rmse = best.get("rel_rmse_f", math.inf)
    known = 0 < relative_mae < _ALL_FORCES_ARE_ZERO
    return {
        "mean_abs_force_mev_per_angstrom": MEV_PER_EV * mae / (relative_mae / 100)
        if known
        else None,
        "force_r2": 1 - (relative_rmse / 100) ** 2 if known else None,
    }
