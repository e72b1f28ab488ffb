"""The structure of lowest energy of a grain boundary: shifts, removed atoms and the gap are searched.

The energy of a boundary is ``γ = (E - N E_bulk) / 2A``, E of the cell with N atoms and two boundaries of
area A, E_bulk of an atom of the crystal (A. P. Sutton, R. W. Balluffi, Interfaces in Crystalline Materials,
1995, ch. 4). First all candidates are relaxed: a grid of shifts in the plane, of which those that are equal
by symmetry are tried once; atoms removed within several distances; several gaps. Then the best are refined:
one grain is moved along x, y and z as long as that lowers the energy. So the cell's height is relaxed with
the rest, and both boundaries stay equal.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray
from rich.console import Console

from moalloy_md.analysis.segregation import boundary_energy
from moalloy_md.bundle import open_bundle
from moalloy_md.errors import MoAlloyError
from moalloy_md.rundir import RunDirectory, now, open_run, replacing, write_csv, write_json
from moalloy_md.structures.files import write_cells, write_lammps_structure
from moalloy_md.structures.grain_boundaries import (
    GrainBoundary,
    distances_to_each_boundary,
    grain_boundary,
)
from moalloy_md.structures.lattice import SITES_PER_CUBE
from moalloy_md.units import J_PER_M2_PER_EV_A2
from moalloy_md.workflows.boundary_search.candidates import (
    Candidate,
    Crystal,
    all_candidates,
    lowest_distinct,
    moved,
    moves,
    plain_config,
)
from moalloy_md.workflows.boundary_search.config import BoundarySearchConfig
from moalloy_md.workflows.bundle_calculator import bundle_calculator, engine_of, model_sha256
from moalloy_md.workflows.progress_bar import progress_bar
from moalloy_md.workflows.properties.crystal import crystal_at_minimum
from moalloy_md.workflows.relaxation_store import Relaxed
from moalloy_md.workflows.relaxations import Task, relax_all

KIND = "structures gb-search"
RESULTS = "boundary.json"
TABLE = "candidates.csv"
BEST = "boundary.extxyz"
DATA = "boundary.data"
PLOT = "candidates.png"
PICTURE = "boundary.png"

FloatArray = NDArray[np.float64]

#: Refining goes on only where a move gains more than this, J/m².
_GAIN_J_PER_M2 = 1e-4
#: Atoms that are nearer to one boundary than to the other by less than this belong to both, Å.
_MIDDLE_ANGSTROM = 0.2
#: Rounds of refining after which it ends in any case.
_MAX_ROUNDS = 40


def search_boundary(
    config: BoundarySearchConfig, *, out: Path, processes: int | None = None, console: Console
) -> dict[str, Any]:
    """Look for a boundary's structure of lowest energy; the same call goes on after a kill.

    Parameters
    ----------
    config
        Settings.
    out
        Run directory. Left there: ``boundary.json``, ``candidates.csv``, ``candidates.png``, and the best
        structure as ``boundary.extxyz`` (``excess_ev``: each atom's energy above the crystal's),
        ``boundary.data`` and ``boundary.png``.
    processes
        Cells that are relaxed at once; all cores that this process may use where None.
    console
        Where progress is shown.

    Returns
    -------
    dict
        The content of ``boundary.json``: ``energy_j_per_m2`` and what belongs to the best structure;
        ``unshifted_j_per_m2`` of the grains as they coincide, only the gap relaxed, which is what many
        published tables give; ``boundary`` (Σ, axis, plane and so on), ``refined`` and ``candidates``.

    Raises
    ------
    ConfigError
        As `grain_boundary`.
    ModelError
        If the bundle is none, or does not know the host.
    MoAlloyError
        If the model does not hold the crystal, or no boundary relaxes.
    """
    bundle = open_bundle(config.bundle)
    engine = engine_of(bundle)
    calculator = bundle_calculator(config.bundle, engine=engine, threads=1)
    start = grain_boundary(plain_config(config, {}))  # refuses before anything is made
    settings = {
        **config.model_dump(mode="json", exclude={"bundle"}),
        "model": {"sha256": model_sha256(bundle, engine)},
    }
    run = open_run(out, kind=KIND, config=settings, packages=("ase", "numpy", "scipy"))
    crystal = _crystal(config, calculator, run)
    work = _Work(
        config, crystal, out / "relaxed", processes or len(os.sched_getaffinity(0)), console
    )
    candidates = work.screened(all_candidates(config, start.coincidence, crystal))
    starts = lowest_distinct(candidates, start.coincidence, crystal, n=config.keep)
    refined = work.refined(starts)
    best = min(refined, key=lambda one: one.energy)
    unshifted = min(
        (c for c in candidates if not any(c.shift_angstrom)), key=lambda one: one.energy
    )
    (unshifted,) = work.refined([unshifted], axes=(2,))
    _check_converged(best, config)
    excess = _excess(best, crystal, calculator)
    results = {
        **_what_was_searched(config, start, crystal),
        **_what_was_found(best, config, crystal),
        "unshifted_j_per_m2": unshifted.energy_j_per_m2,
        "energy_of_each_boundary_j_per_m2": None if excess is None else _of_each(best, excess),
        "refined": [
            {**one.as_dict(), "smallest_shift_angstrom": _smallest_shift(one, start, crystal)}
            for one in sorted(refined, key=lambda one: one.energy)
        ],
        "candidates": [one.as_dict() for one in sorted(candidates, key=lambda one: one.energy)],
    }
    _write(out, results, best, excess)
    run.update_manifest(finished=now())
    return results


def _crystal(config: BoundarySearchConfig, calculator: Calculator, run: RunDirectory) -> Crystal:
    found = run.result("crystal")
    if found is None:
        from ase.build import bulk

        atoms = bulk(config.host, config.lattice, a=config.edge_angstrom, cubic=True)
        atoms.calc = calculator
        if config.lattice_parameter_angstrom is None:
            atoms = crystal_at_minimum(atoms, calculator)
        found = {
            "edge_angstrom": float(atoms.cell[0, 0]),
            "energy_ev": float(atoms.get_potential_energy()) / len(atoms),
        }
        run.finish_step("crystal", found)
    return Crystal(**found)


@dataclass(frozen=True)
class _Work:
    """What relaxes candidates."""

    config: BoundarySearchConfig
    crystal: Crystal
    folder: Path
    processes: int
    console: Console

    def screened(self, candidates: list[Candidate]) -> list[Candidate]:
        """Relax all candidates as they are built."""
        return self._relaxed(
            candidates,
            fmax=self.config.screening_fmax_ev_per_angstrom,
            max_steps=self.config.screening_max_steps,
            console=self.console,
        )

    def refined(
        self, starts: list[Candidate], *, axes: tuple[int, ...] = (0, 1, 2)
    ) -> list[Candidate]:
        """Move one grain against the other along `axes` as long as the energy falls; all at once."""
        name = "".join("xyz"[axis] for axis in axes)
        states = [replace(one, key=f"{one.key}-refined-{name}") for one in starts]
        states = self._fine(states, self.console)
        steps = [self.config.refine_step_angstrom] * len(states)
        quiet = Console(quiet=True)  # a bar a round would flicker
        with progress_bar(self.console, "refining, round {} of {} or fewer") as show:
            for number in range(_MAX_ROUNDS):
                going = [k for k, x in enumerate(steps) if x >= self.config.refine_end_angstrom]
                lowest = min(one.energy for one in states)
                said = f"{lowest:.3f} J/m², {len(going)} of {len(states)} still fall"
                show(number, _MAX_ROUNDS, said, is_end=not going)
                if not going:
                    break
                trials = {
                    k: [moved(states[k], m, number) for m in moves(steps[k], axes)] for k in going
                }
                done = self._fine([one for some in trials.values() for one in some], quiet)
                energies = {one.key: one for one in done}
                for k, some in trials.items():
                    best = min((energies[one.key] for one in some), key=lambda one: one.energy)
                    if best.converged and best.energy < states[k].energy - _GAIN_J_PER_M2:
                        states[k] = replace(best, key=states[k].key)
                    else:
                        steps[k] /= 2
        return states

    def _fine(self, candidates: list[Candidate], console: Console) -> list[Candidate]:
        return self._relaxed(
            candidates,
            fmax=self.config.fmax_ev_per_angstrom,
            max_steps=self.config.max_steps,
            console=console,
        )

    def _relaxed(
        self, candidates: list[Candidate], *, fmax: float, max_steps: int, console: Console
    ) -> list[Candidate]:
        found = relax_all(
            [Task(one.key, one.atoms) for one in candidates],
            bundle=self.config.bundle,
            folder=self.folder,
            fmax_ev_per_angstrom=fmax,
            max_steps=max_steps,
            processes=self.processes,
            console=console,
        )
        return [self._with(one, found[one.key]) for one in candidates]

    def _with(self, candidate: Candidate, relaxed: Relaxed) -> Candidate:
        atoms = candidate.atoms.copy()
        atoms.positions = relaxed.positions
        return replace(
            candidate,
            atoms=atoms,
            energy_j_per_m2=boundary_energy(
                relaxed.energy_ev,
                n_atoms=len(atoms),
                bulk_energy_ev_per_atom=self.crystal.energy_ev,
                area_angstrom2=atoms.info["area_angstrom2"],
                n_boundaries=atoms.info["n_boundaries"],
            ),
            converged=relaxed.converged,
        )


def _smallest_shift(one: Candidate, start: GrainBoundary, crystal: Crystal) -> list[float]:
    """Shift that gives the same boundary and is nearest to the coincidence, Å."""
    edge = crystal.edge_angstrom
    found = start.coincidence.smallest_shift(
        np.array(one.shift_angstrom) / edge, exchange=one.n_removed == 0
    )
    return [float(x) for x in found * edge]


def _check_converged(best: Candidate, config: BoundarySearchConfig) -> None:
    if not best.converged:
        raise MoAlloyError(
            f"expected a boundary that relaxes to forces below {config.fmax_ev_per_angstrom:g} eV/Å, "
            f"the best ({best.key}) does not within {config.max_steps} steps: allow more steps or larger "
            "forces, or the model does not hold this boundary"
        )


def _what_was_searched(
    config: BoundarySearchConfig, start: GrainBoundary, crystal: Crystal
) -> dict[str, Any]:
    common = start.coincidence
    return {
        "boundary": {
            "name": config.boundary,
            "host": config.host,
            "lattice": config.lattice,
            "sigma": common.sigma,
            "axis": list(common.axis),
            "plane": list(common.lower.plane),
            "upper_plane": list(common.upper.plane),
            "kind": common.kind,
            "angle_deg": common.angle_deg,
            "misorientation_deg": start.misorientation_deg,
        },
        "lattice_parameter_angstrom": crystal.edge_angstrom,
        "bulk_energy_ev_per_atom": crystal.energy_ev,
    }


def _what_was_found(
    best: Candidate, config: BoundarySearchConfig, crystal: Crystal
) -> dict[str, Any]:
    atoms = best.atoms
    area = atoms.info["area_angstrom2"]
    volume = crystal.edge_angstrom**3 / SITES_PER_CUBE[config.lattice]
    return {
        "energy_j_per_m2": best.energy_j_per_m2,
        "excess_volume_angstrom": float((atoms.get_volume() - len(atoms) * volume) / (2 * area)),
        "area_angstrom2": area,
        "n_atoms": len(atoms),
        "boundary_z_angstrom": [float(z) for z in atoms.info["boundary_z"]],
        "best": best.as_dict(),
    }


def _excess(best: Candidate, crystal: Crystal, calculator: Calculator) -> FloatArray | None:
    """Energy of each atom above that of the crystal's, ``(n_atoms,)``, eV; None where none is given."""
    if "energies" not in calculator.implemented_properties:
        return None
    atoms = best.atoms.copy()
    atoms.calc = calculator
    return np.asarray(atoms.get_potential_energies() - crystal.energy_ev)


