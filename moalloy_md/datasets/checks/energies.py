"""Energies: which kind they are, outliers, and whether reference energies can be determined."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moalloy_md.datasets.checks.config import CheckConfig
from moalloy_md.datasets.checks.findings import Check, Finding, Seen, robust_scale

_ENOUGH = 8
_FIT_PASSES = 50
_HARMONIC = 0.95  # part of the cells whose forces are taken for those of harmonic vibrations


@dataclass(frozen=True, eq=False)
class _Cell:
    index: int
    name: str
    state: str
    formula: str
    counts: dict[str, int]
    energy_ev: float
    mean_square_force: float

    @property
    def n_atoms(self) -> int:
        return sum(self.counts.values())


def robust_residuals(
    design: NDArray[np.float64], energies: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Residuals of the linear fit with the least absolute deviations.

    Parameters
    ----------
    design
        ``(n_frames, n_unknowns)``: for a fit that is linear in the composition the atomic fractions.
    energies
        ``(n_frames,)``, eV/atom.

    Returns
    -------
    numpy.ndarray
        ``(n_frames,)``, eV/atom.
    """
    weights = np.ones(len(energies))
    residuals: NDArray[np.float64] = energies - energies.mean()
    for _ in range(_FIT_PASSES):
        weighted = design.T * weights  # normal equations: few unknowns, many frames
        solution = np.linalg.lstsq(weighted @ design, weighted @ energies, rcond=1e-10)[0]
        residuals = energies - design @ solution
        floor = 0.01 * robust_scale(residuals)[1] + 1e-9
        weights = 1 / np.maximum(np.abs(residuals), floor)
    return residuals


class EnergyOutlier(Check):
    """No energy far off a robust fit that is linear in the composition."""

    name = "energy-outlier"
    why = (
        "an energy that composition and forces do not explain is often a wrong number of atoms, another DFT "
        "setting, a wrong magnetic state or electrons that did not converge, and one such cell "
        "shifts the fit of all"
    )
    mend = (
        "look at the cell: surfaces, vacancies, melts and strong strains are rightly high, keep "
        "them. Else run DFT again with the settings of the others, or remove the frame"
    )

    def __init__(self, file: str, config: CheckConfig) -> None:
        super().__init__(file, config)
        self.cells: list[_Cell] = []

    def see(self, seen: Seen) -> Iterable[Finding]:
        frame = seen.frame
        self.cells.append(
            _Cell(
                index=seen.index,
                name=frame.name,
                state="noneq" if frame.state == "noneq" else "still",
                formula=seen.formula,
                counts=dict(Counter(frame.atoms.symbols)),
                energy_ev=frame.energy_ev,
                mean_square_force=float((frame.forces**2).sum(axis=1).mean()),
            )
        )
        return ()

    def finish(self) -> Iterable[Finding]:
        elements = sorted({element for cell in self.cells for element in cell.counts})
        if len(self.cells) < max(_ENOUGH, 2 * len(elements)):
            return
        sizes = np.array([cell.n_atoms for cell in self.cells])
        counts = np.array([[cell.counts.get(x, 0) for x in elements] for cell in self.cells])
        energies = np.array([cell.energy_ev for cell in self.cells]) / sizes
        fractions = counts / sizes[:, None]
        # Vibrations have an energy in proportion to the mean square force, so hot cells are no
        # outliers. Where forces are huge that is no longer true: there the better of two fits counts.
        squares = np.array([cell.mean_square_force for cell in self.cells])
        huge = squares > np.quantile(squares, _HARMONIC)
        plain = self._offs(robust_residuals(fractions, energies))
        hot = self._offs(robust_residuals(np.column_stack([fractions, squares]), energies))
        for k, cell in enumerate(self.cells):
            off, limit = hot[k]
            if huge[k] and abs(plain[k][0]) / plain[k][1] < abs(off) / limit:
                off, limit = plain[k]
            if abs(off) > limit:
                yield self.finding(
                    "warning",
                    f"{cell.formula}: energy {abs(off) * 1000:.0f} meV/atom "
                    f"{'above' if off > 0 else 'below'} what composition and forces explain (usual: "
                    f"within {limit * 1000:.0f})",
                    frame=cell.index,
                    name=cell.name,
                )

    def _offs(self, residuals: NDArray[np.float64]) -> list[tuple[float, float]]:
        """How far each energy is off cells of its kind and how far is usual, eV/atom."""
        _, overall = robust_scale(residuals)
        kinds: dict[tuple[str, str], list[int]] = defaultdict(list)
        for k, cell in enumerate(self.cells):
            kinds[cell.formula, cell.state].append(k)
        offs = [(0.0, 1.0)] * len(self.cells)
        for members in kinds.values():
            middle, scale = 0.0, overall
            if len(members) >= _ENOUGH:
                middle, scale = robust_scale(residuals[members])
            for k in members:
                floor = self.config.energy_floor_ev / self.cells[k].n_atoms
                limit = max(self.config.outlier_sigmas * scale, floor, 1e-9)
                offs[k] = (float(residuals[k]) - middle, limit)
        return offs


