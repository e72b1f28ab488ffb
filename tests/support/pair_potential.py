"""A pair potential whose binding energies are known in closed form, and a bundle that stands for it."""

import numpy as np
from ase.calculators.calculator import Calculator, all_changes
from matscipy.neighbours import neighbour_list

#: What an element multiplies its bonds by; a vacancy has 0.
STRENGTH = {"Mo": 1.0, "W": 1.15, "Re": 0.9, "Ti": 0.8, "vac": 0.0}
CUTOFF_ANGSTROM = 5.9


class PairPotential(Calculator):
    """E = ½ Σ s_i s_j φ(r_ij).

    The bonds of a host with s = 1 drop out of a binding energy: what is left of X and Y on their ideal
    sites is ``(s_x - 1)(s_y - 1) Σ φ(r)`` over the images of the pair.
    """

    implemented_properties = ("energy", "free_energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=tuple(all_changes)):
        super().calculate(atoms, properties, system_changes)
        i, j, r, vectors = neighbour_list("ijdD", self.atoms, CUTOFF_ANGSTROM)
        s = np.array([STRENGTH[symbol] for symbol in self.atoms.symbols])
        energy, slope = phi(r)
        forces = np.zeros((len(self.atoms), 3))
        np.add.at(forces, i, (s[i] * s[j] * slope / r)[:, None] * vectors)
        total = 0.5 * float((s[i] * s[j] * energy).sum())
        self.results = {"energy": total, "free_energy": total, "forces": forces}


def phi(r):
    """Energy (eV) of a bond of length r (Å) and its derivative: Morse times a smooth cutoff.

    Of these numbers bcc with an edge of 3.16 Å is stable: curvatures from 2 to 25 eV/Å².
    """
    decay = np.exp(-(r - 3.3))
    morse, morse_slope = decay**2 - 2 * decay, -2 * (decay**2 - decay)
    x = np.clip(CUTOFF_ANGSTROM - r, 0, 1)
    cut, cut_slope = x**3 * (10 - 15 * x + 6 * x**2), -30 * x**2 * (1 - x) ** 2
    return 0.4 * morse * cut, 0.4 * (morse_slope * cut + morse * cut_slope)
