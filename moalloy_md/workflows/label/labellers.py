"""Compute the labels of a cell: in this process, or in one of its own for a DFT code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ase import Atoms

from moalloy_md.errors import MoAlloyError
from moalloy_md.processes import running
from moalloy_md.rundir import sha256
from moalloy_md.workflows.label import worker
from moalloy_md.workflows.label.config import (
    Calculator,
    Factory,
    Gpaw,
    LabelConfig,
    MaceTeacher,
    NativeTeacher,
    Vasp,
)

_LOG = "output.txt"
_TAIL_LINES = 15


class LabelFailure(MoAlloyError):  # noqa: N818  it is caught, counted and listed
    """A cell could not be labelled; the next one may be."""


Labels = dict[str, Any]


class Labeller(Protocol):
    """Computes labels; see `moalloy_md.workflows.label.worker.compute_labels` for what they are."""

    def label(self, atoms: Atoms, folder: Path) -> Labels:
        """Label a cell; files go into `folder`, which is made if needed. May raise anything."""


def identity(config: LabelConfig) -> dict[str, Any]:
    """Return what decides on the labels: cells that were labelled under another one are not mixed in.

    The place of a model file, the number of threads or how a code is started do not belong to it.
    The pseudopotentials of a DFT code do, but which they are depends on the cells: they are asked
    for by `pseudopotential_files`.

    Raises
    ------
    MoAlloyError
        If a model file cannot be read.
    """
    calculator = config.calculator
    found: dict[str, Any] = {"kind": calculator.kind, "stress": config.stress}
    if isinstance(calculator, MaceTeacher):
        return {
            **found, "model_sha256": _model_sha256(calculator.model), "dtype": calculator.dtype,
            "head": calculator.head,
        }  # fmt: skip
    if isinstance(calculator, NativeTeacher):
        from moalloy_md.potentials.native import NativeCalculator

        file = NativeCalculator(calculator.model).file
        return {**found, "model_sha256": sha256(file), "precision": calculator.precision}
    if isinstance(calculator, Factory):
        keys = {"target", "arguments", "energy_is_free"}
        return {**found, **calculator.model_dump(include=keys, mode="json")}
    return {**found, "settings": calculator.settings}


def recorded(calculator: Calculator) -> dict[str, Any]:
    """Entries of a frame's ``info`` that say who labelled it; ``moalloy dataset check`` compares them."""
    if isinstance(calculator, MaceTeacher | NativeTeacher):
        return {"calculator": f"{calculator.kind} {calculator.model.name}"}
    if isinstance(calculator, Factory):
        return {"calculator": calculator.target}
    settings = calculator.settings
    mode = settings.get("mode")  # of GPAW
    cutoff = mode.get("ecut") if isinstance(mode, dict) else settings.get("encut")
    found = {"calculator": calculator.kind, "functional": settings.get("xc"), "cutoff_ev": cutoff}
    return {key: value for key, value in found.items() if isinstance(value, str | int | float)}


def pseudopotential_files(
    calculator: Calculator, cells: Iterable[Atoms], folder: Path
) -> dict[str, dict[str, str]]:
    """Ask a DFT code from which files it would take the pseudopotentials of some cells.

    Parameters
    ----------
    calculator
        Who labels.
    cells
        What is to be labelled.
    folder
        For the files of the process that is asked; made if needed.

    Returns
    -------
    dict
        ``path`` and ``sha256`` by the name of the pseudopotential; empty for what is no DFT code,
        and where there is no cell.

    Raises
    ------
    MoAlloyError
        If the code has none for any of the cells, or its Python cannot be started.
    """
    kinds = sorted({tuple(atoms.get_chemical_symbols()) for atoms in cells})
    if not isinstance(calculator, Gpaw | Vasp) or not kinds:
        return {}
    return _OwnProcess(calculator, stress=False).do({"cells": kinds}, folder)


def open_labeller(config: LabelConfig) -> Labeller:
    """Make ready who labels.

    Raises
    ------
    MoAlloyError
        If a model cannot be loaded, or a factory cannot be imported or called.
    """
    calculator = config.calculator
    if isinstance(calculator, MaceTeacher):
        from moalloy_md.potentials.torch_calculator import TorchCalculator

        teacher = TorchCalculator(
            calculator.model,
            device=calculator.device,
            dtype=calculator.dtype,
            head=calculator.head,
        )
        return _InProcess(lambda: teacher, stress=config.stress)
    if isinstance(calculator, NativeTeacher):
        from moalloy_md.potentials.native import NativeCalculator

        native = NativeCalculator(
            calculator.model, precision=calculator.precision, threads=calculator.threads
        )
        return _InProcess(lambda: native, stress=config.stress)
    if isinstance(calculator, Factory) and not (calculator.interpreter or calculator.timeout_s):
        make = partial(_call, calculator)
        return _InProcess(make, stress=config.stress, energy_is_free=calculator.energy_is_free)
    return _OwnProcess(calculator, stress=config.stress)


