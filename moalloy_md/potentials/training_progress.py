"""How far a training is: read from the results that mace-torch's trainer writes under way."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moalloy_md.units import MEV_PER_EV

#: What mace-torch calls the head of replayed cells.
REPLAY_HEAD = "pt_head"

_POLL_S = 0.2


@dataclass(frozen=True)
class Validation:
    """Errors on the validation set, of the weights that would be kept."""

    epoch: int
    """Epochs that were done when it was made."""
    loss: float
    """Validation loss."""
    energy_mae_mev_per_atom: float
    """Mean absolute error of the energy per atom."""
    force_mae_mev_per_angstrom: float
    """Mean absolute error of a force component."""


@dataclass(frozen=True)
class TrainingProgress:
    """How far a training is, after each epoch."""

    epoch: int
    """Epochs that are done."""
    n_epochs: int
    """Epochs that are to be done at most."""
    training_loss: float | None
    """Mean over the last epoch's steps, each before its weights were changed; None for an epoch
    of which this process saw no step."""
    validation: Validation | None
    """The last one of this process; None before the first."""
    seconds_per_epoch: float | None
    """Mean time of an epoch with its validation; None before the first one of this process is
    timed."""
    model: int = 1
    """Which model of a committee it is, counted from 1."""
    n_models: int = 1
    """Size of the committee."""

    @property
    def seconds_left(self) -> float | None:
        """Estimate of the time left, for all models of a committee together."""
        if self.seconds_per_epoch is None:
            return None
        later = (self.n_models - self.model) * self.n_epochs
        return self.seconds_per_epoch * (self.n_epochs - self.epoch + later)


Watch = Callable[[TrainingProgress], None]


def follow(
    process: subprocess.Popen[str], results: Path, n_epochs: int
) -> Iterator[TrainingProgress]:
    """Yield the epochs that the trainer writes down, until it ends.

    Parameters
    ----------
    process
        The trainer.
    results
        mace-torch's file: one line of JSON for each step and each validation. What stands there
        already is of killed runs.
    n_epochs
        Epochs that are to be done at most.
    """
    offset = results.stat().st_size if results.exists() else 0
    reader = _Reader(n_epochs)
    ended = False
    while not ended:
        ended = process.poll() is not None  # read once more after the end
        lines, offset = _complete_lines(results, offset)
        clock = time.monotonic()
        for line in lines:
            if (progress := reader.read(line, clock)) is not None:
                yield progress
        if not ended:
            time.sleep(_POLL_S)


class _Reader:
    """Puts the lines of one process together.

    An epoch is done when its validation is there or, where it has none, when a step of the next
    one is.
    """

    def __init__(self, n_epochs: int) -> None:
        self._n_epochs = n_epochs
        self._epoch: int | None = None  # whose steps are being read, counted from 0
        self._losses: list[float] = []
        self._validation: Validation | None = None
        self._first: tuple[int, float] | None = None

    def read(self, line: str, clock: float) -> TrainingProgress | None:
        try:
            entry: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            return None  # the half-written last line of a killed run, with ours behind it
        if entry.get("epoch") is None:
            return None  # a validation before the first epoch
        if entry.get("mode") == "opt":
            return self._step(int(entry["epoch"]), float(entry["loss"]), clock)
        if entry.get("mode") == "eval" and entry.get("head") != REPLAY_HEAD:
            return self._validated(entry, clock)
        return None

    def _step(self, epoch: int, loss: float, clock: float) -> TrainingProgress | None:
        before, unsaid = self._epoch, bool(self._losses)
        if epoch == before:
            self._losses.append(loss)
            return None
        progress = None
        if before is not None and unsaid:
            progress = self._progress(before + 1, clock)
        self._epoch, self._losses = epoch, [loss]
        return progress

    def _validated(self, entry: dict[str, Any], clock: float) -> TrainingProgress:
        done = int(entry["epoch"]) + 1
        self._validation = Validation(
            epoch=done,
            loss=float(entry["loss"]),
            energy_mae_mev_per_atom=MEV_PER_EV * entry["mae_e_per_atom"],
            force_mae_mev_per_angstrom=MEV_PER_EV * entry["mae_f"],
        )
        progress = self._progress(done, clock)
        self._losses = []  # this epoch is said
        return progress

    def _progress(self, done: int, clock: float) -> TrainingProgress:
        first = self._first = self._first or (done, clock)
        pace = (clock - first[1]) / (done - first[0]) if done > first[0] else None
        return TrainingProgress(
            epoch=done,
            n_epochs=self._n_epochs,
            training_loss=float(np.mean(self._losses)) if self._losses else None,
            validation=self._validation,
            seconds_per_epoch=pace,
        )


def _complete_lines(path: Path, offset: int) -> tuple[list[str], int]:
    """Lines that were added behind `offset`, without one that is still being written."""
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        text = file.read()
    complete = text[: text.rfind(b"\n") + 1]
    return complete.decode().splitlines(), offset + len(complete)
