"""The results of ``moalloy simulate interaction``: binding energies as tables and JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from moalloy_md.analysis.interactions import (
    FloatArray,
    SizeLimit,
    binding_energy,
    many_body_part,
    size_limit,
)
from moalloy_md.rundir import write_csv, write_json
from moalloy_md.units import MEV_PER_EV
from moalloy_md.workflows.interaction.plan import Binding, Kind, Plan
from moalloy_md.workflows.interaction.validation import ValidationResults
from moalloy_md.workflows.relaxation_store import Relaxed

RESULTS = "interaction.json"
TABLES: dict[Kind, str] = {
    "pair": "pairs.csv",
    "vacancy": "vacancies.csv",
    "triplet": "triplets.csv",
}
#: An atom that moved by this part of the cubic edge is half-way to the next site of bcc, or farther.
_LEFT = 0.43

CONVERGENCE, VALIDATION = "convergence.csv", "validation.csv"


@dataclass(frozen=True)
class Interaction:
    """A binding energy; negative attracts."""

    kind: Kind
    """Two dopants, a dopant and a vacancy, or three dopants."""
    members: tuple[str, ...]
    """Chemical symbols; ``vac`` for a vacancy."""
    place: str
    """Neighbour shell, or the shells of a triangle's sides."""
    sides: str
    """Elements and shell of each side of a triangle."""
    distance_angstrom: float
    """On the ideal lattice; the longest side of a triangle."""
    n_sites: int
    """Of the cell."""
    n_contacts: int
    """Images of the second member that are as near: the energy is that of so many contacts."""
    unrelaxed_ev: float
    """On the ideal lattice, eV."""
    relaxed_ev: float
    """Positions relaxed at fixed cell, eV."""
    many_body_unrelaxed_ev: float | None
    """Of a triplet: what is left without its three pairs, eV."""
    many_body_relaxed_ev: float | None
    """The same, relaxed, eV."""
    converged: bool
    """Whether all of its cells relaxed."""

    @property
    def name(self) -> str:
        """Its members, such as ``W-Re``."""
        return "-".join(self.members)

    @property
    def shell(self) -> int | None:
        """Neighbour shell of a pair."""
        number = self.place.rstrip("abcdefghijklmnopqrstuvwxyz")
        return int(number) if number.isdigit() else None


@dataclass(frozen=True)
class SizeSeries:
    """A pair in cells of several sizes."""

    members: tuple[str, ...]
    place: str
    energies: tuple[Interaction, ...]
    """By size of the cell."""
    limit: SizeLimit | None
    """Relaxed energies extrapolated over the cells in which the pair has one contact."""


@dataclass(frozen=True)
class InteractionResults:
    """Everything that was computed."""

    about: dict[str, Any]
    """Host, lattice, lattice parameter, size, dopants, and what it was computed with."""
    interactions: tuple[Interaction, ...]
    convergence: tuple[SizeSeries, ...]
    unconverged: tuple[str, ...]
    """Cells that did not relax within the steps allowed."""
    left_sites: tuple[str, ...]
    """Cells in which an atom left its site when relaxed: they are no longer what their name says."""
    validation: ValidationResults | None

    def of(self, kind: Kind) -> list[Interaction]:
        """Return those of one kind."""
        return [one for one in self.interactions if one.kind == kind]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            **self.about,
            "interactions": [asdict(one) for one in self.interactions],
            "convergence": [
                {
                    "members": series.members,
                    "place": series.place,
                    "cells": [asdict(one) for one in series.energies],
                    "limit": series.limit and asdict(series.limit),
                }
                for series in self.convergence
            ],
            "unconverged": list(self.unconverged),
            "left_sites": list(self.left_sites),
            "validation": self.validation and self.validation.as_dict(),
        }


def collect(
    plan: Plan,
    relaxed: Mapping[str, Relaxed],
    *,
    about: dict[str, Any],
    validation: ValidationResults | None,
) -> InteractionResults:
    """Make binding energies of the energies of cells.

    Parameters
    ----------
    plan
        What was asked for.
    relaxed
        The cells, by key.
    about
        What `InteractionResults.about` holds.
    validation
        The comparison with DFT, if one was asked for.
    """
    cells = _Energies(
        unrelaxed={key: one.unrelaxed_ev for key, one in relaxed.items()},
        relaxed={key: one.energy_ev for key, one in relaxed.items()},
        converged={key for key, one in relaxed.items() if one.converged},
    )
    return InteractionResults(
        about=about,
        interactions=tuple(_interaction(binding, cells) for binding in plan.bindings),
        convergence=tuple(_series(plan.converging, cells)),
        unconverged=tuple(key for key, one in relaxed.items() if not one.converged),
        left_sites=tuple(
            task.key
            for task in plan.tasks
            if _farthest(task.atoms.positions, relaxed[task.key].positions)
            > _LEFT * about["lattice_parameter_angstrom"]
        ),
        validation=validation,
    )


