"""ASE calculators to label with: quick, and failing in every way that DFT codes do."""

import os
import time

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones


def lennard_jones():
    """Smooth, with stress; its energy is its free energy."""
    return LennardJones(sigma=2.3, epsilon=0.4, rc=4.5, smooth=True)


class WithSmearing(Calculator):
    """Energy and free energy differ, as with smearing; no stress."""

    implemented_properties = ("energy", "free_energy", "forces")

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        forces = np.sin(atoms.positions)
        self.results = {"energy": -10.0, "free_energy": -10.25, "forces": forces - forces.mean(0)}


class PlainEnergy(WithSmearing):
    """Knows no free energy."""

    implemented_properties = ("energy", "forces")


class Moody(WithSmearing):
    """Fails for some cells until the environment says otherwise."""

    def __init__(self, *, how):
        super().__init__()
        self.how = how

    def calculate(self, atoms=None, properties=(), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if os.environ.get("MOODY") == "good" or "W" not in atoms.symbols:
            return
        if self.how == "raise":
            raise RuntimeError("not converged after 120 iterations")
        if self.how == "nan":
            self.results["forces"][1, 2] = np.nan
        elif self.how == "crash":
            os.abort()
        elif self.how == "silent":
            os._exit(0)
        elif self.how == "unconverged":
            self.converged = False
        elif self.how == "sleep":
            time.sleep(60)


def broken():
    raise ImportError("no licence found")
