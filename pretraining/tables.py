"""Print the tables of docs/base_model.md from a model card.

python tables.py SIZE
"""

import sys
from collections.abc import Callable
from typing import Any

from moalloy_md.potentials.base import base_card

#: PBE and experiment, from the sources named in docs/base_model.md.
REFERENCE = {
    "lattice_parameter_angstrom": "3.163 to 3.169",
    "c11_gpa": "483",
    "c12_gpa": "155",
    "c44_gpa": "103",
    "bulk_modulus_gpa": "264",
    "fcc_minus_bcc_ev_per_atom": "about 0.4",
    "vacancy_formation_ev": "2.7 to 3.0",
    "110": "2.81",
    "111": "2.96",
    "100": "3.19",
}

_NAMES = {
    "lattice_parameter_angstrom": "a0 (Å)",
    "c11_gpa": "C11 (GPa)",
    "c12_gpa": "C12 (GPa)",
    "c44_gpa": "C44 (GPa)",
    "bulk_modulus_gpa": "bulk modulus (GPa)",
    "fcc_minus_bcc_ev_per_atom": "fcc above bcc (eV/atom)",
    "vacancy_formation_ev": "vacancy formation (eV)",
    "110": "surface (110) (J/m²)",
    "111": "surface (111) (J/m²)",
    "100": "surface (100) (J/m²)",
}


def held_out(report: dict[str, Any]) -> None:
    """Errors on the teacher's held-out cells."""
    print("| cells | energy, meV/atom | forces, meV/Å | mean force, meV/Å |\n|---|---|---|---|")
    for name, row in {"all": report["all"], **report["by_category"]}.items():
        print(f"| {name} | {_errors(row)} | {row['mean_abs_force_mev_per_angstrom']:.0f} |")
    print("\n| element | energy, meV/atom | forces, meV/Å |\n|---|---|---|")
    for name, row in report["by_element"].items():
        print(f"| {name} | {_errors(row)} |")


def mvl(report: dict[str, Any]) -> None:
    """Errors on real DFT cells beside the teacher's."""
    print(
        "| file | energy: base | teacher | forces: base | teacher | mean force |\n|---|---|---|---|---|---|"
    )
    for name, row in report.items():
        model, teacher = row["model"], row["teacher"]
        values = [
            f"{who[key]:.{digits}f}"
            for key, digits in (("energy_mae_mev_per_atom", 1), ("force_mae_mev_per_angstrom", 0))
            for who in (model, teacher)
        ]
        zero = f"{model['mean_abs_force_mev_per_angstrom']:.0f}"
        print(f"| {name.removesuffix('.json')} | {' | '.join([*values, zero])} |")


def properties(report: dict[str, Any], fine_tuned: dict[str, Any] | None) -> None:
    """Print the static properties of Mo, after fine-tuning too."""
    columns = [
        {**one, **one["surface_energies_j_per_m2"]}
        for one in (report, fine_tuned)
        if one is not None
    ]
    titles = ("base", "fine-tuned")[: len(columns)]
    print(f"| | {' | '.join(titles)} | PBE or experiment |\n|---|{'---|' * len(columns)}---|")
    for key, name in _NAMES.items():
        digits = 4 if "angstrom" in key else 0 if "gpa" in key else 2
        values = " | ".join(f"{column[key]:.{digits}f}" for column in columns)
        print(f"| {name} | {values} | {REFERENCE[key]} |")


def dynamics(report: dict[str, Any]) -> None:
    """Print what 10 ps of NPT with 2 % of each dopant gave, and the drift of the energy in NVE."""
    print(
        "| dopant | a at 300 K, Å | a at 2,000 K, Å | NVE drift, meV/atom/ps |\n|---|---|---|---|"
    )
    for dopant, row in report.items():
        cold, hot = (row[f"npt_{t}_k"]["lattice_parameter_angstrom"] for t in (300, 2000))
        drift = row["nve_drift_mev_per_atom_per_ps"]
        print(f"| {dopant} | {cold:.3f} | {hot:.3f} | {drift:+.5f} |")


def _errors(row: dict[str, float]) -> str:
    return f"{row['energy_mae_mev_per_atom']:.1f} | {row['force_mae_mev_per_angstrom']:.0f}"


def main(size: str) -> None:
    """Print the tables that there are numbers for."""
    found = base_card(size)["validation"]
    shown: dict[str, Callable[[dict[str, Any]], None]] = {
        "teacher": held_out,
        "teacher-first": held_out,
        "mvl": mvl,
        "properties": lambda report: properties(report, found.get("properties-fine-tuned")),
        "md": dynamics,
    }
    for name, show in shown.items():
        if name in found:
            print(f"\n{name}\n")
            show(found[name])


if __name__ == "__main__":
    main(sys.argv[1])
