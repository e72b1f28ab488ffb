"""``vasprun.xml``: every finished ionic step, read as a stream.

The energy is ``e_fr_energy`` of the ionic step, F = E − TS (TOTEN of OUTCAR), of which the forces
are the derivative. With PSTRESS that number is the enthalpy F + PV, and PV is taken off again.
"""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from xml.etree import ElementTree as ET

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from moalloy_md.datasets.importers.runs import EV_A3_PER_KBAR, Importing, Run, Step, voigt_from_vasp
from moalloy_md.datasets.importers.vasp_reader import VaspReader, open_text
from moalloy_md.errors import DataError

_LARGE = frozenset({"eigenvalues", "projected", "dos", "dynmat"})


def read_vasprun(path: Path, name: str, importing: Importing) -> Iterator[Run]:
    """Read a ``vasprun.xml`` (or ``.gz``).

    Steps whose electronic loop did not converge, and steps that VASP's machine-learned force field
    predicted, are left out with a remark. A file that was cut short gives its finished steps.

    Parameters
    ----------
    path
        The file.
    name
        Of the run.
    importing
        Settings; takes remarks.

    Yields
    ------
    Run
        One, or none where no ionic step was finished.

    Raises
    ------
    DataError
        If the file is not a vasprun.xml, or a number in it cannot be read.
    """
    return _Reader(path, importing).runs(name)


class _Reader(VaspReader):
    def __init__(self, path: Path, importing: Importing) -> None:
        super().__init__(path, importing)
        self.symbols: list[str] = []
        self.free: NDArray[np.bool_] | None = None

    def steps(self) -> Iterator[Step]:
        """Finished ionic steps whose electrons converged."""
        index = -1
        try:
            with open_text(self.path) as file:
                for tag, element in self._elements(file):
                    if tag != "calculation":
                        self._take_header(tag, element)
                        continue
                    index += 1
                    step = self._step(element, index)
                    element.clear()
                    if step is not None:
                        yield step
        except ET.ParseError as error:
            if not self.symbols:
                raise DataError(
                    f"{self.path}: expected a vasprun.xml, found text that is no XML or was cut "
                    f"short in its header ({error}). Run VASP again, or leave the file out"
                ) from error
            self.importing.remark(
                f"{self.path}: was cut short; its {index + 1} finished steps were read"
            )
        except (EOFError, gzip.BadGzipFile) as error:
            raise DataError(
                f"{self.path}: expected gzip data, found a damaged file. Copy it again, or leave it out"
            ) from error

    def _elements(self, file: IO[bytes]) -> Iterator[tuple[str, ET.Element]]:
        """Elements below the root when they are complete; what is not needed is thrown away."""
        depth = 0
        root: ET.Element | None = None
        for event, element in ET.iterparse(file, events=("start", "end")):  # noqa: S314  expat bounds entities
            if event == "start":
                depth += 1
                if root is None:
                    root = element
                    self._check_root(element)
                continue
            depth -= 1
            if element.tag in _LARGE:
                element.clear()
            elif depth == 1:
                yield element.tag, element
                if root is not None:
                    root.clear()

    def _check_root(self, element: ET.Element) -> None:
        if element.tag != "modeling":
            raise DataError(
                f"{self.path}: expected a vasprun.xml (<modeling>), found <{element.tag}>"
            )

    def _take_header(self, tag: str, element: ET.Element) -> None:
        if tag in {"incar", "parameters"}:
            for item in element.iter("i"):
                name = item.get("name", "").upper()
                self.settings.tags.setdefault(name, (item.text or "").strip())
        elif tag == "kpoints":
            divisions = element.find("generation/v[@name='divisions']")
            if divisions is not None:
                a, b, c = (int(float(x)) for x in (divisions.text or "").split())
                self.settings.divisions = (a, b, c)
        elif tag == "atominfo":
            self.symbols = [
                (row[0].text or "").strip()
                for row in element.iterfind("array[@name='atoms']/set/rc")
            ]
            self.settings.potentials = [
                (row[-1].text or "").strip()
                for row in element.iterfind("array[@name='atomtypes']/set/rc")
            ]
        elif tag == "structure" and element.get("name") == "initialpos":
            flags = [
                (v.text or "").split() for v in element.iterfind("varray[@name='selective']/v")
            ]
            if flags:
                self.free = np.array(flags) == "T"

    def _step(self, element: ET.Element, index: int) -> Step | None:
        place = f"{self.path}: step {index} (the first is 0)"
        loops = len(element.findall("scstep"))
        if loops == 0:
            self.importing.remark(
                f"{place}: left out: no electronic steps, so its energy and forces come from "
                "VASP's machine-learned force field and not from DFT"
            )
            return None
        if loops >= self.settings.number("NELM", 60):
            self.leave_out_unconverged(place, loops)
            return None
        return Step(self._atoms(element, place), place, index, self.free)

    def _atoms(self, element: ET.Element, place: str) -> Atoms:
        cell = self._rows(element, "structure/crystal/varray[@name='basis']", place)
        scaled = self._rows(element, "structure/varray[@name='positions']", place)
        forces = self._rows(element, "varray[@name='forces']", place)
        energy = element.find("energy/i[@name='e_fr_energy']")
        if energy is None or cell is None or scaled is None:
            raise DataError(
                f"{place}: expected a cell, positions and e_fr_energy, found not all of them. Run "
                "VASP again, or leave the file out"
            )
        atoms = Atoms(self.symbols, cell=cell, scaled_positions=scaled, pbc=True)
        pressure = self.settings.number("PSTRESS") * EV_A3_PER_KBAR
        atoms.info.update(self.settings.info(cell))
        atoms.info["REF_energy"] = self._number(energy, place) - pressure * atoms.get_volume()
        if forces is not None:
            atoms.arrays["REF_forces"] = forces
        stress = self._rows(element, "varray[@name='stress']", place)
        # With PSTRESS it is not documented whether the printed stress contains it: left out.
        if stress is not None and pressure == 0:
            atoms.info["REF_stress"] = voigt_from_vasp(stress.ravel()[[0, 4, 8, 1, 5, 2]])
        return atoms

    @staticmethod
    def _number(element: ET.Element, place: str) -> float:
        try:
            return float(element.text or "")
        except ValueError as error:
            raise DataError(f"{place}: expected a number, found {element.text!r}") from error

    @staticmethod
    def _rows(element: ET.Element, where: str, place: str) -> NDArray[np.float64] | None:
        block = element.find(where)
        if block is None:
            return None
        try:
            return np.array([(row.text or "").split() for row in block], dtype=float)
        except ValueError as error:
            raise DataError(
                f"{place}: expected numbers in {block.get('name')}, found others ({error})"
            ) from error
