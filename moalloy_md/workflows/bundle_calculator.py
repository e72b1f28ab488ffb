"""Who evaluates a bundle in Python: the native engine, or torch with the TorchScript file."""

from pathlib import Path
from typing import TYPE_CHECKING

from moalloy_md.bundle import Bundle
from moalloy_md.config import DType
from moalloy_md.workflows.properties_config import BundleEngine

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator


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
