"""MACE in C++ as an ASE calculator: no torch, and the speed of the native engine."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray

from moalloy_md import _engine
from moalloy_md.bundle import open_bundle
from moalloy_md.config import DType
from moalloy_md.elements import symbol
from moalloy_md.errors import ModelError
from moalloy_md.potentials.pairs import NeighbourPairs


class NativeCalculator(Calculator):
    """Energies, forces and stresses of a MACE model from the native engine.

    Parameters
    ----------
    model
        A bundle that ``moalloy export`` wrote, or its ``model.safetensors``. Nothing in these
        files is executed; the bundle's hashes are checked.
    precision
        Of the arithmetic: ``"float32"`` or ``"float64"``; the file's own where None. Sums of
        energies and forces are always kept in double precision.
    threads
        OpenMP threads; all cores that this process may use where None.

    Raises
    ------
    ModelError
        If the file is missing, damaged, of a newer format or of another kind, `precision` is
        another one, or (at a calculation) there is no atom, an element of the atoms is not in the
        file, or two atoms lie on one place.

    Notes
    -----
    ``stress`` is dE/dε / V in Voigt order xx yy zz yz xz xy, positive under tension. ``stresses``
    are the same for each atom over the volume of the whole cell, so that they sum to ``stress``:
    of the derivative of the energy by each edge's vector, half goes to either end.
    """

    implemented_properties: ClassVar[list[str]] = [
        "energy",
        "free_energy",
        "energies",
        "forces",
        "stress",
        "stresses",
    ]

    def __init__(
        self,
        model: Path | str,
        *,
        precision: DType | None = None,
        threads: int | None = None,
    ) -> None:
        super().__init__()
        if precision is not None and precision not in get_args(DType):
            raise ModelError(
                f"precision: expected {' or '.join(get_args(DType))}, found {precision!r}"
            )
        self.file = _model_file(Path(model))
        """The ``model.safetensors`` that was read."""
        self._threads = threads or len(os.sched_getaffinity(0))
        self._precision = precision
        summary = read_summary(self.file)
        self.elements = [symbol(z) for z in summary["atomic_numbers"]]
        """Chemical symbols that the model knows."""
        self.energies_0_ev = dict(zip(self.elements, summary["energies_0"], strict=True))
        """Reference energy of each element, eV."""
        self.head = str(summary["head"])
        """Head of the model that the file holds."""
        self.precision: DType = precision or summary["precision"]
        """Of the arithmetic."""
        self._pairs = NeighbourPairs(summary["r_max"])
        self._engine: _engine.Engine | None = None
        self._species = np.zeros(0, dtype=np.int64)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = tuple(all_changes),
    ) -> None:
        """Evaluate `atoms`; all properties come together, but ``stresses`` only when asked for."""
        super().calculate(atoms, list(properties), list(system_changes))
        atoms = self.atoms
        wants_stress = bool({"stress", "stresses"} & set(properties))
        if wants_stress and atoms.cell.rank < 3:
            raise PropertyNotImplementedError(
                f"stress: expected a cell with three vectors, found {atoms.cell.rank}: the stress "
                "of a cluster has no volume to refer to"
            )
        _need_positions(atoms)
        edges = self._pairs.edges(atoms)
        engine = self._engine_for(atoms)
        found = engine.evaluate(
            np.searchsorted(self._species, atoms.numbers).astype(np.int32),
            edges.senders,
            edges.receivers,
            np.ascontiguousarray(edges.vectors),
            threads=self._threads,
            virials="stresses" in properties,
        )
        if not (np.isfinite(found["energy"]) and np.isfinite(found["forces"]).all()):
            raise ModelError(_nonfinite(edges.vectors, edges.senders, edges.receivers))
        self.results = _results(found, atoms)

    def _engine_for(self, atoms: Atoms) -> _engine.Engine:
        """Return an engine that knows the elements of `atoms`, and those it met before."""
        unknown = sorted(set(atoms.symbols) - set(self.elements))
        if unknown:
            raise ModelError(
                f"{self.file}: expected atoms of the model's elements "
                f"{', '.join(self.elements)}, found {', '.join(unknown)}"
            )
        species = np.union1d(self._species, atoms.numbers)
        if self._engine is None or len(species) > len(self._species):
            try:
                self._engine = _engine.Engine(
                    str(self.file), [int(z) for z in species], self._precision or ""
                )
            except RuntimeError as error:  # the file is gone, or MOALLOY_ISA is wrong
                raise ModelError(str(error)) from None
            self._species = species
        return self._engine


def read_summary(path: Path) -> dict[str, Any]:
    """Read a model file of the native engine and say what it holds.

    Returns
    -------
    dict
        ``atomic_numbers``, ``energies_0`` (eV), ``precision``, ``r_max`` (Å), ``channels``,
        ``layers``, ``head``.

    Raises
    ------
    ModelError
        If it is missing, damaged, of a newer format or of another kind.
    """
    try:
        return _engine.load_model(str(path))
    except RuntimeError as error:
        raise ModelError(str(error)) from None


def _model_file(path: Path) -> Path:
    if not path.exists():
        raise ModelError(
            f"{path}: expected a bundle or its model.safetensors, found no such file or folder. Check "
            "the path, or make a bundle with 'moalloy export MODEL --out BUNDLE'"
        )
    if not path.is_dir():
        return path
    bundle = open_bundle(path)
    if bundle.native is None:
        reason = bundle.manifest["native"]["reason"]
        raise ModelError(
            f"{path}: expected a bundle with a file for the native engine, found none: {reason}. "
            "Export the model again, or use pair_style mace"
        )
    return bundle.native


def _need_positions(atoms: Atoms) -> None:
    if not len(atoms):
        raise ModelError("expected at least one atom, found none")
    bad = np.flatnonzero(~np.isfinite(atoms.positions).all(axis=1))
    if len(bad):
        raise ModelError(
            f"atom {bad[0]} (the first is 0): expected a finite position, found "
            f"{atoms.positions[bad[0]].tolist()}"
        )


def _nonfinite(
    vectors: NDArray[np.float64], senders: NDArray[np.int32], receivers: NDArray[np.int32]
) -> str:
    text = "expected finite energies and forces, found nan or inf"
    distances = np.linalg.norm(vectors, axis=1)
    if not len(distances):
        return f"{text}: the model is broken"
    k = int(np.argmin(distances))
    return (
        f"{text}. The closest atoms, {receivers[k]} and {senders[k]} (the first is 0), are "
        f"{distances[k]:.2g} Å apart: two atoms on one place? Otherwise the model is broken"
    )


def _results(found: dict[str, Any], atoms: Atoms) -> dict[str, Any]:
    results = {
        "energy": found["energy"],
        "free_energy": found["energy"],  # the labels of training are free energies
        "energies": found["energies"],
        "forces": found["forces"],
    }
    if atoms.cell.rank == 3:
        volume = atoms.get_volume()
        results["stress"] = _voigt(found["virial"]) / volume
        if "virials" in found:
            results["stresses"] = np.array([_voigt(v) for v in found["virials"]]) / volume
    return results


def _voigt(virial: NDArray[np.float64]) -> NDArray[np.float64]:
    voigt: NDArray[np.float64] = full_3x3_to_voigt_6_stress(0.5 * (virial + virial.T))
    return voigt
