"""Stress: its sign, its unit, and whether it is the derivative of the energy."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from ase.stress import voigt_6_to_full_3x3_stress
from numpy.typing import NDArray

from moalloy_md.datasets.checks.config import CheckConfig
from moalloy_md.datasets.checks.findings import Check, Finding, Seen
from moalloy_md.units import GPA_PER_EV_A3

#: Bulk moduli of solids, eV/Å³ (16 to 650 GPa): outside it the unit of the stress is wrong.
_BULK_MODULI = (0.1, 4.0)
#: Largest strain between two cells of a series: beyond it the work of the stress would need more than two points.
_LARGEST_STEP = 0.03
#: Cells whose vectors differ by more than this strain, volume apart, are not one cell at two volumes.
_LARGEST_DISTORTION = 0.1
_NEAREST = 2


@dataclass(frozen=True, eq=False)
class Strained:
    """One member of a strain series, in a form that does not depend on orientation.

    Attributes
    ----------
    index
        Number of the frame.
    energy_ev
        Total energy, eV.
    metric
        G = H Hᵀ of the cell vectors H (rows), ``(3, 3)``, Å².
    conjugate
        P = V H⁻ᵀ σ H⁻¹, ``(3, 3)``, eV/Å²: with fixed fractional coordinates dE = ½ tr(P dG).
    volume
        Å³.
    """

    index: int
    energy_ev: float
    metric: NDArray[np.float64]
    conjugate: NDArray[np.float64]
    volume: float


def strained(
    index: int, energy_ev: float, cell: NDArray[np.float64], stress: NDArray[np.float64]
) -> Strained:
    """Make a `Strained` from a cell (rows, Å) and its stress (Voigt, eV/Å³, tension positive)."""
    inverse = np.linalg.inv(cell)
    volume = float(abs(np.linalg.det(cell)))
    conjugate = volume * inverse.T @ voigt_6_to_full_3x3_stress(stress) @ inverse
    return Strained(index, energy_ev, cell @ cell.T, conjugate, volume)


@dataclass(frozen=True, eq=False)
class SameShape:
    """Cells of one formula that differ little but in volume; slabs of two faces do not.

    Attributes
    ----------
    metric
        Of the first one, in units of its volume to the power 2/3, ``(3, 3)``.
    points
        Volume (Å³/atom), mean stress (eV/Å³) and number of the frame.
    """

    metric: NDArray[np.float64]
    points: list[tuple[float, float, int]]

    def holds(self, metric: NDArray[np.float64]) -> bool:
        """Say whether a cell is of this shape."""
        strain = (np.linalg.inv(self.metric) @ metric - np.eye(3)) / 2
        return bool(np.linalg.norm(strain) < _LARGEST_DISTORTION)


def work(one: Strained, other: Strained) -> float:
    """Work of the stress from one cell to another, eV, by the trapezoidal rule in the metric."""
    step = other.metric - one.metric
    return float(np.trace((one.conjugate + other.conjugate) @ step)) / 4


class StressWork(Check):
    """Along a strain series the stress is the derivative of the energy."""

    name = "stress"
    why = (
        "the model's stress is the derivative of its energy: a stress that is not (Pulay stress of "
        "too low a cutoff, wrong sign, unit or order of components) cannot be fitted and spoils "
        "lattice parameters and elastic constants"
    )
    mend = (
        "wrong sign, unit or order: correct REF_stress (eV/Å³, tension positive, xx yy zz yz xz "
        "xy). Pulay stress: raise the cutoff, or remove REF_stress"
    )

    def __init__(self, file: str, config: CheckConfig) -> None:
        super().__init__(file, config)
        self.series: dict[bytes, list[Strained]] = defaultdict(list)
        self.shapes: dict[str, list[SameShape]] = defaultdict(list)
        self.evidence: list[str] = []

    def see(self, seen: Seen) -> Iterable[Finding]:
        frame = seen.frame
        if frame.stress is None or not frame.atoms.pbc.all():
            return ()
        cell = frame.atoms.cell.array
        scaled = np.linalg.solve(cell.T, (frame.atoms.positions - frame.atoms.positions[0]).T)
        places = np.round(scaled * 1000).astype(np.int64) % 1000
        key = frame.atoms.numbers.tobytes() + places.tobytes()
        self.series[key].append(strained(seen.index, frame.energy_ev, cell, frame.stress))
        volume = frame.atoms.get_volume()
        metric = cell @ cell.T / volume ** (2 / 3)
        shapes = self.shapes[seen.formula]
        shape = next((shape for shape in shapes if shape.holds(metric)), None)
        if shape is None:
            shape = SameShape(metric, [])
            shapes.append(shape)
        point = (volume / frame.n_atoms, float(frame.stress[:3].mean()), seen.index)
        shape.points.append(point)
        return ()

    def finish(self) -> Iterable[Finding]:
        # the strongest evidence first: it is what a screen has room for
        for members in self.series.values():
            if len(members) >= 3:
                yield from self._judge(members)
        compressed = [(f, shape.points) for f, shapes in self.shapes.items() for shape in shapes]
        for formula, points in sorted(compressed, key=lambda item: -len(item[1])):
            yield from self._compress(formula, points)

    def _compress(self, formula: str, points: list[tuple[float, float, int]]) -> Iterator[Finding]:
        """Compress a cell and its pressure rises: the slope of σ over ln V is the bulk modulus."""
        logs = np.log([volume for volume, _, _ in points])
        stresses = np.array([stress for _, stress, _ in points])
        if len(points) < 4 or np.ptp(logs) < 0.02:
            return
        modulus = float(np.polyfit(logs, stresses, 1)[0])
        if abs(np.corrcoef(logs, stresses)[0, 1]) < 0.8:
            return  # other things than the volume differ
        if modulus < 0:
            yield self.finding(
                "error",
                f"{formula}: larger cells have more negative stress over {len(points)} frames: "
                "compression is counted positive",
                frame=points[0][2],
                mend="change the sign of REF_stress in all frames (tension is positive)",
            )
        elif not _BULK_MODULI[0] < modulus < _BULK_MODULI[1]:
            yield self.finding(
                "error",
                f"{formula}: the stress changes with volume as if the bulk modulus were "
                f"{modulus * GPA_PER_EV_A3:.3g} GPa: it is not in eV/Å³",
                frame=points[0][2],
                mend="convert REF_stress to eV/Å³ (1 GPa is 0.0062415, 1 kbar 0.00062415)",
            )
        else:
            self.evidence.append(
                f"{formula}: compression makes the stress more negative in {len(points)} frames "
                f"(bulk modulus about {modulus * GPA_PER_EV_A3:.0f} GPa): sign and unit are right"
            )

    def _judge(self, members: list[Strained]) -> Iterator[Finding]:
        pairs = _neighbouring(members)
        if len(pairs) < 3:
            return
        energies = np.array([other.energy_ev - one.energy_ev for one, other in pairs])
        works = np.array([work(one, other) for one, other in pairs])
        volumes = np.array([other.volume - one.volume for one, other in pairs])
        size = float(np.sqrt((energies**2).mean()))
        if size < 1e-4:
            return  # nothing to compare with
        offset, left = _offset(energies - works, volumes)
        left /= size
        first, n = min(member.index for member in members), len(members)
        if left > self.config.stress_mismatch:
            yield self.finding("error", _contradiction(n, energies, works), frame=first)
            return
        gpa = 0.0 - offset * GPA_PER_EV_A3
        if abs(gpa) > self.config.stress_offset_warning_gpa:
            yield self.finding(
                "error" if abs(gpa) > self.config.stress_offset_error_gpa else "warning",
                f"strain series of {n} frames: the stress is {gpa:+.2f} GPa off dE/dε, the same "
                "in all frames: Pulay stress of an incomplete basis",
                frame=first,
            )
            return
        self.evidence.append(
            f"strain series of {n} frames from frame {first} on: stress and dE/dε agree within "
            f"{100 * left:.1f} %, offset {gpa:+.2f} GPa"
        )


def _offset(missing: NDArray[np.float64], volumes: NDArray[np.float64]) -> tuple[float, float]:
    """Find the constant c, eV/Å³, of missing ≈ c volumes, and the root mean square of the rest.

    Only a constant that stands out of the rest is believed: 0 where volumes hardly change.
    """
    square = float(volumes @ volumes)
    constant = float(missing @ volumes) / square if square > 0 else 0.0
    rest = missing - constant * volumes
    if constant**2 * square < 9 * float(rest @ rest):
        constant, rest = 0.0, missing
    return constant, float(np.sqrt((rest**2).mean()))


def _neighbouring(members: list[Strained]) -> list[tuple[Strained, Strained]]:
    """Pairs of members next to each other in strain, each pair once."""
    pairs: set[tuple[int, int]] = set()
    for i, one in enumerate(members):
        inverse = np.linalg.inv(one.metric)
        steps = np.array(
            [np.linalg.norm(inverse @ other.metric - np.eye(3)) / 2 for other in members]
        )
        near = [int(j) for j in np.argsort(steps) if 1e-6 < steps[j] < _LARGEST_STEP]
        pairs.update((min(i, j), max(i, j)) for j in near[:_NEAREST])
    return [(members[i], members[j]) for i, j in sorted(pairs)]


def _contradiction(n: int, energies: NDArray[np.float64], works: NDArray[np.float64]) -> str:
    """Say how the work of the stress differs from the energy, and what that looks like."""
    text = f"strain series of {n} frames: the stress is not dE/dε"
    square = float(works @ works)
    if square == 0:
        return f"{text}: it is zero"
    factor = float(energies @ works) / square
    correlation = float(energies @ works) / np.sqrt(square * float(energies @ energies))
    if abs(correlation) < 0.9:
        return f"{text} (correlation {correlation:.2f}): perhaps another order of its components"
    looks = {
        -1.0: "the sign is reversed",
        1 / 1602.18: "it is in kbar",
        -1 / 1602.18: "it is in kbar with the sign reversed",
        1 / 160.218: "it is in GPa",
        -1 / 160.218: "it is in GPa with the sign reversed",
    }
    for value, meaning in looks.items():
        if 0.9 < factor / value < 1.1:
            return f"{text}: {meaning} (dE/dε is {factor:.3g} times the stress)"
    return f"{text}: dE/dε is {factor:.3g} times the stress"