def _farthest(before: FloatArray, after: FloatArray) -> float:
    return float(np.linalg.norm(after - before, axis=1).max(initial=0.0))


def write_results(results: InteractionResults, out: Path) -> None:
    """Write ``interaction.json`` and the tables as CSV."""
    write_json(out / RESULTS, results.as_dict())
    for kind, name in TABLES.items():
        write_csv(out / name, [_row(one) for one in results.of(kind)])
    write_csv(out / CONVERGENCE, _size_rows(results.convergence))
    write_csv(out / VALIDATION, [] if results.validation is None else _dft_rows(results.validation))


@dataclass(frozen=True)
class _Energies:
    """Energies of cells by key, eV."""

    unrelaxed: Mapping[str, float]
    relaxed: Mapping[str, float]
    converged: set[str]


def _interaction(binding: Binding, cells: _Energies) -> Interaction:
    is_triplet = bool(binding.sides)
    return Interaction(
        kind=binding.kind,
        members=binding.members,
        place=binding.place,
        sides=", ".join(f"{'-'.join(s.members)} {s.place}" for s in binding.sides),
        distance_angstrom=binding.distance_angstrom,
        n_sites=binding.n_sites,
        n_contacts=binding.n_contacts,
        unrelaxed_ev=_energy(binding, cells.unrelaxed),
        relaxed_ev=_energy(binding, cells.relaxed),
        many_body_unrelaxed_ev=_many_body(binding, cells.unrelaxed) if is_triplet else None,
        many_body_relaxed_ev=_many_body(binding, cells.relaxed) if is_triplet else None,
        converged=_keys(binding) <= cells.converged,
    )


def _energy(binding: Binding, energies: Mapping[str, float]) -> float:
    return binding_energy(
        energies[binding.together],
        energies[binding.host],
        [energies[key] for key in binding.alone],
    )


def _many_body(binding: Binding, energies: Mapping[str, float]) -> float:
    sides = [_energy(side, energies) for side in binding.sides]
    return many_body_part(_energy(binding, energies), sides)


def _keys(binding: Binding) -> set[str]:
    own = {binding.together, binding.host, *binding.alone}
    return own.union(*(_keys(side) for side in binding.sides))


def _series(converging: Sequence[Binding], cells: _Energies) -> Iterator[SizeSeries]:
    for members, place in dict.fromkeys((b.members, b.place) for b in converging):
        alike = [b for b in converging if (b.members, b.place) == (members, place)]
        energies = tuple(_interaction(b, cells) for b in sorted(alike, key=lambda b: b.n_sites))
        single = [one for one in energies if one.n_contacts == 1]
        limit = size_limit([one.n_sites for one in single], [one.relaxed_ev for one in single])
        yield SizeSeries(members, place, energies, limit)


def _row(one: Interaction) -> dict[str, Any]:
    """Make a line of a CSV table, in meV."""
    names = dict(zip(("x", "y", "z"), one.members, strict=False))
    where = {"sides": one.sides} if one.kind == "triplet" else {"shell": one.place}
    row: dict[str, Any] = {
        **names,
        **where,
        "distance_angstrom": round(one.distance_angstrom, 4),
        "n_sites": one.n_sites,
        "n_contacts": one.n_contacts,
        "unrelaxed_mev": _mev(one.unrelaxed_ev),
        "relaxed_mev": _mev(one.relaxed_ev),
    }
    if one.many_body_unrelaxed_ev is not None and one.many_body_relaxed_ev is not None:
        row["three_body_unrelaxed_mev"] = _mev(one.many_body_unrelaxed_ev)
        row["three_body_relaxed_mev"] = _mev(one.many_body_relaxed_ev)
    return {**row, "converged": one.converged}


def _size_rows(convergence: Sequence[SizeSeries]) -> list[dict[str, Any]]:
    return [
        {**_row(one), "limit_mev": None if series.limit is None else _mev(series.limit.limit_ev)}
        for series in convergence
        for one in series.energies
    ]


def _dft_rows(validation: ValidationResults) -> list[dict[str, Any]]:
    return [
        {
            "pair": pair.name,
            "n_sites": pair.n_sites,
            "n_contacts": pair.n_contacts,
            "dft_mev": round(pair.reference_mev, 2),
            **{f"{name}_mev": round(value, 2) for name, value in pair.predicted_mev.items()},
            **{f"{name}_has_seen_it": known for name, known in pair.seen.items()},
        }
        for pair in validation.pairs
    ]


def _mev(energy_ev: float) -> float:
    return round(MEV_PER_EV * energy_ev, 3)
