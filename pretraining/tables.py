"""Print what docs/base_model.md has in its tables from the model cards, sizes side by side.

python tables.py SIZE...
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
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


_ENERGY, _FORCE, _ZERO = (
    "energy_mae_mev_per_atom",
    "force_mae_mev_per_angstrom",
    "mean_abs_force_mev_per_angstrom",
)

Reports = Mapping[str, dict[str, Any]]


def table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in Markdown."""
    for row in (titles, ["---"] * len(titles), *rows):
        print("| " + " | ".join(row) + " |")


def held_out(reports: Reports) -> None:
    """Errors on the teacher's held-out cells, by kind of cell and by element."""
    titles = [f"{what}: {size}" for what in ("energy", "forces") for size in reports]
    kinds = {size: {"all": r["all"], **r["by_category"]} for size, r in reports.items()}
    first = next(iter(kinds.values()))
    table(
        ["cells", *titles, "mean force"],
        [[name, *_errors(kinds, name), f"{row[_ZERO]:.0f}"] for name, row in first.items()],
    )
    print()
    elements = {size: r["by_element"] for size, r in reports.items()}
    names = next(iter(elements.values()))
    table(["element", *titles], [[name, *_errors(elements, name)] for name in names])


def mvl(reports: Reports) -> None:
    """Errors on real DFT cells beside the teacher's."""
    first = next(iter(reports.values()))
    who = {size: {name: row["model"] for name, row in r.items()} for size, r in reports.items()}
    who["teacher"] = {name: row["teacher"] for name, row in first.items()}
    titles = [f"{what}: {name}" for what in ("energy", "forces") for name in who]
    table(
        ["file", *titles, "mean force"],
        [
            [name.removesuffix(".json"), *_errors(who, name), f"{row['model'][_ZERO]:.0f}"]
            for name, row in first.items()
        ],
    )


def properties(reports: Reports) -> None:
    """Print the static properties of Mo."""
    columns = [{**r, **r["surface_energies_j_per_m2"]} for r in reports.values()]
    rows = []
    for key, name in _NAMES.items():
        digits = 4 if "angstrom" in key else 0 if "gpa" in key else 2
        values = [f"{column[key]:.{digits}f}" for column in columns]
        rows.append([name, *values, REFERENCE[key]])
    table(["", *reports, "PBE or experiment"], rows)


def repulsion(reports: Reports) -> None:
    """Print whether all pairs repel on the way in, and how weakly at least."""
    rows = []
    for size, report in reports.items():
        least = report["smallest_repulsive_force_ev_per_angstrom"]
        failed = ", ".join(report["not_monotonic"]) or "none"
        rows.append([size, str(report["n_pairs"]), failed, *(f"{x:.1f}" for x in least.values())])
    titles = ["size", "pairs", "that attract on the way", "least in vacuum, eV/Å", "in Mo, eV/Å"]
    table(titles, rows)


def dynamics(reports: Reports) -> None:
    """Print what 10 ps of NPT with 2 % of each dopant gave, and the drift of the energy in NVE."""
    titles = ["a at 300 K, Å", "a at 2,000 K, Å", "NVE drift, meV/atom/ps"]
    rows = []
    for dopant in next(iter(reports.values())):
        found = [report[dopant] for report in reports.values()]
        rows.append(
            [
                dopant,
                *(
                    f"{row[f'npt_{t}_k']['lattice_parameter_angstrom']:.3f}"
                    for t in (300, 2000)
                    for row in found
                ),
                *(f"{row['nve_drift_mev_per_atom_per_ps']:+.5f}" for row in found),
            ]
        )
    table(["dopant", *(f"{title}: {size}" for title in titles for size in reports)], rows)


def _errors(by_size: Mapping[str, Mapping[str, dict[str, float]]], name: str) -> list[str]:
    rows = [of[name] for of in by_size.values()]
    return [*(f"{row[_ENERGY]:.1f}" for row in rows), *(f"{row[_FORCE]:.0f}" for row in rows)]


def main(sizes: Sequence[str]) -> None:
    """Print the tables that there are numbers for."""
    found = {size: base_card(size)["validation"] for size in sizes}
    shown: dict[str, Callable[[Reports], None]] = {
        "teacher-first": held_out,
        "teacher": held_out,
        "mvl": mvl,
        "repulsion": repulsion,
        "repulsion-fine-tuned": repulsion,
        "properties": properties,
        "properties-fine-tuned": properties,
        "md": dynamics,
    }
    for name, show in shown.items():
        reports = {size: card[name] for size, card in found.items() if name in card}
        if reports:
            print(f"\n{name}\n")
            show(reports)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="+", metavar="SIZE")
    main(parser.parse_args().sizes)
