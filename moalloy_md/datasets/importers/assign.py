"""Host, group, state and name of the frames of a run."""

from collections.abc import Iterator

from ase import Atoms

from moalloy_md.datasets.decorations import decoration
from moalloy_md.datasets.frames import Frame, frame_from_atoms
from moalloy_md.datasets.importers.config import ImportConfig
from moalloy_md.datasets.importers.runs import Importing, Run, Step
from moalloy_md.datasets.lattice_sites import LatticeFit, fit_lattice
from moalloy_md.datasets.states import IDEAL_BELOW_ANGSTROM, max_force
from moalloy_md.errors import DataError
from moalloy_md.structures.cell_info import CellInfo


def frames_of(run: Run, importing: Importing, source: str) -> Iterator[Frame]:
    """Frames of a run with host, group, state, name and source.

    - The steps of a relaxation are one group, named after the decoration of the lattice sites (so
      that every relaxation of one decoration joins it) or, where the atoms fit no lattice, after
      the run. The first step is ``ideal`` if it stands on the sites of an undistorted lattice, the last
      one ``relaxed`` if its forces are small, all else ``noneq``.
    - An MD trajectory is one group, or blocks with gaps between them as the settings say.
    - Separate cells keep the group and state that they have. Without a group they get that of
      their decoration; without a state they are ``ideal`` on lattice sites, ``relaxed`` off them with
      small forces, else ``noneq``.
    - Where the cell that a run began with is known (``run.cell``), host and group are its own, and so
      is the state of the first step: ``ideal`` only if no displacement is found, because a relaxation
      may have been started again from where it was.

    Parameters
    ----------
    run
        Its steps are read one by one.
    importing
        Settings; takes remarks.
    source
        File name for ``info["source"]``, where a frame does not have one.

    Raises
    ------
    DataError
        If a step breaks the dataset contract or cannot be read.
    """
    labelled = {"md": _trajectory, "relaxation": _relaxation, "cells": _cells}[run.kind]
    host = importing.config.host
    if run.cell is not None and "host" not in importing.config.model_fields_set:
        host = run.cell.host or host
    for step in labelled(run, importing):
        step.atoms.info.setdefault("host", host)
        try:
            frame = frame_from_atoms(step.atoms, source=source, place=step.place)
        except DataError as error:
            importing.refuse(error)
        else:
            yield frame


def _trajectory(run: Run, importing: Importing) -> Iterator[Step]:
    config = importing.config
    for step in run.steps:
        info = step.atoms.info
        info.update(group=run.name, state="noneq", name=f"{run.name}-step{step.index}")
        if config.md_block is not None:
            block, position = divmod(step.index, config.md_block + config.md_gap)
            if position >= config.md_block:
                continue
            info["group"] = f"{run.name}-block{block}"
        yield step


def _relaxation(run: Run, importing: Importing) -> Iterator[Step]:
    group, previous = run.name, None
    for step in run.steps:
        step.atoms.info["name"] = f"{run.name}-step{step.index}"
        if previous is None:
            fit = fit_lattice(step.atoms)
            group = _known_group(run) or _decoration_name(fit, step.atoms) or run.name
            step.atoms.info["state"] = "ideal" if _begins_ideal(fit, run.cell) else "noneq"
        else:
            step.atoms.info["state"] = "noneq"
            yield previous
        step.atoms.info["group"] = group
        previous = step
    if previous is None:
        return
    if previous.index == 0:
        previous.atoms.info["name"] = run.name
        previous.atoms.info["state"] = _state_of_single_point(previous, run, importing)
    else:
        previous.atoms.info["state"] = _state_at_end(previous, importing)
    yield previous


def _cells(run: Run, importing: Importing) -> Iterator[Step]:
    for step in run.steps:
        info = step.atoms.info
        if (group := _known_group(run)) is not None:
            info.setdefault("group", group)
        if "group" not in info or "state" not in info:
            fit = fit_lattice(step.atoms)
            name = _decoration_name(fit, step.atoms) or step.own_group
            if name is not None:
                info.setdefault("group", name)
            info.setdefault("state", _state(step, fit, importing))
        yield step


def _known_group(run: Run) -> str | None:
    return None if run.cell is None else run.cell.group


def _begins_ideal(fit: LatticeFit | None, cell: CellInfo | None) -> bool:
    """Whether the first step of a run is ideal; what fits no lattice is what its cell is said to be."""
    if cell is None or cell.state is None:
        return _on_sites(fit)
    return cell.state == "ideal" and (fit is None or _on_sites(fit))


def _state_of_single_point(step: Step, run: Run, importing: Importing) -> str:
    fit = fit_lattice(step.atoms)
    if run.cell is None or run.cell.state is None:
        return _state_alone(step, fit, importing)
    if _begins_ideal(fit, run.cell):
        return "ideal"
    is_relaxed = run.cell.state != "noneq" and _forces_vanish(step, importing.config)
    return "relaxed" if is_relaxed else "noneq"


def _state(step: Step, fit: LatticeFit | None, importing: Importing) -> str:
    if step.role == "start":
        return "ideal" if _on_sites(fit) else "noneq"
    if step.role == "end":
        return _state_at_end(step, importing)
    return _state_alone(step, fit, importing)


def _state_at_end(step: Step, importing: Importing) -> str:
    """State of what a relaxation ended with."""
    if _forces_vanish(step, importing.config):
        return "relaxed"
    limit = importing.config.relaxed_below_ev_per_angstrom
    importing.tally[
        f"relaxations ended with forces above {limit:g} eV/Å: their ends are noneq"
    ] += 1
    return "noneq"


def _state_alone(step: Step, fit: LatticeFit | None, importing: Importing) -> str:
    """State of a cell of which nothing is known but itself."""
    if _on_sites(fit):
        return "ideal"
    # On the sites of a distorted lattice forces vanish by symmetry: that is strained, not relaxed.
    displaced = fit is None or fit.max_displacement_angstrom > IDEAL_BELOW_ANGSTROM
    return "relaxed" if displaced and _forces_vanish(step, importing.config) else "noneq"


def _on_sites(fit: LatticeFit | None) -> bool:
    return fit is not None and fit.is_ideal(displacement_angstrom=IDEAL_BELOW_ANGSTROM)


def _forces_vanish(step: Step, config: ImportConfig) -> bool:
    forces = step.atoms.arrays.get("REF_forces")
    if forces is None or forces.shape != (len(step.atoms), 3) or forces.dtype.kind not in "fi":
        return False  # `frame_from_atoms` says what is wrong
    return max_force(forces, step.free) <= config.relaxed_below_ev_per_angstrom


def _decoration_name(fit: LatticeFit | None, atoms: Atoms) -> str | None:
    return None if fit is None else decoration(fit, atoms.numbers).name
