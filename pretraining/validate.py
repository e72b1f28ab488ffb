"""Measure a base model: each verb writes one JSON file into a folder, which pack.py puts into the model card.

python validate.py teacher    --model M --data TEST.extxyz --out DIR          held-out cells of the teacher; --name NAME: into
                                                                              NAME.json, where there are several such sets
python validate.py mvl-cells  --data MVL.extxyz --cells SAMPLE.extxyz         real DFT cells to compare on
python validate.py mvl        --model M --data SAMPLE.extxyz --cells LABELLED-BY-TEACHER.extxyz --out DIR
python validate.py repulsion  --model M --out DIR                             all 231 pairs, 1.6 to 0.8 Å
python validate.py md         --bundle B --out DIR                            20 dopants, 300 and 2,000 K
python validate.py properties --bundle B --out DIR                            Mo beside REFERENCE
"""

import argparse
import json
from collections.abc import Sequence
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.data import chemical_symbols
from ase.io import read, write
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution, Stationary
from ase.md.verlet import VelocityVerlet
from cells import ELEMENTS
from core import contact, pressed, starts
from numpy.typing import NDArray

from moalloy_md.elements import ALL_DOPANTS, HOST
from moalloy_md.potentials.loading import load_model
from moalloy_md.potentials.predict import predict

#: Frames of each MVL file that are compared.
_MVL_FRAMES = 60

_DISTANCES = np.arange(0.8, 1.6001, 0.02)
_NVE_PS, _NVE_STEP_PS = 2.0, 0.001
_NPT_PS, _NPT_STEP_PS = 10.0, 0.002


def teacher_errors(model: Path, data: Path) -> dict[str, Any]:
    """Errors on the held-out cells: in all, by category, by element."""
    atoms = read(data, ":")
    predicted = _predict(model, atoms)
    names = [a.info["category"] for a in atoms]
    groups = {name: [i for i, n in enumerate(names) if n == name] for name in dict.fromkeys(names)}
    elements = {x: [i for i, a in enumerate(atoms) if x in a.symbols] for x in ELEMENTS}
    return {
        "n_cells": len(atoms),
        "all": _errors(atoms, predicted, range(len(atoms))),
        "by_category": {key: _errors(atoms, predicted, g) for key, g in groups.items()},
        "by_element": {key: _errors(atoms, predicted, g) for key, g in elements.items()},
    }


def mvl_cells(data: Path, out: Path) -> None:
    """Draw frames of each file, the same ones each time."""
    frames = read(data, ":")
    rng = np.random.default_rng(0)
    chosen = []
    for source in sorted({a.info["source"] for a in frames}):
        of_it = [a for a in frames if a.info["source"] == source]
        n = min(_MVL_FRAMES, len(of_it))
        chosen += [of_it[i] for i in sorted(rng.choice(len(of_it), n, replace=False))]
    write(out, chosen, format="extxyz")


def mvl_errors(model: Path, data: Path, labelled: Path) -> dict[str, Any]:
    """Errors of model and teacher on real DFT cells, file by file."""
    reference, teacher = read(data, ":"), read(labelled, ":")
    labels = {
        "model": _predict(model, reference),
        "teacher": (
            [a.info["REF_energy"] for a in teacher],
            [a.arrays["REF_forces"] for a in teacher],
        ),
    }
    report: dict[str, Any] = {}
    for source in sorted({a.info["source"] for a in reference}):
        where = [i for i, a in enumerate(reference) if a.info["source"] == source]
        report[source] = {
            who: _errors(reference, found, where, shifted=True) for who, found in labels.items()
        }
        report[source]["n_frames"] = len(where)
    return report


def repulsion(model: Path) -> dict[str, Any]:
    """Follow the energy of each pair inwards, in vacuum and in Mo: does it rise all the way.

    Pairs of the model's own elements: a fine-tuned one has those of its cells.
    """
    failures: list[str] = []
    least = {"vacuum": np.inf, "host": np.inf}
    network = load_model(model)
    known = {chemical_symbols[int(z)] for z in network.atomic_numbers}
    everything = zip(combinations_with_replacement(ELEMENTS, 2), starts(), strict=True)
    pairs = {pair: start for pair, start in everything if known.issuperset(pair)}
    for (a, b), start in pairs.items():
        cells = {
            "vacuum": [
                Atoms([a, b], [(0, 0, 0), (0, 0, d)], cell=[14.0] * 3, pbc=True) for d in _DISTANCES
            ],
            "host": [pressed(start, 0, int(start.info["partner"]), d) for d in _DISTANCES],
        }
        for where, images in cells.items():
            energies = predict(network, images, batch_size=16).energies_ev
            slopes = -np.diff(energies) / np.diff(_DISTANCES)
            least[where] = min(least[where], float(slopes.min()))
            if slopes.min() <= 0.0:
                failures.append(f"{a}-{b} in {where}")
    return {
        "n_pairs": len(pairs),
        "distances_angstrom": [float(_DISTANCES[0]), float(_DISTANCES[-1])],
        "smallest_repulsive_force_ev_per_angstrom": least,
        "not_monotonic": failures,
        "smallest_contact_angstrom": min(contact(a, b) for a, b in pairs),
    }


