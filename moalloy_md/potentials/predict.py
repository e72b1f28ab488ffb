"""Energies and forces of many cells from a MACE model, in batches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray

from moalloy_md.elements import symbol
from moalloy_md.errors import ModelError
from moalloy_md.potentials.loading import model_dtype, model_elements, model_heads
from moalloy_md.potentials.quiet import quiet_mace

with quiet_mace():
    from mace.data import AtomicData, KeySpecification, config_from_atoms
    from mace.tools import AtomicNumberTable
    from mace.tools.torch_geometric.batch import Batch
    from mace.tools.torch_tools import default_dtype


@dataclass(frozen=True)
class Predictions:
    """What a model says about cells."""

    energies_ev: NDArray[np.float64]
    """Total energies, ``(n_cells,)``, eV."""
    forces: tuple[NDArray[np.float64], ...]
    """Forces of each cell, ``(n_atoms, 3)``, eV/Å."""
    e0_energies_ev: NDArray[np.float64]
    """Part of the energies that is the sum of the model's E0s, ``(n_cells,)``, eV."""


def predict(
    model: torch.nn.Module,
    cells: Sequence[Atoms],
    *,
    batch_size: int = 8,
    head: str | None = None,
    source: str = "cells",
    watch: Callable[[int], None] | None = None,
) -> Predictions:
    """Evaluate a model on cells, on the device and in the precision that it has.

    Parameters
    ----------
    model
        From `moalloy_md.potentials.loading.load_model`.
    cells
        The cells; periodic directions and shape are their own. Smaller than the cutoff is fine.
    batch_size
        Cells evaluated together.
    head
        Head of the model; needed where it has several.
    source
        What to call `cells` in errors: the file that they come from.
    watch
        Called with the number of cells that are done.

    Raises
    ------
    ModelError
        If a cell holds an element that the model lacks, the head is unknown, or the model gives
        a number that is not finite.
    """
    check_elements(known_symbols(model), cells, source=source)
    heads = model_heads(model)
    chosen = chosen_head(heads, head, source="model")
    network: Any = model
    energies, forces, e0s = [], [], []
    for start in range(0, len(cells), batch_size):
        chunk = cells[start : start + batch_size]
        batch = make_batch(model, chunk, head=chosen)
        with default_dtype(model_dtype(model)):  # mace-torch's ZBL takes its constants so
            out = network(batch.to_dict(), training=False, compute_force=True)
        energies.append(out["energy"].detach().double().cpu().numpy())
        of_atoms = out["forces"].detach().double().cpu().numpy()
        forces += np.split(of_atoms, np.cumsum([len(atoms) for atoms in chunk])[:-1])
        e0s.append(_e0_energies(network, batch, heads.index(chosen)))
        bad = np.flatnonzero(~np.isfinite(energies[-1]))
        frames = (
            f"frame {start + bad[0]}" if len(bad) else f"frames {start} to {start + len(chunk) - 1}"
        )
        refuse_nonfinite(energies[-1], of_atoms, where=f"{source}: {frames} (the first is 0)")
        if watch is not None:
            watch(start + len(chunk))
    return Predictions(np.concatenate(energies), tuple(forces), np.concatenate(e0s))


def known_symbols(model: torch.nn.Module) -> list[str]:
    """Symbols of the elements that a model knows, in the order of its table."""
    return [symbol(number) for number in model_elements(model)]


def check_elements(known: Sequence[str], cells: Sequence[Atoms], *, source: str) -> None:
    """Refuse cells with elements that the model lacks.

    Raises
    ------
    ModelError
        Naming file, frame and element, and what the model knows.
    """
    for index, atoms in enumerate(cells):
        unknown = sorted(set(atoms.symbols) - set(known))
        if unknown:
            raise ModelError(
                f"{source}: frame {index} (the first is 0): expected elements that the model knows "
                f"({', '.join(known)}), found "
                f"{', '.join(unknown)}. Train on cells with it, let a known element stand in (--proxy), or leave the frame out"
            )


def make_batch(model: torch.nn.Module, cells: Sequence[Atoms], *, head: str) -> Any:
    """Make the graphs of cells, in the model's precision and on its device, as mace-torch wants them.

    Parameters
    ----------
    model
        From `moalloy_md.potentials.loading.load_model`.
    cells
        The cells; what else they carry than atoms and cell is left aside.
    head
        One of the model's heads.
    """
    network: Any = model
    table = AtomicNumberTable(model_elements(model))
    with default_dtype(model_dtype(model)):
        graphs = [
            AtomicData.from_config(
                config_from_atoms(_bare(atoms), KeySpecification(), head_name=head),
                z_table=table,
                cutoff=float(network.r_max),
                heads=model_heads(model),
            )
            for atoms in cells
        ]
    return Batch.from_data_list(graphs).to(next(model.parameters()).device)


def chosen_head(heads: Sequence[str], wanted: str | None, *, source: str) -> str:
    """Return the head that is wanted, or the only one.

    Raises
    ------
    ModelError
        If there is no such head, or none was named of several. It starts with `source`.
    """
    if wanted is None and len(heads) == 1:
        return heads[0]
    if wanted is None or wanted not in heads:
        found = "none given: add --head" if wanted is None else repr(wanted)
        raise ModelError(f"{source}: expected head to be one of {', '.join(heads)}, found {found}")
    return wanted


def refuse_nonfinite(
    energies: NDArray[np.float64] | float, forces: NDArray[np.float64], *, where: str
) -> None:
    """Refuse what is not finite.

    Raises
    ------
    ModelError
        It starts with `where`.
    """
    if not (np.isfinite(energies).all() and np.isfinite(forces).all()):
        raise ModelError(
            f"{where}: expected finite energies and forces, found nan or inf. Two atoms on one "
            "place? Otherwise the model is broken"
        )


def _bare(atoms: Atoms) -> Atoms:
    """Drop what mace-torch would read from ``info``: labels, weights, charges."""
    return Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)


def _e0_energies(network: Any, batch: Any, head: int) -> NDArray[np.float64]:
    e0s = network.atomic_energies_fn.atomic_energies.detach().double().cpu().numpy()
    of_elements = np.atleast_2d(e0s)[head]
    of_atoms = batch.node_attrs.detach().cpu().numpy() @ of_elements
    result: NDArray[np.float64] = np.add.reduceat(of_atoms, batch.ptr.cpu().numpy()[:-1])
    return result