def _of_each(best: Candidate, excess_ev: FloatArray) -> list[float]:
    """Share the excess energy between the boundaries, atom by atom: they must be equal. J/m²."""
    atoms = best.atoms
    distances = distances_to_each_boundary(atoms)
    # an atom in the middle of a grain belongs to both
    shares = distances < distances.min(axis=0) + _MIDDLE_ANGSTROM
    parts = (shares / shares.sum(axis=0)) @ excess_ev
    return [float(part / atoms.info["area_angstrom2"] * J_PER_M2_PER_EV_A2) for part in parts]


def _write(
    out: Path, results: dict[str, Any], best: Candidate, excess_ev: FloatArray | None
) -> None:
    from moalloy_md.report.boundary_plots import boundary_picture, candidates_plot

    atoms = best.atoms.copy()
    atoms.info.update(
        state="relaxed",
        energy_j_per_m2=results["energy_j_per_m2"],
        name=f"{atoms.info['host']}-{results['boundary']['name'] or 'boundary'}-best",
    )
    if excess_ev is not None:
        atoms.set_array("excess_ev", excess_ev)
    for name in (BEST, DATA):
        (out / name).unlink(missing_ok=True)  # ours, from a run that was killed
    write_cells(out / BEST, [atoms])
    write_lammps_structure(out / DATA, atoms, elements=[atoms.info["host"]])
    rows = [dict(row) for row in results["candidates"]]
    for row in rows:
        row["shift_x_angstrom"], row["shift_y_angstrom"] = row.pop("shift_angstrom")
    write_csv(out / TABLE, rows)
    for name, drawn in ((PLOT, candidates_plot(results)), (PICTURE, boundary_picture(atoms))):
        with replacing(out / name) as temporary:
            temporary.write_bytes(drawn)
    write_json(out / RESULTS, results)
