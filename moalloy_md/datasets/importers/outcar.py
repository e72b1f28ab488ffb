"""``OUTCAR``: every finished ionic step, read as a stream.

The energy is ``free  energy   TOTEN`` of the ionic step, F = E − TS, of which the forces are the
derivative. Unlike in vasprun.xml it never contains PV.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from moalloy_md.datasets.importers.runs import Importing, Run, Step, voigt_from_vasp
from moalloy_md.datasets.importers.vasp_reader import VaspReader, open_text
from moalloy_md.errors import DataError

_TAG = re.compile(
    r"^\s*(ENCUT|ISPIN|GGA|LEXCH|METAGGA|LHFCALC|LDAU|IVDW|NELM|NSW|IBRION|ISMEAR|PSTRESS)\s*=\s*"
    r"([^\s;]+)"
)
_SIGMA = re.compile(r"SIGMA\s*=\s*([0-9.]+)")
_ITERATION = re.compile(r"Iteration\s+(\d+)\(\s*(\d+)\)")
_TOTEN = re.compile(r"free  energy\s+TOTEN\s*=\s*(\S+)")
_GLUED = re.compile(r"(?<=\d)-(?=\d)")  # Fortran leaves no blank before a long negative number


def read_outcar(path: Path, name: str, importing: Importing) -> Iterator[Run]:
    """Read an ``OUTCAR`` (or ``.gz``).

    Parameters, what is left out, and errors are those of
    `moalloy_md.datasets.importers.vasprun.read_vasprun`.

    Yields
    ------
    Run
        One, or none where no ionic step was finished.

    Raises
    ------
    DataError
        If the file is no OUTCAR, or a number in it cannot be read.
    """
    return _Reader(path, importing).runs(name)


class _Reader(VaspReader):
    def __init__(self, path: Path, importing: Importing) -> None:
        super().__init__(path, importing)
        self.counts: list[int] = []
        self.listed: list[str] = []  # POTCAR titles as the top of the file lists them, twice
        self.cell: NDArray[np.float64] | None = None
        self.first_cell: NDArray[np.float64] | None = None
        self.block: NDArray[np.float64] | None = None
        self.stress: NDArray[np.float64] | None = None
        self.loops = 0
        self.converged: bool | None = None
        self.index = -1

    def steps(self) -> Iterator[Step]:
        """Finished ionic steps whose electrons converged."""
        with open_text(self.path) as raw:
            lines = (line.decode("latin-1") for line in raw)
            for line in lines:
                found = _TOTEN.search(line)
                if found:
                    step = self._step(found.group(1))
                    if step is not None:
                        yield step
                else:
                    self._take(line, lines)
        if self.index < 0 and not (self.settings.potentials or self.listed):
            raise DataError(f"{self.path}: expected an OUTCAR of VASP, found none of its lines")

    def _take(self, line: str, lines: Iterator[str]) -> None:
        if self.index < 0 and self.loops == 0:
            self._take_header(line)
        if "Iteration" in line:
            found = _ITERATION.search(line)
            if found:
                self.loops, self.converged = int(found.group(2)), None
        elif "aborting loop" in line:
            self.converged = "was not reached" not in line
        elif "in kB" in line:
            values = self._numbers(line.split("in kB")[1], 6, "the stress")
            self.stress = voigt_from_vasp(values)
        elif "direct lattice vectors" in line:
            rows = self._table(lines, 3, "the cell")
            self.cell = None if rows is None else rows[:, :3]
            self.first_cell = self.cell if self.first_cell is None else self.first_cell
        elif "POSITION" in line and "TOTAL-FORCE" in line:
            next(lines, None)  # a line of dashes
            self.block = self._table(lines, sum(self.counts), "positions and forces")

    def _take_header(self, line: str) -> None:
        found = _TAG.match(line)
        if found:
            self.settings.tags.setdefault(found.group(1), found.group(2))
            smearing = _SIGMA.search(line)
            if smearing:
                self.settings.tags.setdefault("SIGMA", smearing.group(1))
        elif "LDA+U is selected" in line:
            self.settings.tags["LDAU"] = "T"
        elif line.startswith(" POTCAR:"):
            self.listed.append(line.split(":", 1)[1].strip())
        elif "TITEL" in line and "=" in line:
            self.settings.potentials.append(line.split("=")[1].strip())
        elif "ions per type =" in line:
            self.counts = [int(x) for x in line.split("=")[1].split()]
        elif "generate k-points for:" in line:
            a, b, c = (int(x) for x in line.split(":")[1].split()[:3])
            self.settings.divisions = (a, b, c)

    def _step(self, energy: str) -> Step | None:
        self.index += 1
        place = f"{self.path}: step {self.index} (the first is 0)"
        loops, converged, block, stress = self.loops, self.converged, self.block, self.stress
        self.loops, self.converged, self.block, self.stress = 0, None, None, None
        # Files of VASP 5 may lack the line: then the number of steps tells.
        if converged is None:
            converged = loops < self.settings.number("NELM", 60)
        if not converged:
            self.leave_out_unconverged(place, loops)
            return None
        if block is None or self.cell is None or self.first_cell is None:
            raise DataError(
                f"{place}: expected cell, positions and forces, found not all of them. Run VASP "
                "again, or leave the file out"
            )
        numbers = self._numbers(energy, 1, "the energy")
        atoms = Atoms(self._symbols(), positions=block[:, :3], cell=self.cell, pbc=True)
        atoms.info.update(self.settings.info(self.first_cell))
        atoms.info["REF_energy"] = float(numbers[0])
        atoms.arrays["REF_forces"] = block[:, 3:6]
        if stress is not None and self.settings.number("PSTRESS") == 0:
            atoms.info["REF_stress"] = stress
        return Step(atoms, place, self.index)

    def _symbols(self) -> list[str]:
        if not self.settings.potentials:
            self.settings.potentials = self.listed[: (len(self.listed) + 1) // 2]
        kinds = self.settings.symbols_of_potentials()
        if len(kinds) != len(self.counts):
            raise DataError(
                f"{self.path}: expected a POTCAR title (TITEL) for each of the {len(self.counts)} "
                f"types of ions, found {len(kinds)}"
            )
        return [kind for kind, n in zip(kinds, self.counts, strict=True) for _ in range(n)]

    def _table(self, lines: Iterator[str], n: int, what: str) -> NDArray[np.float64] | None:
        """Return the numbers of the next `n` lines; None at the end of a file that was cut short."""
        rows = list(islice(lines, n))
        if len(rows) < n or not rows:
            return None
        return np.array([self._numbers(row, 6, what) for row in rows])

    def _numbers(self, text: str, n: int, what: str) -> NDArray[np.float64]:
        words = _GLUED.sub(" -", text).split()[:n]
        try:
            values = np.array(words, dtype=float)
        except ValueError as error:
            raise DataError(
                f"{self.path}: expected {n} numbers for {what} of step {self.index + 1}, found "
                f"{text.strip()[:70]!r}. VASP prints *** for numbers too large for their field: "
                "the step is unphysical. Remove the run"
            ) from error
        if len(values) < n:
            raise DataError(
                f"{self.path}: expected {n} numbers for {what} of step {self.index + 1}, found "
                f"{text.strip()[:70]!r}"
            )
        return values
