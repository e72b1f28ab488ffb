"""Means and standard deviations over seeds, split by split: python seeds.py STUDY SEEDS OUT.csv, two folders with reports."""

import csv
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev

#: Columns of results.csv, and what they are called here, in meV/atom and meV/Å.
COLUMNS = {
    "energy_mae_mev_per_atom": "energy",
    "shifted_energy_mae_mev_per_atom": "energy, references aligned",
    "oracle_energy_mae_mev_per_atom": "energy, oracle",
    "force_mae_mev_per_angstrom": "force",
}


def main(first: str, second: str, out: str) -> None:
    """Write a line for each split and start."""
    runs = defaultdict(list)
    for study in (first, second):
        with Path(study, "report", "results.csv").open(newline="") as file:
            for run in csv.DictReader(file):
                if float(run["fraction"]) == 1 and run["paradigm_kind"] != "zero-shot":
                    runs[run["protocol"], run["label"], run["paradigm_kind"]].append(run)
    with Path(out).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        spread = [f"{name}{what}" for name in COLUMNS.values() for what in ("", ", std")]
        writer.writerow(["protocol", "label", "start", "seeds", *spread])
        for split, of_split in sorted(runs.items()):
            row = [*split, len(of_split)]
            for column in COLUMNS:
                values = [float(run[column]) for run in of_split if run[column]]
                row += [f"{f(values):.1f}" if values else "" for f in (mean, stdev)]
            writer.writerow(row)


if __name__ == "__main__":
    main(*sys.argv[1:])