def dynamics(bundle: Path, out: Path, threads: int) -> dict[str, Any]:
    """NPT of Mo with 2 % of each dopant at 300 and 2,000 K in lmp, and energy conservation in NVE."""
    report: dict[str, Any] = {}
    for dopant in ALL_DOPANTS:
        atoms = _doped(dopant)
        report[dopant] = {
            f"npt_{t:.0f}_k": _npt(bundle, out / "md" / f"{dopant}-{t:.0f}", atoms, t, threads)
            for t in (300.0, 2000.0)
        }
        report[dopant]["nve_drift_mev_per_atom_per_ps"] = _nve_drift(bundle, atoms, threads)
        print(dopant, report[dopant], flush=True)
    return report


def properties(bundle: Path) -> dict[str, Any]:
    """Compute the static properties of Mo."""
    from moalloy_md.potentials.native import NativeCalculator
    from moalloy_md.workflows.properties.crystal import static_properties

    return static_properties(NativeCalculator(bundle, precision="float64")).as_dict()


def _doped(dopant: str) -> Atoms:
    from moalloy_md.structures.solid_solution import solid_solution

    return solid_solution(
        dopants={dopant: 0.02}, repeat=(5, 5, 5), lattice_parameter_angstrom=3.165, seed=1
    )


def _npt(bundle: Path, folder: Path, atoms: Atoms, temperature_k: float, threads: int) -> Any:
    from moalloy_md.lammps.inputs import input_file
    from moalloy_md.lammps.logs import read_run
    from moalloy_md.lammps.run import run_lammps
    from moalloy_md.lammps.single_point import write_structure

    elements = list(dict.fromkeys([HOST, *atoms.symbols]))
    folder.mkdir(parents=True, exist_ok=True)
    write_structure(atoms, folder / "structure.data", elements=elements)
    run_lammps(
        input_file("in.npt"),
        run_dir=folder,
        variables={
            "bundle": bundle.absolute(),
            "steps": round(_NPT_PS / _NPT_STEP_PS),
            "structure": "structure.data",
            "elements": " ".join(elements),
            "temperature_k": temperature_k,
            "timestep_ps": _NPT_STEP_PS,
            "dump_interval": 1000,
        },
        threads=threads,
    )
    thermo = read_run(folder)
    second_half = slice(len(thermo.steps) // 2, None)
    volume = thermo.column("Volume")[second_half].mean()
    return {
        "steps": int(thermo.steps[-1]),
        "mean_temperature_k": float(thermo.column("Temp")[second_half].mean()),
        "lattice_parameter_angstrom": float((2 * volume / len(atoms)) ** (1 / 3)),
    }


def _nve_drift(bundle: Path, atoms: Atoms, threads: int) -> float:
    """Slope of the total energy over time at about 1,000 K."""
    from moalloy_md.potentials.native import NativeCalculator

    moving = atoms.copy()
    moving.calc = NativeCalculator(bundle, threads=threads)
    rng = np.random.default_rng(0)
    MaxwellBoltzmannDistribution(moving, temperature_K=2000.0, rng=rng)
    Stationary(moving)
    md = VelocityVerlet(moving, timestep=_NVE_STEP_PS * 1000 * units.fs)
    times, energies = [], []
    for step in range(0, round(_NVE_PS / _NVE_STEP_PS), 10):
        md.run(10)
        times.append(step * _NVE_STEP_PS)
        energies.append(moving.get_total_energy() / len(moving))
    return float(1000 * np.polyfit(times[10:], energies[10:], 1)[0])


def _predict(model: Path, atoms: Sequence[Atoms]) -> tuple[Any, Any]:
    found = predict(load_model(model), atoms, batch_size=16)
    return found.energies_ev, found.forces


def _errors(
    atoms: Sequence[Atoms],
    predicted: tuple[Any, Any],
    where: Sequence[int],
    *,
    shifted: bool = False,
) -> dict[str, float]:
    """Mean absolute errors, meV/atom and meV/Å; `shifted` takes the median off the energies."""
    sizes = np.array([len(atoms[i]) for i in where])
    energy = np.array([predicted[0][i] - atoms[i].info["REF_energy"] for i in where]) / sizes
    offset = float(np.median(energy)) if shifted else 0.0
    reference: NDArray[np.float64] = np.concatenate([atoms[i].arrays["REF_forces"] for i in where])
    forces = np.concatenate([predicted[1][i] for i in where])
    return {
        "energy_mae_mev_per_atom": float(1000 * np.abs(energy - offset).mean()),
        "force_mae_mev_per_angstrom": float(1000 * np.abs(forces - reference).mean()),
        "mean_abs_force_mev_per_angstrom": float(1000 * np.abs(reference).mean()),
        **({"energy_offset_mev_per_atom": 1000 * offset} if shifted else {}),
    }


def main() -> None:
    """Do one of the measurements."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    verbs = ("teacher", "mvl-cells", "mvl", "repulsion", "md", "properties")
    parser.add_argument("verb", choices=verbs)
    for name in ("model", "bundle", "data", "cells", "out"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--name", help="of the file in --out, where it is not that of the verb")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    if given.verb == "mvl-cells":
        mvl_cells(given.data, given.cells)
        return
    measure = {
        "teacher": lambda: teacher_errors(given.model, given.data),
        "mvl": lambda: mvl_errors(given.model, given.data, given.cells),
        "repulsion": lambda: repulsion(given.model),
        "md": lambda: dynamics(given.bundle, given.out, given.threads),
        "properties": lambda: properties(given.bundle),
    }[given.verb]
    report = measure()
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / f"{given.name or given.verb}.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
