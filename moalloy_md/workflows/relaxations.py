"""Many cells relaxed at fixed cell by one model: in several processes, and going on after a kill.

What the folder holds is in `moalloy_md.workflows.relaxation_store`: a kill costs the cells in work and
nothing else.
"""

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.optimize import LBFGS
from rich.console import Console

from moalloy_md.bundle import open_bundle
from moalloy_md.config import DType
from moalloy_md.errors import ConfigError, MoAlloyError, ModelError
from moalloy_md.processes import die_with
from moalloy_md.workflows.bundle_calculator import bundle_calculator, engine_of, model_sha256
from moalloy_md.workflows.label.store import structure_hash
from moalloy_md.workflows.progress_bar import Show, progress_bar
from moalloy_md.workflows.properties.config import BundleEngine
from moalloy_md.workflows.relaxation_store import Relaxed, Store

#: Curvature of the energy along one atom's displacement that a relaxation starts from. The hardest
#: phonons of Mo and W have 25 and 36 eV/Å²; below half of that the first steps would overshoot.
_STIFFNESS_EV_PER_ANGSTROM2 = 20.0

#: Failed cells that an error names.
_NAMED = 5


@dataclass(frozen=True)
class Task:
    """A cell to relax."""

    key: str
    """Readable; every task of a folder has its own."""
    atoms: Atoms
    """Where the relaxation starts. Constraints such as `ase.constraints.FixAtoms` hold."""


def relax_all(
    tasks: Sequence[Task],
    *,
    bundle: Path,
    folder: Path,
    fmax_ev_per_angstrom: float,
    max_steps: int,
    processes: int,
    console: Console,
    precision: DType = "float64",
) -> dict[str, Relaxed]:
    """Relax the positions of cells whose shape stays; the same call goes on after a kill.

    Parameters
    ----------
    tasks
        The cells.
    bundle
        The model. The native engine evaluates it where it can, else TorchScript; on one thread in
        each process.
    folder
        Where the results are kept; the caller sees to it that one call at a time works in it. A
        result counts only for the same structure, model, precision and limit of the forces;
        else the cell is computed anew. One that did not converge is tried again with more steps.
    fmax_ev_per_angstrom
        Largest force on an atom that may be left, eV/Å.
    max_steps
        Steps that a relaxation may take.
    processes
        How many cells are relaxed at once. With more than one, a script that calls this needs
        ``if __name__ == "__main__":`` around it, as all of Python's process pools.
    console
        Where progress is shown, and which cells did not converge.
    precision
        Of the native engine's arithmetic.

    Returns
    -------
    dict
        By key, in the order of the tasks. Cells that did not converge are among them: look at
        `Relaxed.converged`.

    Raises
    ------
    ConfigError
        If two tasks have one key.
    ModelError
        If the bundle is none, or lacks an element of a cell.
    MoAlloyError
        If cells could not be computed, after all others were; or if a process was ended by
        something else (out of memory).
    """
    job = _job(tasks, bundle, fmax_ev_per_angstrom, max_steps, precision)
    store = Store(folder)
    digests = {task.key: job.digest(task.atoms) for task in tasks}
    found = _kept(digests, job, store)
    todo = [task for task in tasks if task.key not in found]
    failed: dict[str, str] = {}
    with progress_bar(console, "{} of {} cells relaxed") as show:
        clock = _Clock(show, len(tasks), n_done=len(found))
        for key, outcome in _outcomes(todo, job, processes):
            if isinstance(outcome, str):
                failed[key] = outcome
            else:
                store.append(outcome, digests[key])
                found[key] = outcome
            clock.tick(key)
    _say_unconverged([found[task.key] for task in tasks if task.key in found], job, console)
    if failed:
        named = "; ".join(f"{key}: {reason}" for key, reason in list(failed.items())[:_NAMED])
        raise MoAlloyError(
            f"{len(failed)} of {len(tasks)} cells could not be computed: {named}. The others are "
            f"kept in {folder}. Leave these out"
        )
    return {task.key: found[task.key] for task in tasks}


def count_done(
    tasks: Sequence[Task],
    *,
    bundle: Path,
    folder: Path,
    fmax_ev_per_angstrom: float,
    max_steps: int,
    precision: DType = "float64",
) -> int:
    """Count the cells that `relax_all` would not compute; arguments and errors are its own."""
    job = _job(tasks, bundle, fmax_ev_per_angstrom, max_steps, precision)
    digests = {task.key: job.digest(task.atoms) for task in tasks}
    return len(_kept(digests, job, Store(folder)))


def relax_one(
    task: Task, calculator: Calculator, *, fmax_ev_per_angstrom: float, max_steps: int
) -> Relaxed:
    """Relax the positions of one cell.

    LBFGS that starts from the stiffness of the crystal was the quickest of ASE's optimisers on cells
    of 128 and 250 atoms with one or two dopants or a vacancy: 2 to 16 steps to 0.005 eV/Å, where
    FIRE took 11 to 53 and LBFGS as it comes 4 to 34 (docs/interaction.md).

    Parameters
    ----------
    task
        The cell, which stays as it is.
    calculator
        With energies and forces.
    fmax_ev_per_angstrom, max_steps
        As of `relax_all`.
    """
    atoms = Atoms(
        task.atoms.numbers,
        task.atoms.positions,
        cell=task.atoms.cell,
        pbc=task.atoms.pbc,
        constraint=task.atoms.constraints,
    )
    atoms.calc = calculator
    unrelaxed = float(atoms.get_potential_energy())
    optimiser = LBFGS(atoms, logfile=None, alpha=_STIFFNESS_EV_PER_ANGSTROM2)
    optimiser.run(fmax=fmax_ev_per_angstrom, steps=max_steps)
    largest = float(np.linalg.norm(atoms.get_forces(), axis=1).max(initial=0.0))
    return Relaxed(
        key=task.key,
        unrelaxed_ev=unrelaxed,
        energy_ev=float(atoms.get_potential_energy()),
        max_force_ev_per_angstrom=largest,
        n_steps=int(optimiser.nsteps),
        positions=atoms.positions.copy(),
        converged=largest <= fmax_ev_per_angstrom,
    )


