"""The vacancy of a bcc crystal: what it costs, and what it costs to move."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.mep import NEB
from ase.optimize import FIRE

from moalloy_md.errors import MoAlloyError
from moalloy_md.workflows.properties.crystal import relaxed_energy

#: Images between the two ends; odd, so that one can sit on the symmetric saddle.
_IMAGES = 5
_FMAX_EV_PER_ANGSTROM = 0.02
_MAX_STEPS = 300


@dataclass(frozen=True)
class Migration:
    """A vacancy's jump to a nearest neighbour.

    Attributes
    ----------
    barrier_ev
        Highest energy on the path, above that of the relaxed vacancy, eV.
    path_ev
        Energies of all images above the first, ``(n_images,)``, eV.
    """

    barrier_ev: float
    path_ev: list[float]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def vacancy_migration(bcc: Atoms, calculator: Calculator, *, repeat: int) -> Migration:
    """Find the barrier of a nearest-neighbour jump by the nudged elastic band with a climbing image.

    G. Henkelman, B. P. Uberuaga, H. Jónsson, J. Chem. Phys. 113 (2000) 9901.

    Parameters
    ----------
    bcc
        The cubic cell (2 atoms) at its energy's minimum.
    calculator
        With energies and forces.
    repeat
        Cubic cells along an edge of the cell with the vacancy, whose shape stays.

    Raises
    ------
    MoAlloyError
        If the ends or the band do not relax.
    """
    crystal = bcc.repeat(repeat)
    # site 1 is the centre of the first cube, a nearest neighbour of the vacancy at site 0
    first, last = crystal[1:], crystal[1:]
    last.positions[0] = crystal.positions[0]
    for end in (first, last):
        relaxed_energy(end, calculator)
    images = [first, *(first.copy() for _ in range(_IMAGES)), last]
    band = NEB(images, climb=True, method="improvedtangent", allow_shared_calculator=True)
    band.interpolate(mic=True)
    for image in images:
        image.calc = calculator
    if not FIRE(band, logfile=None).run(fmax=_FMAX_EV_PER_ANGSTROM, steps=_MAX_STEPS):
        raise MoAlloyError(
            f"vacancy migration: expected a band with forces below {_FMAX_EV_PER_ANGSTROM} eV/Å, "
            f"found {band.get_residual():.3f} eV/Å after {_MAX_STEPS} steps: the model's landscape "
            "is rough there"
        )
    energies = np.array([image.get_potential_energy() for image in images])
    energies -= energies[0]
    return Migration(barrier_ev=float(energies.max()), path_ev=energies.tolist())
