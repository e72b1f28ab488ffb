"""What ``moalloy structures`` wrote down of a cell, taken over into the run that VASP made of it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from moalloy_md.datasets.importers.find import Source
from moalloy_md.datasets.importers.runs import Importing, Run
from moalloy_md.errors import DataError
from moalloy_md.structures.cell_info import CELL_INFO, read_cell_info


class CellInfos:
    """Reads the ``cell.json`` beside each run; keeps count of what is worth a sentence at the end.

    Parameters
    ----------
    importing
        Settings; takes remarks.
    """

    def __init__(self, importing: Importing) -> None:
        self._importing = importing
        self._names: set[str] = set()
        self._hosts: Counter[str] = Counter()
        self._foreign: list[str] = []

    def described(self, source: Source, runs: Iterator[Run]) -> Iterator[Run]:
        """Give the runs of a file with the name of their cell, and with what is known of it.

        A file that is not ours, or that belongs to other atoms, is left aside.
        """
        try:
            cell = read_cell_info(source.path.parent)
        except DataError as error:
            self._foreign.append(str(error))
            cell = None
        if cell is None:
            yield from runs
            return
        for run in runs:
            first = next(run.steps, None)
            if first is None:
                continue
            whole = replace(run, steps=chain([first], run.steps))
            found = first.atoms.get_chemical_formula("hill")
            if found != cell.formula:
                self._importing.remark(
                    f"{source.path.parent / CELL_INFO}: expected to describe the run beside it, found "
                    f"{cell.formula} where the run has {found}: not used"
                )
                yield whole
                continue
            config = self._importing.config
            if cell.host not in {None, config.host} and "host" in config.model_fields_set:
                self._hosts[str(cell.host)] += 1
            name = cell.name
            if name in self._names:  # computed twice
                name = run.name if name in run.name else f"{name}-{run.name}"
            self._names.add(name)
            yield replace(whole, name=name, cell=cell)

    def finish(self) -> None:
        """Say what was not taken over."""
        for host, n in self._hosts.items():
            self._importing.remark(
                f"host {host} in the {CELL_INFO} of {n} run(s) was not taken: the settings say "
                f"{self._importing.config.host}"
            )
        if self._foreign:
            more = f", and {len(self._foreign) - 1} more" if len(self._foreign) > 1 else ""
            self._importing.remark(f"{self._foreign[0]}{more}: not used")
