"""The teacher: the mean of two universal potentials whose weights come inside their PyPI package.

It lives in an environment of its own, because `sevenn` needs another e3nn than mace-torch does.
README.md says how that is made and why these two.
"""

from typing import Any, ClassVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from sevenn.calculator import SevenNetCalculator


class Mean(Calculator):
    """Mean of several potentials: energy, forces and stress."""

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]

    def __init__(self, potentials: list[Calculator]) -> None:
        super().__init__()
        self._potentials = potentials

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Any = None,
        system_changes: Any = all_changes,
    ) -> None:
        """Evaluate each potential and average (eV, eV/Å, eV/Å³)."""
        super().calculate(atoms, properties, system_changes)
        for name in ("energy", "forces", "stress"):
            values = [potential.get_property(name, self.atoms) for potential in self._potentials]
            self.results[name] = np.mean(values, axis=0)
        self.results["energy"] = float(self.results["energy"])
        self.results["free_energy"] = self.results["energy"]  # a potential has no smearing


def teacher() -> Mean:
    """Mean of SevenNet-l3i5 and of SevenNet-MF-0's PBE channel, on the CPU."""
    return Mean(
        [
            SevenNetCalculator("SevenNet-l3i5", device="cpu"),
            SevenNetCalculator("SevenNet-MF-0", device="cpu", modal="PBE"),
        ]
    )
