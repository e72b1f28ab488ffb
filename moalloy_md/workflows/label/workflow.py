"""Label cells with a DFT code or a teacher potential, resumably."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moalloy_md.datasets.extxyz import iter_atoms
from moalloy_md.errors import DataError, MoAlloyError, RunDirectoryError
from moalloy_md.rundir import RunDirectory, now, open_run
from moalloy_md.workflows.label.config import LabelConfig
from moalloy_md.workflows.label.labellers import (
    Labeller,
    identity,
    open_labeller,
    pseudopotential_files,
    recorded,
)
from moalloy_md.workflows.label.store import Cell, Failure, LabelStore, make_cells

#: So many failures one after the other mean that something other than the cells is wrong.
MAX_FAILURES_IN_A_ROW = 5


@dataclass(frozen=True)
class LabelProgress:
    """How far a labelling is; given to whoever watches it after each cell."""

    n_cells: int
    """Cells in all."""
    n_labelled: int
    """Labelled, those of earlier runs included."""
    n_failed: int
    """Failed and not to be tried again now."""
    last: str
    """Name of the cell that was just finished or failed; empty at the start."""
    seconds_left: float | None
    """Expected time to the end, s, as if time went with the number of atoms; None if unknown."""


@dataclass(frozen=True)
class LabelResult:
    """What came out of a labelling."""

    out: Path
    """The dataset; it exists if at least one cell is labelled."""
    folder: Path
    """One file a cell, the failures, and the files of a DFT code."""
    n_cells: int
    n_labelled: int
    """Labelled, those of earlier runs included."""
    n_new: int
    """Labelled now."""
    failures: tuple[Failure, ...]
    wall_s: float

    @property
    def n_left(self) -> int:
        """Cells that were not tried."""
        return self.n_cells - self.n_labelled - len(self.failures)

    @property
    def is_complete(self) -> bool:
        """Whether every cell is labelled."""
        return self.n_labelled == self.n_cells

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            "out": str(self.out),
            "folder": str(self.folder),
            "n_cells": self.n_cells,
            "n_labelled": self.n_labelled,
            "n_new": self.n_new,
            "n_left": self.n_left,
            "failures": [
                {"name": f.name, "reason": f.reason, "attempts": f.attempts} for f in self.failures
            ],
            "wall_s": round(self.wall_s, 3),
        }


Watch = Callable[[LabelProgress], None]


def label(
    cells: Path,
    config: LabelConfig,
    out: Path,
    *,
    retry: bool = False,
    limit: int | None = None,
    watch: Watch | None = None,
) -> LabelResult:
    """Label unlabelled cells; the same call again goes on where an earlier one was ended.

    Parameters
    ----------
    cells
        Extended XYZ. Labels that it has already are left aside. ``initial_magmoms`` make a DFT
        code spin-polarised.
    config
        Who labels.
    out
        The dataset to write: ``REF_energy`` (force-consistent free energy), ``REF_forces``,
        ``REF_stress`` where there is one. Beside it the folder ``OUT.cells`` keeps one file a
        cell and what failed. The dataset is written at the end, with what is labelled by then.
    retry
        Try the cells again that failed before.
    limit
        Stop after so many cells.
    watch
        Called at the start and after each cell.

    Raises
    ------
    DataError
        If the cells cannot be read, or `out` is a file that no labelling has left.
    RunDirectoryError
        If the folder belongs to a labelling by another calculator, or with other pseudopotentials.
    MoAlloyError
        If the calculator cannot be made ready, or finds no pseudopotentials.
    """
    start = time.monotonic()
    folder = Path(f"{out}.cells")
    if out.exists() and not folder.exists():
        raise DataError(
            f"{out}: expected no file, or one that this command has left with {folder.name} beside "
            "it, found another. Choose another name"
        )
    todo = make_cells(iter_atoms(cells))
    wanted = identity(config)
    labeller = open_labeller(config)
    run = open_run(folder, kind="dataset label", config=wanted, packages=("ase", "numpy"))
    run.update_manifest(calculator=config.model_dump(mode="json"), cells=str(cells))
    store = LabelStore(folder, source=cells.name, made_by=recorded(config.calculator))
    store.clear_torn_files()
    _refuse_other_pseudopotentials(run, store, todo, config)
    try:
        n_new = _label_all(todo, store, labeller, retry=retry, limit=limit, watch=watch)
    finally:
        n_labelled = store.merge(todo, out)
    failures = tuple(f for f in map(store.failure, todo) if f is not None)
    result = LabelResult(
        out, folder, len(todo), n_labelled, n_new, failures, time.monotonic() - start
    )
    run.update_manifest(finished=now() if result.is_complete else None)
    return result


def _refuse_other_pseudopotentials(
    run: RunDirectory, store: LabelStore, cells: Sequence[Cell], config: LabelConfig
) -> None:
    """Compare the files of the cells that are left with those of the labelled ones; write them down."""
    left = [cell.atoms for cell in cells if not store.is_done(cell)]
    found = pseudopotential_files(config.calculator, left, run.path / "pseudopotentials")
    old = run.manifest.get("pseudopotentials", {}) if store.has_labels else {}
    for name in sorted(found.keys() & old.keys()):
        if found[name]["sha256"] != old[name]["sha256"]:
            raise RunDirectoryError(
                f"{run.path}: its cells were labelled with the pseudopotential {name} of "
                f"{old[name]['path']}, the code now finds another one, {found[name]['path']} "
                "('pseudopotentials' in the settings, VASP_PP_PATH, VASP_PP_VERSION or "
                "GPAW_SETUP_PATH). Labels of both do not belong into one file: give the old one "
                "to go on, or choose another --out"
            )
    if found:
        run.update_manifest(pseudopotentials={**old, **found})


def _label_all(
    cells: Sequence[Cell],
    store: LabelStore,
    labeller: Labeller,
    *,
    retry: bool,
    limit: int | None,
    watch: Watch | None,
) -> int:
    failed = [cell for cell in cells if store.failure(cell) is not None]
    skipped = set() if retry else {cell.key for cell in failed}
    todo = [cell for cell in cells if not store.is_done(cell) and cell.key not in skipped][:limit]
    clock = _Clock(cells, n_done=sum(map(store.is_done, cells)), n_failed=len(skipped))
    clock.tell(watch, "", todo)
    in_a_row, n_new = 0, 0
    for position, cell in enumerate(todo):
        if store.is_done(cell):  # the same structure twice in one file
            pass
        elif _label_one(cell, store, labeller):
            in_a_row, n_new = 0, n_new + 1
        else:
            in_a_row += 1
            clock.n_failed += 1
        clock.n_done += store.is_done(cell)
        clock.n_atoms += len(cell.atoms)
        clock.tell(watch, cell.name, todo[position + 1 :])
        if in_a_row == MAX_FAILURES_IN_A_ROW and position + 1 < len(todo):
            failure = store.failure(cell)
            raise MoAlloyError(
                f"{in_a_row} cells failed one after the other, so the fault is hardly theirs. The "
                f"last: {cell.name}: {failure.reason if failure else 'unknown'}\nCorrect the "
                "calculator's settings and say --retry, or give the same command again to go on "
                "with the next cells"
            )
    return n_new


def _label_one(cell: Cell, store: LabelStore, labeller: Labeller) -> bool:
    if not store.start(cell):
        return False
    begin = time.monotonic()
    try:
        labels = labeller.label(cell.atoms, store.files(cell))
        store.finish(cell, labels, wall_s=time.monotonic() - begin)
    except (KeyboardInterrupt, SystemExit):
        store.interrupt(cell)
        raise
    except Exception as error:  # noqa: BLE001  whatever a calculator raises belongs to its cell
        kind = "" if isinstance(error, MoAlloyError) else f"{type(error).__name__}: "
        store.fail(cell, f"{kind}{error}")
        return False
    return True


class _Clock:
    """Counts what is done, and says how long the rest will take."""

    def __init__(self, cells: Sequence[Cell], *, n_done: int, n_failed: int) -> None:
        self.n_cells, self.n_done, self.n_failed = len(cells), n_done, n_failed
        self.n_atoms = 0
        self._begin = time.monotonic()

    def tell(self, watch: Watch | None, last: str, left: Sequence[Cell]) -> None:
        if watch is None:
            return
        seconds_left = None
        if self.n_atoms:
            per_atom = (time.monotonic() - self._begin) / self.n_atoms
            seconds_left = per_atom * sum(len(cell.atoms) for cell in left)
        watch(LabelProgress(self.n_cells, self.n_done, self.n_failed, last, seconds_left))
