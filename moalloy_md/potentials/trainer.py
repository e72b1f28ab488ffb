"""The child process of ``moalloy train``: mace-torch's trainer, made able to go on after a kill.

Run as ``python -m moalloy_md.potentials.trainer STATE_FOLDER PATIENCE [options of mace_run_train]``.

mace-torch 0.3.16 can restart, but from the weights of the best epoch, with the moving average
and the order of the cells begun anew; it removes the old checkpoint before it writes the new one,
so that a kill in between leaves none, and takes a torn one for no checkpoint, in silence. Here
its own loop runs unchanged, and we hand it an object in the place of its checkpoint handler
that saves the whole state after each validation: a run that was killed goes on exactly where
it was. Patience, which mace-torch heeds on several GPUs only, is counted here too.
"""

import fcntl
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moalloy_md.potentials.loading import write_torch
from moalloy_md.potentials.quiet import known_warnings_ignored, quiet_mace
from moalloy_md.potentials.training_failure import NO_ROOM, is_want_of_room
from moalloy_md.rundir import replacing

with quiet_mace():
    import mace.tools
    from mace.cli import run_train
    from mace.tools.checkpoint import CheckpointState

#: Files in the state folder.
RESUME, SUMMARY, HISTORY, LOCK = "resume.pt", "summary.json", "history.jsonl", "lock"

_LOCK_WAIT_S = 20.0


class _PatienceEndedError(Exception):
    """Leaves mace-torch's loop."""


class _Interval(int):
    """Epochs between two validations, with which mace-torch's loop finds the last one due too.

    The loop validates where ``epoch % interval`` is zero, and what it trains after the last such
    epoch is never validated, so that it could not be kept.
    """

    last_epoch: int

    @classmethod
    def ending_with(cls, last_epoch: int, *, every: int) -> "_Interval":
        interval = cls(every)
        interval.last_epoch = last_epoch
        return interval

    def __rmod__(self, epoch: int) -> int:
        return 0 if epoch == self.last_epoch else epoch % int(self)


