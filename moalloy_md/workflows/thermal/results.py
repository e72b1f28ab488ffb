"""The results of a thermal simulation: one table, pure beside doped, every number with its error."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from moalloy_md.analysis.thermal import (
    TemperatureFit,
    expansion_coefficient,
    fit_temperature,
    heat_capacity,
)
from moalloy_md.report.numbers import with_error_in_brackets
from moalloy_md.rundir import write_csv, write_json
from moalloy_md.workflows.thermal.config import ThermalConfig

RESULTS, TABLE, DIFFERENCES, RAMPS = (
    "thermal.json",
    "thermal.csv",
    "differences.csv",
    "ramp.csv",
)

Quantity = dict[str, Any]

#: What is compared with the first composition, in the order of the tables, and what it is called.
COMPARED = {
    "lattice_parameter_angstrom": "a (Å)",
    "expansion_per_k": "α (1e-6/K)",
    "heat_capacity_kb": "c_p (k_B)",
    "heat_capacity_fluctuations_kb": "c_p* (k_B)",
    "msd_angstrom2": "<u²> (Å²)",
    "lindemann": "δ",
    "bcc_fraction": "bcc",
    "diffusion_angstrom2_per_ps": "D (Å²/ps)",
}
#: On the screen, which has little room; JSON and CSV have all, and 1/K.
_SHOWN = (
    "lattice_parameter_angstrom",
    "expansion_per_k",
    "heat_capacity_kb",
    "msd_angstrom2",
    "bcc_fraction",
)
_SHOWN_TIMES = {"expansion_per_k": 1e6}


@dataclass(frozen=True)
class Composition:
    """What is known of one composition."""

    name: str
    counts: dict[str, int]
    """Atoms of each element."""
    runs: dict[float, dict[str, Any]]
    """Results of the runs at constant temperature, by temperature (K), ascending."""
    ramp: dict[str, Any] | None
    """Results of the ramp."""
    lattice: TemperatureFit | None
    """Lattice parameter against temperature, Å; None with fewer than two temperatures."""
    enthalpy: TemperatureFit | None
    """Enthalpy of the cell against temperature, eV."""

    @property
    def n_atoms(self) -> int:
        """Atoms of the cell."""
        return sum(self.counts.values())

    def quantities(self, temperature_k: float) -> dict[str, Quantity]:
        """All quantities at a temperature, those from fits included."""
        found = dict(self.runs[temperature_k]["quantities"])
        return found | {
            "expansion_per_k": self._slope(self.lattice, temperature_k, expansion_coefficient),
            "heat_capacity_kb": self._slope(
                self.enthalpy,
                temperature_k,
                lambda fit, t: heat_capacity(fit, t, n_atoms=self.n_atoms),
            ),
        }

    def _slope(
        self,
        fit: TemperatureFit | None,
        temperature_k: float,
        compute: Callable[[TemperatureFit, float], tuple[float, float]],
    ) -> Quantity:
        if fit is None:
            return {
                "value": None,
                "note": "needs two temperatures at least at which it is a crystal",
            }
        if not self.runs[temperature_k]["is_crystal"]:
            return {"value": None, "note": "not a bcc crystal at this temperature"}
        value, error = compute(fit, temperature_k)
        n = fit.degrees_of_freedom + len(fit.coefficients)
        note = (
            f"fit of {n} temperatures, chi² {fit.chi_square:.1f}, {fit.degrees_of_freedom} d.o.f."
        )
        return {"value": value, "error": error, "n_samples": n, "n_effective": n, "note": note}


@dataclass(frozen=True)
class ThermalResults:
    """All compositions; the first is what the others are compared with."""

    host: str
    compositions: tuple[Composition, ...]
    warnings: dict[str, list[str]]
    """By run."""
    watch: dict[str, dict[str, Any]]
    """What was seen while they ran, by run."""
    crystal_rmsd_cutoff: float
    """What the bcc fractions were counted with."""

    def differences(self) -> list[dict[str, Any]]:
        """Return each quantity of each other composition less the first's at the same temperature.

        The errors are those of both added in squares: the runs are independent.
        """
        first, *others = self.compositions
        rows = []
        for other in others:
            for temperature in [t for t in other.runs if t in first.runs]:
                ours, theirs = other.quantities(temperature), first.quantities(temperature)
                for name in COMPARED:
                    a, b = ours.get(name, {}), theirs.get(name, {})
                    if a.get("value") is None or b.get("value") is None:
                        continue
                    error = float(np.hypot(a["error"], b["error"]))
                    rows.append(
                        {
                            "composition": other.name,
                            "reference": first.name,
                            "temperature_k": temperature,
                            "quantity": name,
                            "value": a["value"] - b["value"],
                            "error": error,
                        }
                    )
        return rows


def collect(config: ThermalConfig, finished: Sequence[dict[str, Any]]) -> ThermalResults:
    """Put the results of finished runs together.

    Parameters
    ----------
    config
        Settings of the simulation.
    finished
        What `moalloy_md.workflows.thermal.analysis.analyse_run` found, run by run.
    """
    compositions = []
    for name in config.compositions:
        own = [entry for entry in finished if entry["composition"] == name]
        if not own:
            continue
        npt = sorted((e for e in own if e["kind"] == "npt"), key=lambda e: e["temperature_k"])
        runs = {float(entry["temperature_k"]): entry for entry in npt}
        ramp = next((entry for entry in own if entry["kind"] == "ramp"), None)
        n_atoms = own[0]["n_atoms"]
        compositions.append(
            Composition(
                name=name,
                counts=own[0]["counts"],
                runs=runs,
                ramp=ramp,
                lattice=_fit(runs, "lattice_parameter_angstrom"),
                enthalpy=_fit(runs, "enthalpy_ev_per_atom", times=n_atoms),
            )
        )
    return ThermalResults(
        host=config.host,
        compositions=tuple(compositions),
        warnings={entry["name"]: entry["warnings"] for entry in finished if entry["warnings"]},
        watch={entry["name"]: entry["watch"] for entry in finished},
        crystal_rmsd_cutoff=config.crystal_rmsd_cutoff,
    )


def _fit(
    runs: dict[float, dict[str, Any]], name: str, *, times: float = 1.0
) -> TemperatureFit | None:
    points = [
        (temperature, times * quantity["value"], times * quantity["error"])
        for temperature, run in runs.items()
        if run["is_crystal"] and (quantity := run["quantities"][name])["value"] is not None
    ]
    if len(points) < 2:
        return None
    return fit_temperature(*zip(*points, strict=True))


def write_results(results: ThermalResults, out: Path) -> None:
    """Write ``thermal.json`` and the tables as CSV."""
    write_json(out / RESULTS, as_dict(results))
    write_csv(out / TABLE, _rows(results))
    write_csv(out / DIFFERENCES, results.differences())
    write_csv(out / RAMPS, _ramp_rows(results))


def as_dict(results: ThermalResults) -> dict[str, Any]:
    """Return plain values, ready for JSON; g(r) included."""
    return {
        "host": results.host,
        "crystal_rmsd_cutoff": results.crystal_rmsd_cutoff,
        "compositions": {
            c.name: {
                "counts": c.counts,
                "temperatures": [
                    {
                        "temperature_k": temperature,
                        "steps": run["steps"],
                        "is_crystal": run["is_crystal"],
                        "quantities": c.quantities(temperature),
                        "rdf": run["rdf"],
                    }
                    for temperature, run in c.runs.items()
                ],
                "mean_expansion_per_k": mean_expansion(c),
                "ramp": c.ramp
                and {key: c.ramp[key] for key in ("rate_k_per_ps", "loses_bcc_at_k", "windows")},
            }
            for c in results.compositions
        },
        "differences": results.differences(),
        "warnings": results.warnings,
        "watch": results.watch,
    }


def mean_expansion(composition: Composition) -> Quantity:
    """Linear expansion between the lowest and the highest temperature, ``(a_2 - a_1) / (a_1 (T_2 - T_1))``."""
    name = "lattice_parameter_angstrom"
    points = [
        (temperature, run["quantities"][name])
        for temperature, run in composition.runs.items()
        if run["is_crystal"] and run["quantities"][name]["value"] is not None
    ]
    if len(points) < 2:
        return {"value": None, "note": "needs two temperatures at least at which it is a crystal"}
    (low, a), (high, b) = points[0], points[-1]
    span = a["value"] * (high - low)
    return {
        "value": (b["value"] - a["value"]) / span,
        "error": float(np.hypot(a["error"], b["error"])) / span,
        "from_k": low,
        "to_k": high,
        "n_samples": a["n_samples"] + b["n_samples"],
        "n_effective": a["n_effective"] + b["n_effective"],
    }


def _rows(results: ThermalResults) -> list[dict[str, Any]]:
    keys = ("value", "error", "n_samples", "n_effective", "note")
    return [
        {
            "composition": c.name,
            "temperature_k": temperature,
            "quantity": name,
            **{key: quantity.get(key) for key in keys},
        }
        for c in results.compositions
        for temperature in c.runs
        for name, quantity in c.quantities(temperature).items()
    ]


def _ramp_rows(results: ThermalResults) -> list[dict[str, Any]]:
    return [
        {
            "composition": c.name,
            "temperature_k": position,
            "quantity": name,
            "value": value,
            "error": error,
            "n_samples": n,
        }
        for c in results.compositions
        if c.ramp is not None
        for name, w in c.ramp["windows"].items()
        for position, value, error, n in zip(
            w["positions"], w["values"], w["errors"], w["n_samples"], strict=True
        )
    ]


def show_results(results: ThermalResults, console: Console) -> None:
    """Print the tables: what was found, and what the dopants change."""
    table = _table()
    for c in results.compositions:
        for temperature in c.runs:
            known = c.quantities(temperature)
            table.add_row(c.name, f"{temperature:g}", *(_cell(x, known.get(x)) for x in _SHOWN))
        table.add_section()
    console.print(table)
    console.print(
        "In brackets the standard error, in the last digits; – where the run is too short to know "
        "it ('note' in thermal.json says how much longer). c_p: slope of the enthalpy.",
        highlight=False,
    )
    for c in results.compositions:
        if c.ramp is not None:
            found = c.ramp["loses_bcc_at_k"]
            where = (
                found["note"]
                if found["value"] is None
                else f"less than half bcc at {found['value']:.0f} ± {found['error']:.0f} K"
            )
            console.print(f"ramp, {c.name}: {where}", highlight=False)
    _show_differences(results, console)
    for name, sentences in results.warnings.items():
        for sentence in sentences:
            console.print(f"{name}: {sentence}", style="yellow", markup=False, highlight=False)
    _show_uncertain(results, console)


def _show_differences(results: ThermalResults, console: Console) -> None:
    rows = results.differences()
    if not rows:
        return
    console.print(f"\nDifference to {results.compositions[0].name}:", highlight=False)
    table = _table()
    places = dict.fromkeys((row["composition"], row["temperature_k"]) for row in rows)
    for name, temperature in places:
        own = {
            row["quantity"]: row
            for row in rows
            if (row["composition"], row["temperature_k"]) == (name, temperature)
        }
        table.add_row(name, f"{temperature:g}", *(_cell(x, own.get(x)) for x in _SHOWN))
    console.print(table)


def _table() -> Table:
    # units below, one blank between columns: fits into 80 columns, which a pipe has
    table = Table(box=SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for title in ("T (K)", *(COMPARED[name] for name in _SHOWN)):
        table.add_column(title.replace(" (", "\n("), justify="right", no_wrap=True)
    return table


def _show_uncertain(results: ThermalResults, console: Console) -> None:
    for name, seen in results.watch.items():
        if seen["n_saved"]:
            console.print(
                f"{name}: the committee is unsure of {seen['n_uncertain']} frames; {seen['n_saved']} are "
                f"in runs/{name}/uncertain.extxyz, for 'moalloy dataset label'",
                style="yellow", markup=False, highlight=False,
            )  # fmt: skip


def _cell(name: str, quantity: Quantity | None) -> str:
    if quantity is None or quantity.get("value") is None:
        return "–"
    factor = _SHOWN_TIMES.get(name, 1.0)
    return with_error_in_brackets(factor * quantity["value"], factor * quantity["error"])
