"""Results as tables for people."""

from typing import Any

from rich.console import Console
from rich.table import Table

#: Ratios that moalloy_md has set itself (µs per atom, ours over symmetrix-xl's best, float32).
GOALS = {"32x0e": 0.4, "128x0e": 0.7, "128x0e+128x1o": 0.7}
_DOUBLE_GOAL = 1.8


def measurement_table(measurement: dict[str, Any]) -> Table:
    """Return one row a contender: µs per atom and how far its forces are from ours."""
    table = Table(
        title=f"{measurement['model']}, r {measurement['r_max']:g} Å, {measurement['atoms']} atoms"
        f" with {measurement['edges_per_atom']:.1f} neighbours: µs/atom, energy+forces+virial",
        title_justify="left",
    )
    for name in ("who", "how", "precision"):
        table.add_column(name)
    numbers = ("median", "min", "CPU", "n", "peak MiB", "max |ΔF| eV/Å", "|ΔE| meV/atom")
    for name in numbers:
        table.add_column(name, justify="right")
    for k, row in enumerate(measurement["contenders"]):
        atoms = "" if row["atoms"] == measurement["atoms"] else f" ({row['atoms']} atoms)"
        mark = "" if row["agrees"] else " differs"
        table.add_row(
            row["implementation"],
            row["route"] + atoms,
            row["precision"],
            f"{row['median_us_per_atom']:.1f}",
            f"{row['min_us_per_atom']:.1f}",
            f"{row['processor_us_per_atom']:.1f}",
            str(row["evaluations"]),
            f"{row['peak_mib']:.0f}",
            f"{row['max_force_difference']:.1e}{mark}",
            f"{row['energy_difference_mev_per_atom']:.1e}",
            style=None if row["agrees"] else "red",
            end_section=k + 1 == len(measurement["contenders"])
            or row["implementation"] != measurement["contenders"][k + 1]["implementation"],
        )
    return table


def ratio_table(measurements: list[dict[str, Any]]) -> Table:
    """Return one row a measurement and precision: ours over the peers', medians of one run."""
    table = Table(title="ratios of medians of µs/atom", title_justify="left")
    for name in ("model", "atoms", "precision"):
        table.add_column(name)
    columns = {
        "engine_over_symmetrix": "engine / symmetrix-xl",
        "ase_over_symmetrix": "ASE / symmetrix-xl",
        "engine_over_unsafe": "engine / its unsafe mode",
        "torch_over_engine": "mace-torch / engine",
        "over_float32": "engine: double / float",
    }
    for title in columns.values():
        table.add_column(title, justify="right")
    for measurement in measurements:
        for precision, ratios in measurement["ratios"].items():
            cells = {key: f"{ratios[key]:.2f}" if key in ratios else "" for key in columns}
            goal = GOALS.get(measurement["model"]) if precision == "float32" else None
            if goal is not None and cells["engine_over_symmetrix"]:
                cells["engine_over_symmetrix"] += f" (goal {goal})"
            if cells["over_float32"]:
                cells["over_float32"] += f" (goal {_DOUBLE_GOAL})"
            table.add_row(
                measurement["model"], str(measurement["atoms"]), precision, *cells.values()
            )
    return table


def print_notes(console: Console, record: dict[str, Any]) -> None:
    """Say how to read the tables, and where they were made."""
    machine, options = record["machine"], record["options"]
    loads = [m["load_average"] for m in record["measurements"]]
    console.print(
        "engine: edges are there already (exact ones), as in LAMMPS. ASE: all of the calculator, "
        "neighbour lists with 0.5 Å skin reused (mace-torch makes them anew). exact edges: the "
        "peer's calculator with 0.01 Å skin. Ratios: to its fastest mode, of medians. CPU: time of all threads together. ΔF, ΔE: from our "
        "engine in the highest precision here.",
        f"{machine['processor']}, {', '.join(machine['instruction_sets'])}; "
        f"{options['threads']} threads of {machine['cores']} cores; load average "
        + ", ".join(f"{load['before'][0]:g} to {load['after'][0]:g}" for load in loads),
        "versions: " + ", ".join(f"{name} {v}" for name, v in record["versions"].items()),
        "command: " + " ".join(record["command"]),
        sep="\n",
        markup=False,
        highlight=False,
    )