class _Session:
    """What mace-torch's loop is given as checkpoint handler, logger and learning-rate schedule.

    Its ``save`` is called after each validation, while the model carries the moving average of
    the weights (mace-torch's ``save_all_checkpoints``).
    """

    def __init__(
        self, folder: Path, patience_epochs: int | None, arguments: dict[str, Any]
    ) -> None:
        self._folder = folder
        self._patience_epochs = patience_epochs
        self._model: torch.nn.Module = arguments["model"]
        self._optimizer: torch.optim.Optimizer = arguments["optimizer"]
        self._schedule = arguments["lr_scheduler"]
        self._ema = arguments["ema"]
        self._generator: torch.Generator = arguments["train_loader"].generator
        self._device = arguments["device"]
        self._logger = arguments["logger"]
        self._main_head: str = list(arguments["valid_loaders"])[-1]  # whose loss mace-torch heeds
        self._other_heads: dict[str, float] = {}  # its last validations of the others
        self._epoch: int | None = None  # being trained
        self._losses: list[float] = []  # of its steps
        self._history: list[dict[str, float]] = []  # validations, the last one last
        self._best: dict[str, float] = {}
        self._best_weights: dict[str, torch.Tensor] = {}
        self._started = time.monotonic()

    # -- as mace-torch's logger -------------------------------------------------------------

    def log(self, metrics: dict[str, Any]) -> None:
        """Pass on to mace-torch's results file; remember the last epoch's steps and validation."""
        if metrics["mode"] == "opt":
            if metrics["epoch"] != self._epoch:
                self._epoch, self._losses = metrics["epoch"], []
            self._losses.append(float(metrics["loss"]))
        if metrics["mode"] == "eval" and metrics["epoch"] is not None:
            numbers = {
                key: float(v) for key, v in metrics.items() if isinstance(v, float | np.floating)
            }
            head = metrics.get("head", self._main_head)
            if head == self._main_head:
                rate = float(max(group["lr"] for group in self._optimizer.param_groups))
                epoch = {"epoch": int(metrics["epoch"]), "learning_rate": rate}
                if self._losses:  # of the epoch that is validated
                    epoch["training_loss"] = float(np.mean(self._losses))
                self._history.append({**epoch, **numbers, **self._other_heads})
            else:
                self._other_heads |= {f"{head}_{key}": value for key, value in numbers.items()}
        self._logger.log(metrics)

    # -- as mace-torch's learning-rate schedule ---------------------------------------------

    def step(self, metrics: float) -> None:
        """Change the learning rate; `metrics` is wrong in mace-torch just after a restart."""
        self._schedule.step(metrics=self._history[-1]["loss"] if self._history else metrics)

    # -- as mace-torch's checkpoint handler -------------------------------------------------

    def save(self, state: Any, epochs: int, keep_last: bool) -> None:  # noqa: ARG002, FBT001  its signature
        """Save the best weights if these are, and everything that going on needs."""
        last = self._history[-1]
        if not np.isfinite(last["loss"]):
            raise FloatingPointError(f"the validation loss of epoch {epochs} is {last['loss']}")
        if last["loss"] < self._best.get("loss", np.inf):
            self._best = last
            self._best_weights = {k: v.clone() for k, v in self._model.state_dict().items()}
        if self._ema is not None:
            self._ema.restore()  # back to the bare weights: mace-torch does so next anyway
        resume = {
            "epoch": epochs,
            "seconds": self._seconds(),
            "history": self._history,
            "best": self._best,
            "best_weights": self._best_weights,
            "model": self._model.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "ema": None if self._ema is None else self._ema.state_dict(),
            "order_of_cells": self._generator.get_state(),
            "torch_rng": torch.get_rng_state(),
        }
        with replacing(self._folder / RESUME) as temporary:
            write_torch(resume, temporary)
        if self._out_of_patience():
            raise _PatienceEndedError

    # -- ours -------------------------------------------------------------------------------

    def restore(self, max_epochs: int) -> int:
        """Take up the state of a killed run; return the epoch to go on with, 0 without one."""
        path = self._folder / RESUME
        if not path.exists():
            return 0
        state = torch.load(path, map_location=self._device, weights_only=True)
        self._model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        if self._ema is not None:
            self._ema.load_state_dict(state["ema"])
        self._generator.set_state(state["order_of_cells"].cpu())
        torch.set_rng_state(state["torch_rng"].cpu())
        self._history, self._best = state["history"], state["best"]
        self._started -= state["seconds"]
        self._best_weights = state["best_weights"]
        if self._out_of_patience():
            return max_epochs
        epoch = int(state["epoch"]) + 1
        if epoch < max_epochs:
            with warnings.catch_warnings():
                # The optimizer has stepped, though not in this process.
                warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler\.step")
                self.step(self._history[-1]["loss"])  # mace-torch leaves it out in its first epoch
        return epoch

    def publish(self, checkpoint_handler: Any) -> None:
        """Give mace-torch the best weights as the one checkpoint that it makes the model of."""
        self._model.load_state_dict(self._best_weights)
        checkpoint_handler.save(
            state=CheckpointState(self._model, self._optimizer, self._schedule),
            epochs=int(self._best["epoch"]),
            keep_last=True,
        )
        summary = {
            "epochs": int(self._history[-1]["epoch"]) + 1,
            "n_parameters": self._n_trained(),
            "stopped_early": self._out_of_patience(),
            "seconds": self._seconds(),
            "best": self._best,
        }
        lines = [json.dumps(entry) + "\n" for entry in self._history]
        (self._folder / HISTORY).write_text("".join(lines))
        (self._folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n")

    def _n_trained(self) -> int:
        """Weights that the optimizer changes; without frozen ones."""
        trained = (p for group in self._optimizer.param_groups for p in group["params"])
        return sum(p.numel() for p in trained if p.requires_grad)

    def _out_of_patience(self) -> bool:
        if self._patience_epochs is None:
            return False
        return self._history[-1]["epoch"] - self._best["epoch"] >= self._patience_epochs

    def _seconds(self) -> float:
        """Time spent in training, in this process and in those that were killed."""
        return time.monotonic() - self._started


def _resumable(
    mace_train: Callable[..., None], folder: Path, patience_epochs: int | None
) -> Callable[..., None]:
    """Wrap mace-torch's training loop, which `run_train` calls with keywords only."""

    def train(**arguments: Any) -> None:
        session = _Session(folder, patience_epochs, arguments)
        max_epochs: int = arguments["max_num_epochs"]
        first = session.restore(max_epochs)
        ours = {
            "logger": session,
            "lr_scheduler": session,
            "checkpoint_handler": session,
            "save_all_checkpoints": True,
            "start_epoch": first,
            "patience": max_epochs + 1,
            "eval_interval": _Interval.ending_with(
                max_epochs - 1, every=arguments["eval_interval"]
            ),
        }
        if first < max_epochs:
            try:
                mace_train(**{**arguments, **ours})
            except _PatienceEndedError:
                print(f"No improvement in {patience_epochs} epochs: stopped", flush=True)  # noqa: T201  the log
        session.publish(arguments["checkpoint_handler"])

    return train


def _mended(configure: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap the function with which `run_train` builds the network; mend what it does to a foundation.

    mace-torch takes over all weights but the constants of the ZBL repulsion: a model that was
    trained with others than mace-torch's own would lose its core without a word. And it makes
    parameters of the Bessel functions' frequencies, which its optimizer does not know: nobody
    sets their gradient back, so it grows from step to step, and with it the norm by which all
    gradients are clipped. A killed run would begin with that norm anew.
    """

    def build(
        args: Any, train_loader: Any, atomic_energies: Any, foundation: Any = None, *rest: Any
    ) -> Any:
        model, output = configure(args, train_loader, atomic_energies, foundation, *rest)
        if hasattr(foundation, "pair_repulsion_fn"):
            model.pair_repulsion_fn.load_state_dict(foundation.pair_repulsion_fn.state_dict())
        radial = model.radial_embedding.bessel_fn
        weights = radial._parameters.pop("bessel_weights", None)  # noqa: SLF001  as in a new model
        if weights is not None:
            radial.register_buffer("bessel_weights", weights.detach())
        return model, output

    return build


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold a lock: of two trainers in one folder, the second waits for a dying first, or ends."""
    with (folder / LOCK).open("w") as file:
        deadline = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    sys.exit(f"another trainer is at work in {folder}")
                time.sleep(0.1)
        yield


def main(arguments: list[str]) -> None:
    """Train; see the module's text for the arguments."""
    folder = Path(arguments[0])
    patience_epochs = int(arguments[1]) or None
    folder.mkdir(parents=True, exist_ok=True)
    with _alone_in(folder), known_warnings_ignored():
        mace.tools.train = _resumable(mace.tools.train, folder, patience_epochs)
        run_train.configure_model = _mended(run_train.configure_model)
        try:
            run_train.run(mace.tools.build_default_arg_parser().parse_args(arguments[2:]))
        except Exception as error:
            if not is_want_of_room(error):
                raise
            with suppress(OSError):  # the log is on the same disk
                print(f"No space left on device: {error}", flush=True)  # noqa: T201  the log
            sys.exit(NO_ROOM)


if __name__ == "__main__":
    main(sys.argv[1:])
