"""Energy, forces and stress of one structure from the native engine in a fresh process.

What a file of the native engine says is measured as a user will get it: by a Python that has
neither torch nor the source model loaded, and that has not made the file.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from ase import Atoms

from moalloy_md.errors import MoAlloyError, ModelError
from moalloy_md.potentials.parity import Evaluated
from moalloy_md.processes import running, set_openmp

_STRUCTURE, _RESULT = "structure.npz", "result.npz"


def native_point(atoms: Atoms, *, potential: Path, run_dir: Path) -> Evaluated:
    """Evaluate one structure with the native engine in a fresh process.

    Parameters
    ----------
    atoms
        A periodic structure.
    potential
        File that `moalloy_md.potentials.native.NativeCalculator` reads.
    run_dir
        Folder for the files of the process.

    Raises
    ------
    ModelError
        If the process fails, with what it said.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    np.savez(
        run_dir / _STRUCTURE,
        numbers=atoms.numbers,
        positions=atoms.positions,
        cell=atoms.cell.array,
        pbc=atoms.pbc,
    )
    env = dict(os.environ)
    set_openmp(env, threads=1)
    where = [run_dir.resolve(), potential.resolve()]
    with running(
        [sys.executable, "-m", __name__, *where], cwd=run_dir, env=env, stderr=subprocess.PIPE
    ) as process:
        _, said = process.communicate()
    if process.returncode != 0:
        raise ModelError(
            f"{potential}: expected the native engine to evaluate it, found exit status "
            f"{process.returncode}: {' / '.join(said.strip().splitlines()[-3:])}"
        )
    with np.load(run_dir / _RESULT) as result:
        return Evaluated(
            energy_ev=float(result["energy"]), forces=result["forces"], stress=result["stress"]
        )


def _evaluate(run_dir: Path, potential: Path) -> None:
    from moalloy_md.potentials.native import NativeCalculator

    with np.load(run_dir / _STRUCTURE) as structure:
        atoms = Atoms(**structure)
    atoms.calc = NativeCalculator(potential, threads=1)
    np.savez(
        run_dir / _RESULT,
        energy=atoms.get_potential_energy(),
        forces=atoms.get_forces(),
        stress=atoms.get_stress(),
    )


if __name__ == "__main__":
    try:
        _evaluate(Path(sys.argv[1]), Path(sys.argv[2]))
    except MoAlloyError as error:
        sys.exit(str(error))
