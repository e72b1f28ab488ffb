"""Who evaluates a bundle in Python: the native engine, or torch with the TorchScript file."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from moalloy_md.bundle import Bundle
from moalloy_md.config import DType
from moalloy_md.workflows.properties.config import BundleEngine

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

_TIMED = 3


def engine_of(bundle: Bundle) -> BundleEngine:
    """Return the quickest engine that can evaluate a bundle."""
    return "torch" if bundle.native is None else "native"


def model_sha256(bundle: Bundle, engine: BundleEngine) -> str | None:
    """SHA-256 of the file that an engine evaluates; None if the bundle has none for it."""
    file = bundle.native if engine == "native" else bundle.torchscript
    return bundle.manifest["files"][file.name] if file else None


def bundle_calculator(
    bundle: Path,
    *,
    engine: BundleEngine,
    precision: DType = "float64",
    threads: int | None = None,
) -> "Calculator":
    """Make the ASE calculator of a bundle.

    Parameters
    ----------
    bundle
        A folder that ``moalloy export`` wrote.
    engine
        Who evaluates it.
    precision
        Of the native engine's arithmetic. Small differences of large numbers are wanted mostly: in
        single precision they would be noise. TorchScript runs in the dtype of its file.
    threads
        Of the native engine; all cores that the process may use where None.

    Raises
    ------
    ModelError
        If the folder is no bundle, or has no file for the engine.
    """
    if engine == "native":
        from moalloy_md.potentials.native import NativeCalculator

        return NativeCalculator(bundle, precision=precision, threads=threads)
    from moalloy_md.potentials.torchscript_calculator import TorchScriptCalculator

    return TorchScriptCalculator(bundle)


def seconds_per_evaluation(atoms: "Atoms", calculator: "Calculator") -> float:
    """Time energy and forces of a cell, s.

    The median of several: the first one of a calculator builds its engine, which takes as long as
    thirty evaluations of 128 atoms.

    Parameters
    ----------
    atoms
        The cell, which stays as it is.
    calculator
        What evaluates it.
    """
    work = atoms.copy()
    work.calc = calculator
    times = []
    for k in range(_TIMED):
        work.rattle(0.001, seed=k)
        begin = time.perf_counter()
        work.get_forces()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))
