"""Train a MACE model: mace-torch's trainer in a child process, in a run directory of ours."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from moalloy_md.config import TrainConfig
from moalloy_md.errors import RunDirectoryError, TrainingError
from moalloy_md.potentials.loading import load_model, resolve_device
from moalloy_md.potentials.mace_options import NAME, epochs_to_run, mace_arguments
from moalloy_md.potentials.training_set import TrainingSet, read_training_set
from moalloy_md.processes import running, set_openmp
from moalloy_md.rundir import RunDirectory, now, open_run, read_json, replacing, sha256
from moalloy_md.units import MEV_PER_EV

MODEL, LOG, HISTORY = "model.model", "train.log", "history.jsonl"

_PACKAGES = ("mace-torch", "e3nn", "torch", "numpy", "ase")
_POLL_S = 0.2
_TAIL_LINES = 25

#: Not part of what makes two trainings the same: data are known by their hashes, and a folder may
#: be moved.
_PATHS = {"out", "train", "valid", "test"}

#: What to look for in the log of a failed training, and what it means.
_CAUSES = (
    (r"FloatingPointError", "the loss is no longer a finite number: lower the learning rate"),
    (r"out of memory|DefaultCPUAllocator: can't allocate", "out of memory: lower batch_size"),
    (r"No space left on device", "the disk is full"),
    (r"another trainer is at work", "another 'moalloy train' is still running in this folder"),
    (r"CUDA error|CUDA driver", "the CUDA device failed: check nvidia-smi, or use device cpu"),
)


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
    """Trainable weights of the model."""
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
    data = read_training_set(config)
    device = resolve_device(config.device)
    out = Path(out).absolute()
    run = open_run(
        out, kind="train", config=config.model_dump(mode="json", exclude=_PATHS),
        packages=_PACKAGES,
    )  # fmt: skip
    _refuse_changed_data(run, data)
    if (finished := run.result("train")) is not None:
        _refuse_changed_model(run)
        shutil.rmtree(out / "trainer", ignore_errors=True)  # a kill may have left it
        return TrainResult(**finished, model=out / MODEL, was_finished=True)
    paths = config.model_dump(mode="json", include=_PATHS)
    run.update_manifest(data=data.as_dict(), paths=paths, device=device)
    trainer = out / "trainer"
    trainer.mkdir(exist_ok=True)
    _run_trainer(config, data, device, out, watch)
    result = _collect(out, trainer, data)
    run.update_manifest(finished=now(), model_sha256=sha256(out / MODEL), result=result)
    run.finish_step("train", result)
    shutil.rmtree(trainer)  # only now: until here, a killed run goes on from it
    return TrainResult(**result, model=out / MODEL, was_finished=False)


def _refuse_changed_data(run: RunDirectory, data: TrainingSet) -> None:
    before = run.manifest.get("data")
    if before is None:
        return
    for key, name in (("train_sha256", "training set"), ("valid_sha256", "validation set")):
        if before[key] != data.as_dict()[key]:
            raise RunDirectoryError(
                f"{run.path}: was started with another {name} under the same path (its hash "
                "changed). Bring the old one back to go on, or choose another folder"
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
    n_epochs = epochs_to_run(fit)
    with (out / LOG).open("a") as log:
        log.write(f"# {now()} {' '.join(map(str, command))}\n")
        log.flush()
        with running(
            command, cwd=trainer, env=environment, stdout=log, stderr=subprocess.STDOUT
        ) as process:
            for progress in _follow(process, results, n_epochs):
                if watch is not None:
                    watch(progress)
    if process.returncode != 0:
        raise _failure(process.returncode, out / LOG)


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
    return entry if entry.get("mode") == "eval" and entry.get("epoch") is not None else None


def _failure(status: int, log: Path) -> TrainingError:
    lines = log.read_text(errors="replace").splitlines()
    start = max((i for i, line in enumerate(lines) if line.startswith("# ")), default=0)
    text = "\n".join(lines[start + 1 :])
    cause = next((meaning for pattern, meaning in _CAUSES if re.search(pattern, text)), None)
    if cause is None and status == -9:
        cause = "killed by the system, most likely for want of memory: lower batch_size"
    tail = "\n".join(lines[start + 1 :][-_TAIL_LINES:])
    return TrainingError(
        f"expected mace-torch's trainer to finish, found that it ended with status {status}. "
        f"Likely cause: {cause or 'see the end of its log'}.\n"
        f"The end of {log}:\n{tail}"
    )


def _collect(out: Path, trainer: Path, data: TrainingSet) -> dict[str, Any]:
    """Move the model and the history to where users look; return the result without paths."""
    written = trainer / f"{NAME}.model"
    if not written.exists():
        raise TrainingError(
            f"expected mace-torch's trainer to leave {written}, found no such file although it "
            f"ended without an error. See the end of {out / LOG}"
        )
    load_model(written)  # a torn file must not pass for a finished training
    shutil.copyfile(trainer / "state" / HISTORY, out / HISTORY)
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
        "wall_s": summary["seconds"],
    }