class ReferenceEnergies(Check):
    """The compositions determine the reference energy of each element."""

    name = "reference-energy"
    why = (
        "the energies of the elements (E0s) are fitted to the compositions of the cells; where "
        "these do not vary independently, a model can move energy between elements without any "
        "cell showing it, and binding and segregation energies drift"
    )
    mend = (
        "add cells with another number of these atoms (the pure host, two dopants instead of "
        "one), or give the E0s of isolated atoms yourself"
    )

    def __init__(self, file: str, config: CheckConfig) -> None:
        super().__init__(file, config)
        self.compositions: set[tuple[tuple[str, int], ...]] = set()

    def see(self, seen: Seen) -> Iterable[Finding]:
        self.compositions.add(tuple(sorted(Counter(seen.frame.atoms.symbols).items())))
        return ()

    def finish(self) -> Iterable[Finding]:
        undetermined = undetermined_elements([dict(items) for items in self.compositions])
        if undetermined:
            yield self.finding(
                "warning",
                f"{len(self.compositions)} different compositions do not determine the reference "
                f"energies of {', '.join(undetermined)}",
            )


def undetermined_elements(compositions: list[dict[str, int]]) -> list[str]:
    """Elements whose energy can change without changing the fit to any composition.

    Parameters
    ----------
    compositions
        Number of atoms of each element, one mapping a composition.

    Returns
    -------
    list of str
        Elements with a part in the null space of the matrix of the compositions.
    """
    elements = sorted({element for composition in compositions for element in composition})
    if not elements:
        return []
    counts = np.array([[c.get(element, 0) for element in elements] for c in compositions])
    fractions = counts / counts.sum(axis=1, keepdims=True)
    _, singular, right = np.linalg.svd(fractions, full_matrices=True)
    rank = int((singular > 1e-6 * singular.max()).sum())
    null_space = right[rank:]
    return [
        x
        for x, column in zip(elements, null_space.T, strict=True)
        if np.abs(column).max(initial=0) > 1e-6
    ]


class EnergyKind(Check):
    """All energies are the force-consistent free energy."""

    name = "energy-kind"
    why = (
        "forces are the derivative of F = E - TS, not of the energy extrapolated to zero smearing; "
        "with the latter energies and forces contradict each other by some meV/atom"
    )
    mend = (
        "import again from the DFT code's own output (free energy TOTEN of VASP); if you know "
        "that the energies are F, write energy_kind=free on the comment lines"
    )

    def __init__(self, file: str, config: CheckConfig) -> None:
        super().__init__(file, config)
        self.first: dict[tuple[str, str], int] = {}
        self.times: Counter[tuple[str, str]] = Counter()

    def see(self, seen: Seen) -> Iterable[Finding]:
        kind = str(seen.frame.atoms.info.get("energy_kind", "free"))
        if kind != "free":
            key = (kind, seen.frame.source)
            self.first.setdefault(key, seen.index)
            self.times[key] += 1
        return ()

    def finish(self) -> Iterable[Finding]:
        for (kind, source), n in self.times.items():
            said = (
                "do not say which of the DFT code's energies they have"
                if kind == "unstated"
                else f"have the energy called {kind}"
            )
            yield self.finding(
                "warning" if kind == "unstated" else "error",
                f"{n} frames from {source or 'no named source'} {said}",
                frame=self.first[kind, source],
            )
