"""The results of ``moalloy simulate sro``: both starts side by side, and whether they have met."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from moalloy_md.analysis.two_starts import Joint, joint
from moalloy_md.report.numbers import with_error_in_brackets
from moalloy_md.rundir import write_csv, write_json
from moalloy_md.workflows.sro.config import SroConfig

RESULTS, TABLE, SWAPS = "sro.json", "sro.csv", "swaps.csv"

#: Swaps of an atom of each dopant, on average, below which nothing was sampled.
MIN_SWAPS_PER_ATOM = 10
_ENERGY, _CLUSTERED = "potential_energy_ev_per_atom", "clustered"


@dataclass(frozen=True)
class Ensemble:
    """One composition at one temperature, from all starts that are done."""

    composition: str
    temperature_k: float
    host: str
    counts: dict[str, int]
    """Atoms of each element."""
    n_shells: int
    wanted: tuple[str, ...]
    """Starts that were asked for."""
    starts: dict[str, dict[str, Any]]
    """Results of the run from each start that is done."""

    @property
    def name(self) -> str:
        """What it is called in sentences."""
        return f"{self.composition} at {self.temperature_k:g} K"

    @property
    def dopants(self) -> tuple[str, ...]:
        """Symbols of the dopants."""
        return tuple(symbol for symbol in self.counts if symbol != self.host)

    @property
    def dopant_pairs(self) -> tuple[str, ...]:
        """Pairs of dopants, such as ``Ta-W``: of their own kind where it has two atoms at least."""
        return tuple(
            f"{a}-{b}"
            for a, b in combinations_with_replacement(sorted(self.dopants), 2)
            if a != b or self.counts[a] > 1
        )

    @property
    def random_alpha(self) -> dict[str, float]:
        """Mean α of each pair in random alloys of this size."""
        return dict(next(iter(self.starts.values()))["random_alpha"])

    def joint(self, name: str) -> Joint:
        """Put a quantity of all starts together."""
        return joint([run["quantities"][name] for run in self.starts.values()])

    @property
    def quantities(self) -> dict[str, Joint]:
        """All quantities of all starts."""
        first = next(iter(self.starts.values()))
        return {name: self.joint(name) for name in first["quantities"]}

    @property
    def acceptance(self) -> dict[str, float]:
        """Part of the attempted swaps that succeeded, of all starts, by pair of elements."""
        swaps = [run["swaps"] for run in self.starts.values()]
        return {
            pair: sum(s[pair]["accepted"] for s in swaps) / sum(s[pair]["attempted"] for s in swaps)
            for pair in swaps[0]
        }

    def alpha(self, pair: str, shell: int) -> Joint:
        """α of a pair in a shell, from 1."""
        return self.joint(f"alpha_{pair}_{shell}")

    @property
    def compared(self) -> tuple[str, ...]:
        """Quantities in which the starts have to meet."""
        alphas = [
            f"alpha_{pair}_{shell}"
            for pair in self.dopant_pairs
            for shell in range(1, self.n_shells + 1)
        ]
        return (*alphas, _CLUSTERED, _ENERGY)

    def objections(self) -> list[str]:
        """Why this is not yet the equilibrium, in parts of sentences; empty where it seems to be."""
        found = []
        missing = [start for start in self.wanted if start not in self.starts]
        if missing:
            found.append(f"the run from the {' and the '.join(missing)} start is not done")
        elif len(self.starts) < 2:
            found.append("one start alone cannot tell")
        for start, run in self.starts.items():
            still = {s: n for s, n in run["swaps_per_atom"].items() if n < MIN_SWAPS_PER_ATOM}
            found += [
                f"from the {start} start a {symbol} atom changed its place {n:.1f} times "
                f"(expected {MIN_SWAPS_PER_ATOM} at least)"
                for symbol, n in still.items()
            ]
        quantities = {name: self.joint(name) for name in self.compared}
        unknown = [q for q in quantities.values() if q.error is None]
        if unknown:
            found.append(
                f"{len(unknown)} of {len(quantities)} numbers have no error yet, because they drift or "
                f"have too few independent samples ({unknown[0].label} among them)"
            )
        apart = {name: q for name, q in quantities.items() if q.agree is False}
        if apart:
            name, worst = max(apart.items(), key=lambda item: item[1].sigmas or 0.0)
            ends = " and ".join(
                f"{self._shown(name, start)} from the {start} one" for start in self.starts
            )
            found.append(
                f"the starts have not met in {len(apart)} of {len(quantities)} numbers "
                f"({worst.label}: {ends})"
            )
        return found

    def _shown(self, name: str, start: str) -> str:
        quantity = self.starts[start]["quantities"][name]
        return with_error_in_brackets(quantity["value"], quantity["error"])

    def verdict(self) -> str:
        """Say in a sentence whether this is the equilibrium."""
        objections = self.objections()
        if objections:
            return f"{self.name}: not converged: {'; '.join(objections)}. Give more steps"
        n = min(q.n_effective or 0.0 for q in (self.joint(name) for name in self.compared))
        least = min(n for run in self.starts.values() for n in run["swaps_per_atom"].values())
        return (
            f"{self.name}: converged: the starts have met in all {len(self.compared)} numbers, each of "
            f"{n:.0f} independent samples at least; a dopant atom changed its place {least:.0f} times"
        )


@dataclass(frozen=True)
class SroResults:
    """All compositions and temperatures."""

    ensembles: tuple[Ensemble, ...]
    warnings: dict[str, list[str]]
    """By run."""


def collect(config: SroConfig, finished: Sequence[dict[str, Any]]) -> SroResults:
    """Put the results of finished runs together.

    Parameters
    ----------
    config
        Settings of the simulation.
    finished
        What `moalloy_md.workflows.sro.analysis.analyse_run` found, run by run.
    """
    ensembles = []
    for name in config.compositions:
        for temperature in config.temperatures_k:
            own = {
                entry["start"]: entry
                for entry in finished
                if (entry["composition"], entry["temperature_k"]) == (name, temperature)
            }
            if not own:
                continue
            ensembles.append(
                Ensemble(
                    composition=name,
                    temperature_k=temperature,
                    host=config.host,
                    counts=next(iter(own.values()))["counts"],
                    n_shells=config.shells,
                    wanted=config.starts,
                    starts={start: own[start] for start in config.starts if start in own},
                )
            )
    return SroResults(
        ensembles=tuple(ensembles),
        warnings={entry["name"]: entry["warnings"] for entry in finished if entry["warnings"]},
    )


def write_results(results: SroResults, out: Path) -> None:
    """Write ``sro.json`` and the tables as CSV."""
    write_json(out / RESULTS, as_dict(results))
    write_csv(out / TABLE, _rows(results))
    write_csv(out / SWAPS, _swap_rows(results))


def _plain(quantity: Joint) -> dict[str, Any]:
    """Plain values, ready for JSON, which knows no infinite number of errors."""
    found = asdict(quantity)
    is_infinite = quantity.sigmas is not None and math.isinf(quantity.sigmas)
    return {**found, "sigmas": None} if is_infinite else found


def as_dict(results: SroResults) -> dict[str, Any]:
    """Return plain values, ready for JSON."""
    return {
        "ensembles": [
            {
                "composition": one.composition,
                "temperature_k": one.temperature_k,
                "counts": one.counts,
                "converged": not one.objections(),
                "verdict": one.verdict(),
                "random_alpha": one.random_alpha,
                "both": {name: _plain(q) for name, q in one.quantities.items()},
                "starts": {
                    start: {
                        key: run[key]
                        for key in (
                            "steps", "quantities", "swaps", "swaps_per_atom", "pair_correlations",
                        )
                    }
                    for start, run in one.starts.items()
                },
            }
            for one in results.ensembles
        ],
        "warnings": results.warnings,
    }  # fmt: skip


def _rows(results: SroResults) -> list[dict[str, Any]]:
    rows = []
    for one in results.ensembles:
        random = one.random_alpha
        for name, both in one.quantities.items():
            row: dict[str, Any] = {
                "composition": one.composition,
                "temperature_k": one.temperature_k,
                "quantity": name,
                "unit": both.unit,
                "value": both.value,
                "error": both.error,
                "n_effective": both.n_effective,
                "starts_apart_in_errors": both.sigmas,
                "starts_agree": both.agree,
                "in_a_random_alloy": random.get(name.split("_")[1]) if "alpha_" in name else None,
            }
            for start in one.wanted:
                found = one.starts.get(start, {}).get("quantities", {}).get(name, {})
                row[f"value_from_{start}"] = found.get("value")
                row[f"error_from_{start}"] = found.get("error")
                row[f"note_from_{start}"] = found.get("note")
            rows.append(row)
    return rows


def _swap_rows(results: SroResults) -> list[dict[str, Any]]:
    return [
        {
            "composition": one.composition,
            "temperature_k": one.temperature_k,
            "start": start,
            "pair": pair,
            "attempted": found["attempted"],
            "accepted": found["accepted"],
            "rate": found["rate"]["value"],
            "error": found["rate"]["error"],
        }
        for one in results.ensembles
        for start, run in one.starts.items()
        for pair, found in run["swaps"].items()
    ]


def show_results(results: SroResults, console: Console) -> None:
    """Print α of the dopants' pairs, how many swaps succeeded, and whether the starts have met."""
    n_shells = max((one.n_shells for one in results.ensembles), default=0)
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("", no_wrap=True)
    shells = [f"α{k}" for k in range(1, n_shells + 1)]
    for title in ("T (K)", "pair", *shells, "random"):
        table.add_column(title, justify="right", no_wrap=True)
    for one in results.ensembles:
        for pair in one.dopant_pairs:
            table.add_row(
                one.composition,
                f"{one.temperature_k:g}",
                pair,
                *(_cell(one.alpha(pair, k)) for k in range(1, one.n_shells + 1)),
                f"{one.random_alpha[pair]:.3f}",
            )
    console.print(table)
    console.print(
        "αk: Warren-Cowley, shell k. In brackets the standard error, in the last digits; ? where it is "
        "not known. α below 'random', its mean in random cells of this size: the dopants seek each other.",
        highlight=False,
    )
    for one in results.ensembles:
        rates = ", ".join(f"{pair} {100 * rate:.2g} %" for pair, rate in one.acceptance.items())
        console.print(f"{one.name}: swaps that succeed: {rates}", highlight=False)
    for one in results.ensembles:
        style = "yellow" if one.objections() else None
        console.print(one.verdict(), style=style, markup=False, highlight=False)
    for name, sentences in results.warnings.items():
        for sentence in sentences:
            console.print(f"{name}: {sentence}", style="yellow", markup=False, highlight=False)


def _cell(quantity: Joint) -> str:
    if quantity.error is None:
        return f"{quantity.value:.2f}?"
    if quantity.error == 0:
        return f"{quantity.value:.3f}"
    return with_error_in_brackets(quantity.value, quantity.error)