@dataclass(frozen=True)
class _Job:
    """What all cells share; goes to the processes."""

    bundle: Path
    engine: BundleEngine
    precision: DType
    sha256: str
    fmax_ev_per_angstrom: float
    max_steps: int

    def digest(self, atoms: Atoms) -> str:
        """Name a result by all that decides on it but the number of steps."""
        parts = (
            structure_hash(atoms), self.sha256, self.engine, self.precision,
            f"{self.fmax_ev_per_angstrom:.9g}",
            *(repr(held.todict()) for held in atoms.constraints),
        )  # fmt: skip
        return sha256(" ".join(parts).encode()).hexdigest()[:20]

    def calculator(self) -> Calculator:
        return bundle_calculator(
            self.bundle, engine=self.engine, precision=self.precision, threads=1
        )


def _job(tasks: Sequence[Task], path: Path, fmax: float, max_steps: int, precision: DType) -> _Job:
    twice = sorted(key for key, n in Counter(task.key for task in tasks).items() if n > 1)
    if twice:
        raise ConfigError(f"expected cells with different keys, found {twice[0]} several times")
    bundle = open_bundle(path)
    for task in tasks:
        unknown = sorted(set(task.atoms.symbols) - set(bundle.elements))
        if unknown:
            raise ModelError(
                f"{path}: expected a model that knows the elements of {task.key}, found one of "
                f"{', '.join(bundle.elements)}, without {', '.join(unknown)}: export it with "
                "--elements, or leave these out"
            )
    engine = engine_of(bundle)
    return _Job(
        path.absolute(), engine, precision, str(model_sha256(bundle, engine)), fmax, max_steps
    )


def _kept(digests: Mapping[str, str], job: _Job, store: Store) -> dict[str, Relaxed]:
    """Return the results by key that are not computed again."""
    return {
        key: old
        for key, digest in digests.items()
        if (old := store.read(key, digest)) and (old.converged or old.n_steps >= job.max_steps)
    }


def _outcomes(
    todo: Sequence[Task], job: _Job, processes: int
) -> Iterator[tuple[str, Relaxed | str]]:
    """Relax cells; yield the key of each as it is finished, with the result or what went wrong."""
    if min(processes, len(todo)) <= 1:
        calculator = job.calculator() if todo else None
        for task in todo:
            yield task.key, _attempt(task, job, calculator)
        return
    with _pool(job, min(processes, len(todo))) as pool:
        futures = {pool.submit(_work, task): task.key for task in todo}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool as error:
                raise MoAlloyError(
                    f"a process that relaxed cells was ended from outside near "
                    f"{futures[future]}: out of memory? What is done is kept; give the command "
                    "again, with fewer processes"
                ) from error


def _attempt(task: Task, job: _Job, calculator: Calculator) -> Relaxed | str:
    try:
        return relax_one(
            task,
            calculator,
            fmax_ev_per_angstrom=job.fmax_ev_per_angstrom,
            max_steps=job.max_steps,
        )
    except MoAlloyError as error:
        return str(error)


@contextmanager
def _pool(job: _Job, processes: int) -> Iterator[ProcessPoolExecutor]:
    """Start processes that end with this one, however it ends."""
    others = multiprocessing.active_children()
    pool = ProcessPoolExecutor(
        processes,
        mp_context=multiprocessing.get_context("spawn"),  # a fork would copy threads of OpenMP
        initializer=_begin,
        initargs=(job, os.getpid()),
    )
    try:
        yield pool
    except BaseException:
        for child in multiprocessing.active_children():
            if child not in others:
                child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


#: Of a process of the pool.
_OWN: dict[str, Any] = {}


def _begin(job: _Job, parent: int) -> None:
    die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all: the parent ends us
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported
    _OWN.update(job=job, calculator=job.calculator())


def _work(task: Task) -> Relaxed | str:
    return _attempt(task, _OWN["job"], _OWN["calculator"])


class _Clock:
    """Shows how many cells are done, and how long the rest will take."""

    def __init__(self, show: Show, total: int, *, n_done: int) -> None:
        self._show, self._total, self._n_done = show, total, n_done
        self._n_new, self._begin = 0, time.monotonic()
        self._show(n_done, total, "starting", is_end=False)

    def tick(self, key: str) -> None:
        self._n_new += 1
        done = self._n_done + self._n_new
        seconds = (time.monotonic() - self._begin) / self._n_new * (self._total - done)
        left = f"{seconds / 60:.0f} min left" if seconds > 90 else f"{seconds:.0f} s left"
        self._show(done, self._total, f"{key}, {left}", is_end=done == self._total)


def _say_unconverged(results: Sequence[Relaxed], job: _Job, console: Console) -> None:
    for result in results:
        if not result.converged:
            console.print(
                f"{result.key}: not relaxed: {result.max_force_ev_per_angstrom:.3f} eV/Å are left "
                f"after {result.n_steps} steps (limit {job.fmax_ev_per_angstrom:g})",
                style="yellow", highlight=False, markup=False,
            )  # fmt: skip
