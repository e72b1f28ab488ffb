"""Run lmp on a cell and read back what it computed, to the last digit."""

import io
import re
import subprocess
from dataclasses import dataclass

import numpy as np
from ase.io.lammpsdata import write_lammps_data

from moalloy_md.lammps.installation import lammps_environment, lmp_executable, mpiexec
from moalloy_md.processes import running
from moalloy_md.units import BAR_PER_EV_A3_LAMMPS


@dataclass
class Computed:
    energy: float
    forces: np.ndarray  # (n, 3)
    stress: np.ndarray  # (6,), xx yy zz yz xz xy, eV/Å³, tension positive as in ASE
    energies: np.ndarray  # (n,)
    virials: np.ndarray  # (n, 6), xx yy zz xy xz yz, eV: minus LAMMPS's stress/atom, in eV
    log: str


def script(atoms, symbols, pair_lines, *, before="", run="run 0", per_atom_stress=True):
    boundary = " ".join("p" if periodic else "f" for periodic in atoms.pbc)
    # the last command is the run whose end is read: LAMMPS does not dump one step twice
    *earlier, last = run.strip().splitlines()
    return f"""
units metal
atom_style atomic
boundary {boundary}
{before}
read_data data.lmp
{"".join(f"mass {k + 1} 100.0" + chr(10) for k in range(len(symbols)))}
{pair_lines}
neighbor 1.0 bin
compute energy all pe/atom
{"compute virial all stress/atom NULL pair" if per_atom_stress else ""}
thermo_style custom step pe pxx pyy pzz pyz pxz pxy
thermo_modify format float %.17g
{chr(10).join(earlier)}
dump all all custom 1 dump.txt id fx fy fz c_energy {"c_virial[*]" if per_atom_stress else ""}
dump_modify all sort id format float %.17g
{last}
"""


def run_script(text, folder, *, ranks=1, threads=1, timeout_s=300):
    """Return (status, output) of lmp on an input."""
    (folder / "in.test").write_text(text)
    command = [lmp_executable(), "-in", "in.test", "-log", "log.lammps"]
    if ranks > 1:
        command = [mpiexec(), "-n", str(ranks), *command]
    with running(
        command,
        cwd=folder,
        env=lammps_environment(threads=threads),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        output = process.communicate(timeout=timeout_s)[0]
    return process.returncode, output


def write_data(atoms, symbols, folder, name="data.lmp"):
    from ase.calculators.lammps import Prism

    cell = atoms.cell.array
    prism = Prism(cell, pbc=atoms.pbc)
    assert np.allclose(prism.lammps_cell, cell), "give a lower triangular cell"
    write_lammps_data(
        folder / name,
        atoms,
        specorder=list(symbols),
        masses=False,
        atom_style="atomic",
        prismobj=prism,
        force_skew=True,
    )


def compute(atoms, folder, *, symbols, pair_lines, ranks=1, threads=1, **options):
    """Energies, forces and stresses of `atoms` by lmp."""
    folder.mkdir(exist_ok=True, parents=True)
    write_data(atoms, symbols, folder)
    text = script(atoms, symbols, pair_lines, **options)
    status, output = run_script(text, folder, ranks=ranks, threads=threads)
    assert status == 0, output[-3000:]
    thermo = _last_thermo(output)
    table = last_frame(folder / "dump.txt")
    return Computed(
        energy=thermo[1],
        forces=table[:, 1:4],
        stress=-np.array(thermo[2:]) / BAR_PER_EV_A3_LAMMPS,
        energies=table[:, 4],
        virials=-table[:, 5:] / BAR_PER_EV_A3_LAMMPS,
        log=output,
    )


def energies(cells, folder, *, symbols, pair_lines, ranks=1):
    """Energies of several cells by one lmp: with torch most of a small run is starting it."""
    text = ""
    for k, atoms in enumerate(cells):
        write_data(atoms, symbols, folder, f"{k}.lmp")
        setup = script(atoms, symbols, pair_lines, per_atom_stress=False)
        text += "clear\n" + setup.replace("data.lmp", f"{k}.lmp")
        text += f'print "energy of {k}: $(pe:%.17g)"\n'
    status, output = run_script(text, folder, ranks=ranks)
    assert status == 0, output[-3000:]
    found = re.findall(r"^energy of \d+: (\S+)", output, re.MULTILINE)
    assert len(found) == len(cells)
    return np.array([float(energy) for energy in found])


def last_frame(dump):
    """Numbers of the last frame of a dump, ``(n_atoms, n_columns)``."""
    rows = dump.read_text().split("ITEM: ATOMS")[-1].split("\n", 1)[1]
    return np.loadtxt(io.StringIO(rows), ndmin=2)


def _last_thermo(output):
    lines = output.splitlines()
    starts = [k for k, line in enumerate(lines) if line.split()[:2] == ["Step", "PotEng"]]
    last = None
    for line in lines[starts[-1] + 1 :]:
        if line.startswith("Loop time"):
            break
        parts = line.split()
        if parts and parts[0].isdigit():
            last = [float(part) for part in parts]
    return last
