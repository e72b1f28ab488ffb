"""Write a MACE model as the files of a bundle, and evaluate its source for comparison."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms

from moalloy_md.config import DType
from moalloy_md.elements import atomic_number, symbol
from moalloy_md.errors import ModelError, UnsupportedModelError
from moalloy_md.potentials.elements_subset import keep_elements
from moalloy_md.potentials.foundations import open_model
from moalloy_md.potentials.loading import (
    TO_E3NN,
    model_dtype,
    model_elements,
    model_heads,
)
from moalloy_md.potentials.native_model import native_model, write_native
from moalloy_md.potentials.parity import Evaluated
from moalloy_md.potentials.quiet import quiet_mace
from moalloy_md.potentials.torchscript import script

#: Model classes whose energy is local: a sum over atoms of what lies within r_max a layer.
_SUPPORTED = ("MACE", "ScaleShiftMACE")


@dataclass(frozen=True)
class ExportSource:
    """A loaded model, with what was chosen of it. Make it with `open_source`.

    Attributes
    ----------
    model
        The model as it was read.
    head
        Name of the chosen head.
    elements
        Symbols to keep, in the order of the model's table.
    dtype
        Precision of the file to write.
    sha256
        Hash of the file that it was read from; of the weights of a base model; None for a module that
        was never in a file.
    """

    model: torch.nn.Module
    head: str
    elements: list[str]
    dtype: DType
    sha256: str | None = None

    @property
    def head_index(self) -> int:
        """Position of the chosen head."""
        return model_heads(self.model).index(self.head)

    @property
    def reference_energies_ev(self) -> dict[str, float]:
        """E0 of each kept element for the chosen head, eV."""
        table = _reference_energies(self.model)[self.head_index]
        known = [symbol(z) for z in model_elements(self.model)]
        return {element: float(table[known.index(element)]) for element in self.elements}

    @property
    def r_max_angstrom(self) -> float:
        """Cutoff of one layer, Å."""
        return float(self.model.r_max)

    @property
    def n_layers(self) -> int:
        """Number of message-passing layers."""
        return int(self.model.num_interactions)


def open_source(
    path: Path | str,
    *,
    head: str | None = None,
    elements: list[str] | None = None,
    dtype: DType | None = None,
) -> ExportSource:
    """Load a model for export and check what was asked for.

    Parameters
    ----------
    path
        A ``.model`` file (a pickle, so it has to be your own), or the name of a foundation.
    head
        Name of the head; needed only where the model has several.
    elements
        Symbols to keep; all of the model's where None.
    dtype
        Precision of the file; the model's own where None.

    Raises
    ------
    ModelError
        If the file is no MACE model, its class is not supported, its layers are cuequivariance's,
        the head is not one of its heads or has to be chosen, or it lacks an element.
    """
    model, digest = open_model(path)
    kind = type(model).__name__
    if kind not in _SUPPORTED or hasattr(model, "joint_embedding"):
        extra = " with an embedding of charge, spin or the like" if kind in _SUPPORTED else ""
        raise ModelError(
            f"{path}: expected one of the model classes {', '.join(_SUPPORTED)}, found "
            f"{kind}{extra}, whose energy is not a sum of local terms that LAMMPS could distribute"
        )
    if any(getattr(getattr(m, "cueq_config", None), "enabled", False) for m in model.modules()):
        raise ModelError(
            f"{path}: expected e3nn's layers, found those of cuequivariance, which LAMMPS's torch "
            f"does not have: {TO_E3NN}"
        )
    heads = model_heads(model)
    if head is None and len(heads) > 1:
        raise ModelError(
            f"{path}: expected a choice among the heads {', '.join(heads)}: add --head {heads[-1]}"
        )
    if head is not None and head not in heads:
        raise ModelError(f"{path}: expected one of the heads {', '.join(heads)}, found {head!r}")
    known = [symbol(z) for z in model_elements(model)]
    wanted = known if elements is None else elements
    missing = [e for e in wanted if atomic_number(e) and e not in known]
    if missing:
        raise ModelError(
            f"{path}: expected a choice among the model's elements {', '.join(known)}, found "
            f"{', '.join(missing)}: train a model on them, or leave them out"
        )
    return ExportSource(
        model=model,
        head=head or heads[0],
        elements=[e for e in known if e in wanted],
        dtype=dtype or model_dtype(model),
        sha256=digest,
    )


def write_torchscript(source: ExportSource, path: Path) -> None:
    """Write the TorchScript file for ``pair_style mace``.

    Raises
    ------
    ModelError
        If the model has a part whose elements cannot be cut down.
    """
    with quiet_mace():
        model = _with_wanted_elements(source)
        # before the weights are rounded: sums of energies are kept in double precision
        reference = _reference_energies(model)[source.head_index].clone()
        model = model.to(getattr(torch, source.dtype))
        scripted = script(model, head=source.head_index, reference_energies=reference)
        # not by its own save, which ends the process with an abort where the disk is full
        path.write_bytes(scripted.save_to_buffer())


def why_not_native(source: ExportSource) -> str | None:
    """Say why the native engine cannot evaluate a model; None if it can.

    Raises
    ------
    ModelError
        As `write_native_file` does for a model that is broken.
    """
    try:
        native_model(**_for_native(source))
    except UnsupportedModelError as error:
        return str(error)
    return None


def write_native_file(source: ExportSource, path: Path) -> None:
    """Write the file for the native engine.

    Raises
    ------
    UnsupportedModelError
        If the native engine cannot evaluate such a model.
    ModelError
        If the model has a part whose elements cannot be cut down, or a weight is not finite.
    """
    write_native(**_for_native(source), path=path)


def evaluate_source(
    source: ExportSource, atoms: Atoms, *, own_precision: bool = False
) -> Evaluated:
    """Evaluate the source model with mace-torch, in double precision.

    Parameters
    ----------
    source
        The model.
    atoms
        A periodic structure.
    own_precision
        False rounds the weights, but not the reference energies, to the precision of the export
        first: the same weights. True takes them as they were read.
    """
    with quiet_mace():
        from mace.calculators import MACECalculator

        model = copy.deepcopy(source.model)
        if not own_precision:
            model = model.to(getattr(torch, source.dtype)).double()
            model.atomic_energies_fn.atomic_energies = _reference_energies(source.model)
        before = torch.get_default_dtype()
        try:
            calculator = MACECalculator(
                models=[model.double()],
                device="cpu",
                default_dtype="float64",
                head=source.head,
            )
        finally:
            torch.set_default_dtype(before)  # mace-torch changes it for the whole process
        work = atoms.copy()
        work.calc = calculator
        return Evaluated(
            energy_ev=float(work.get_potential_energy()),
            forces=np.asarray(work.get_forces(), dtype=np.float64),
            stress=np.asarray(work.get_stress(), dtype=np.float64),
        )


def _for_native(source: ExportSource) -> dict[str, Any]:
    with quiet_mace():
        model = _with_wanted_elements(source)
    return {
        "model": model,
        "head": source.head_index,
        "dtype": source.dtype,
        "reference_energies": _reference_energies(model)[source.head_index].numpy(),
    }


def _with_wanted_elements(source: ExportSource) -> torch.nn.Module:
    """Copy the model, with the elements to keep alone."""
    model = copy.deepcopy(source.model)
    if source.elements != [symbol(z) for z in model_elements(model)]:
        keep_elements(model, [atomic_number(e) for e in source.elements])
    return model


def _reference_energies(model: torch.nn.Module) -> torch.Tensor:
    """E0s, ``(n_heads, n_elements)``, eV, as exact as the file has them."""
    return torch.atleast_2d(model.atomic_energies_fn.atomic_energies).detach().double()
