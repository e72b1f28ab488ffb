"""Distances between atoms."""

from collections.abc import Iterable

import numpy as np
from ase.data import covalent_radii

from moalloy_md.datasets.checks.findings import Check, Finding, Seen


class CloseAtoms(Check):
    """No two atoms closer than physics allows."""

    name = "close-atoms"
    why = (
        "two nuclei this close have repulsion energies of hundreds of eV, which neither "
        "pseudopotentials nor the model are made for; mostly an atom is there twice, or cell and "
        "positions do not belong together"
    )
    mend = "remove the extra atom or correct cell and positions, and run DFT again; else remove the frame"

    def see(self, seen: Seen) -> Iterable[Finding]:
        i, j, distances = seen.neighbours
        if len(distances) == 0:
            return
        atoms = seen.frame.atoms
        radii = covalent_radii[atoms.numbers]
        fractions = distances / (radii[i] + radii[j])
        if fractions.min() >= self.config.close_warning_fraction:
            return
        # the closest pair speaks for all: an atom on a wrong site is close to several
        worst = int(np.lexsort((j, i, np.round(fractions, 9)))[0])
        one, other = int(i[worst]), int(j[worst])
        yield self.finding(
            "error" if fractions[worst] < self.config.close_error_fraction else "warning",
            f"atoms {one} ({atoms.symbols[one]}) and {other} ({atoms.symbols[other]}) are "
            f"{distances[worst]:.3f} Å apart, {fractions[worst]:.2f} of the sum of their covalent "
            "radii",
            frame=seen.index,
            atom=one,
            name=seen.frame.name,
        )
