"""Energy against lattice parameter of Mo, in LAMMPS inside Python.

    python examples/03_lammps_in_python/run.py quickstart/bundle

A loop around LAMMPS that needs no files and no process of its own: one object, one box that is
scaled, one energy after another.
"""

import sys
from pathlib import Path

import numpy as np

from moalloy_md.bundle import open_bundle
from moalloy_md.lammps.in_process import open_lammps
from moalloy_md.units import GPA_PER_EV_A3

SCALES = np.linspace(0.985, 1.015, 7)
START_ANGSTROM = 3.1625


def main(folder: Path) -> None:
    """Print the energies, the lattice parameter at their minimum, and the bulk modulus."""
    bundle = open_bundle(folder)
    lmp = open_lammps(threads=2)
    lmp.commands_string(f"""
        units metal
        atom_style atomic
        lattice bcc {START_ANGSTROM}
        region box block 0 3 0 3 0 3
        create_box 1 box
        create_atoms 1 box
        mass * 95.95
        pair_style mace/native
        pair_coeff * * {bundle.native} Mo
    """)
    n_atoms = lmp.get_natoms()
    lattice_parameters, energies = [], []
    for scale in SCALES:
        edge = 3 * START_ANGSTROM * scale
        faces = " ".join(f"{axis} final 0 {edge}" for axis in "xyz")
        lmp.command(f"change_box all {faces} remap units box")  # or the numbers count lattices
        lmp.command("run 0 post no")
        lattice_parameters.append(edge / 3)
        energies.append(lmp.get_thermo("pe") / n_atoms)
        print(f"a = {edge / 3:.4f} Å   E = {energies[-1]:.5f} eV/atom")
    forces = lmp.numpy.extract_atom("f")[: lmp.extract_global("nlocal")].copy()  # not LAMMPS's own
    lmp.close()

    cubic = np.polyfit(lattice_parameters, energies, 3)
    a0 = next(
        root.real
        for root in np.roots(np.polyder(cubic))
        if np.polyval(np.polyder(cubic, 2), root.real) > 0
    )
    # B = V d²E/dV² with V = a³/2 an atom; at the minimum d²E/dV² = E''(a) / (dV/da)²
    curvature = np.polyval(np.polyder(cubic, 2), a0)
    bulk_modulus_gpa = a0**3 / 2 * curvature / (1.5 * a0**2) ** 2 * GPA_PER_EV_A3
    print(f"a0 = {a0:.4f} Å, B = {bulk_modulus_gpa:.0f} GPa")
    print(f"largest force, on sites of a perfect crystal: {np.abs(forces).max():.0e} eV/Å")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python run.py BUNDLE, such as quickstart/bundle")
    main(Path(sys.argv[1]))