def _model_sha256(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise MoAlloyError(f"{path}: cannot be read ({error.strerror}). Check the path") from error


def _call(calculator: Factory) -> Any:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # a user's own module beside the data
    try:
        return worker.make_calculator(calculator.target, calculator.arguments)
    except Exception as error:
        raise MoAlloyError(
            f"calculator {calculator.target}: expected module:name that returns an ASE calculator "
            f"when called with {calculator.arguments}, found {type(error).__name__}: {error}"
        ) from error


class _InProcess:
    """A calculator in this process: one for all cells, until it fails."""

    def __init__(
        self, make: Callable[[], Any], *, stress: bool, energy_is_free: bool = False
    ) -> None:
        self._make, self._stress, self._energy_is_free = make, stress, energy_is_free
        self._calculator = make()

    def label(self, atoms: Atoms, folder: Path) -> Labels:
        del folder  # these calculators write no files
        bare = worker.atoms_from_plain(_plain(atoms))
        try:
            return worker.compute_labels(
                bare, self._calculator, stress=self._stress, energy_is_free=self._energy_is_free
            )
        except Exception:
            self._calculator = self._make()  # an error may have left the old one half made
            raise


@dataclass(frozen=True)
class _OwnProcess:
    """A calculator in a process of its own, which cannot take us with it when it crashes."""

    calculator: Gpaw | Vasp | Factory
    stress: bool

    def label(self, atoms: Atoms, folder: Path) -> Labels:
        energy_is_free = isinstance(self.calculator, Factory) and self.calculator.energy_is_free
        job = {"stress": self.stress, "energy_is_free": energy_is_free, "atoms": _plain(atoms)}
        return self.do(job, folder)

    def do(self, job: dict[str, Any], folder: Path) -> dict[str, Any]:
        """Give the worker a job in `folder`; see `moalloy_md.workflows.label.worker`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in (worker.RESULT, worker.ERROR):
            (folder / name).unlink(missing_ok=True)  # of an earlier attempt
        target, arguments = _target(self.calculator)
        common = {"target": target, "arguments": arguments, "start_folder": str(Path.cwd())}
        (folder / worker.JOB).write_text(json.dumps({**common, **job}))
        status = self._run(folder)
        result = folder / worker.RESULT
        if status != 0 or not result.exists():
            raise LabelFailure(_why(folder, status))
        return dict(json.loads(result.read_text()))

    def _run(self, folder: Path) -> int:
        interpreter = self.calculator.interpreter or (sys.executable,)
        with (folder / _LOG).open("w") as log:
            try:
                with running(
                    [*interpreter, worker.__file__],
                    cwd=folder,
                    env=_environment(self.calculator),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                ) as process:
                    return process.wait(timeout=self.calculator.timeout_s)
            except subprocess.TimeoutExpired:
                raise LabelFailure(
                    f"not finished after {self.calculator.timeout_s:g} s (timeout_s): ended"
                ) from None
            except OSError as error:
                raise LabelFailure(
                    f"interpreter {' '.join(interpreter)}: cannot be started ({error.strerror})"
                ) from error


def _target(calculator: Gpaw | Vasp | Factory) -> tuple[str, dict[str, Any]]:
    if isinstance(calculator, Gpaw):
        return "gpaw:GPAW", {"txt": "gpaw.txt", **calculator.settings}
    if isinstance(calculator, Vasp):
        command = {} if calculator.command is None else {"command": calculator.command}
        # LORBIT 11 makes VASP print the moments that a spin-polarised cell is recorded with.
        defaults = {"directory": ".", "lorbit": 11}
        return "ase.calculators.vasp:Vasp", {**defaults, **calculator.settings, **command}
    return calculator.target, calculator.arguments


def _environment(calculator: Gpaw | Vasp | Factory) -> dict[str, str]:
    env = {**os.environ, **calculator.environment}
    if isinstance(calculator, Vasp) and calculator.pseudopotentials is not None:
        env["VASP_PP_PATH"] = str(calculator.pseudopotentials.resolve())
    return env


def _why(folder: Path, status: int) -> str:
    """Say what went wrong, from the worker's own words or the end of what was printed."""
    error = folder / worker.ERROR
    if error.exists():
        return str(json.loads(error.read_text())["error"])
    lines = (folder / _LOG).read_text(errors="replace").strip().splitlines()
    tail = "\n".join(lines[-_TAIL_LINES:]) or "nothing was printed"
    return f"the calculator's process ended with status {status}:\n{tail}"


def _plain(atoms: Atoms) -> dict[str, Any]:
    """Return what a calculator is told of a cell, as JSON; labels and names stay here."""
    moments = np.asarray(atoms.get_initial_magnetic_moments())
    return {
        "numbers": atoms.numbers.tolist(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
        "magmoms": moments.tolist() if moments.any() else None,
    }
