"""Reference energies: what each element's energy is counted from (E0), and corrections of it.

Energies of different codes and settings differ first of all by one constant an element. Here
these constants are fitted, to total energies or to the errors of a model, and the elements of
which nothing can be known are given theirs by a policy that is said aloud.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from moalloy_md.datasets.frames import Frame
from moalloy_md.elements import atomic_number
from moalloy_md.errors import ConfigError

FloatArray = NDArray[np.float64]

#: Cells of one composition that a fit of corrections looks at: one model evaluation each.
CELLS_PER_COMPOSITION = 10


@dataclass(frozen=True)
class ReferenceEnergies:
    """Energy of each element of a model's table that its own energy is counted from."""

    e0s_ev: dict[str, float]
    """By chemical symbol in the order of the atomic numbers, eV."""
    origin: str
    """Where they come from, in words."""
    unseen: dict[str, str]
    """For elements of which no training cell has an atom: where theirs comes from."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def in_order(elements: Collection[str]) -> list[str]:
    """Symbols by atomic number."""
    return sorted(elements, key=atomic_number)


def compositions(cells: Sequence[Atoms], elements: Sequence[str]) -> FloatArray:
    """Atoms of each element in each cell, ``(n_cells, n_elements)``."""
    counts = [Counter(str(x) for x in atoms.symbols) for atoms in cells]
    return np.array([[count[x] for x in elements] for count in counts], dtype=np.float64)


def least_squares(counts: FloatArray, energies_ev: FloatArray) -> tuple[FloatArray, int]:
    """Fit one energy an element to total energies: ``E_s ≈ Σ_Z n_sZ e_Z``.

    Where the compositions do not determine them, the solution of smallest norm is taken: that of
    an element without an atom is 0.

    Parameters
    ----------
    counts
        ``n_sZ``, ``(n_cells, n_elements)``.
    energies_ev
        ``E_s``, ``(n_cells,)``, eV.

    Returns
    -------
    energies
        ``e_Z``, ``(n_elements,)``, eV.
    rank
        Rank of `counts`; less than the number of elements where they are not determined.
    """
    solution, _, rank, _ = np.linalg.lstsq(counts, energies_ev, rcond=None)
    return np.asarray(solution, dtype=np.float64), int(rank)


def average_e0s(frames: Sequence[Frame]) -> tuple[dict[str, float], int]:
    """Fit one energy an element to total energies: what mace-torch calls ``average``.

    See `least_squares`.

    Returns
    -------
    e0s
        By chemical symbol in the order of the atomic numbers, eV.
    rank
        Rank of the matrix of compositions.
    """
    elements = in_order({name for frame in frames for name in frame.elements})
    counts = compositions([frame.atoms for frame in frames], elements)
    solution, rank = least_squares(counts, np.array([frame.energy_ev for frame in frames]))
    return dict(zip(elements, solution.tolist(), strict=True)), rank


def correction(
    cells: Sequence[Atoms], errors_ev: FloatArray, elements: Collection[str]
) -> tuple[dict[str, float], int]:
    """Fit one energy an element to what a model lacks in total energy; see `least_squares`.

    Parameters
    ----------
    cells
        The cells.
    errors_ev
        Reference less predicted total energy of each, ``(n_cells,)``, eV.
    elements
        Elements that may be corrected; those of the cells and others.

    Returns
    -------
    correction
        By chemical symbol, eV; 0 for an element of which no cell has an atom.
    rank
        Number of independent compositions.
    """
    names = in_order(elements)
    solution, rank = least_squares(compositions(cells, names), errors_ev)
    return dict(zip(names, solution.tolist(), strict=True)), rank


def representative(frames: Sequence[Frame]) -> list[Frame]:
    """Pick at most `CELLS_PER_COMPOSITION` frames of each composition, spread over the file."""
    by_composition: dict[tuple[int, ...], list[Frame]] = {}
    for frame in frames:
        by_composition.setdefault(tuple(sorted(frame.atoms.numbers.tolist())), []).append(frame)
    chosen = []
    for members in by_composition.values():
        n = min(len(members), CELLS_PER_COMPOSITION)
        chosen += [members[k * len(members) // n] for k in range(n)]
    return chosen


@dataclass(frozen=True)
class StartEnergies:
    """What is known of the energies of the model that a training starts from."""

    e0s_ev: Mapping[str, float]
    """Its E0s by chemical symbol, eV; of elements that it did not know those of their proxies."""
    new: Collection[str]
    """Elements that it did not know."""
    errors_ev: Callable[[Sequence[Frame]], FloatArray]
    """Gives reference less predicted total energies of some frames, ``(n_frames,)``, eV."""


def choose_e0s(
    policy: str | Mapping[str, float],
    unseen_policy: str | Mapping[str, float],
    train: Sequence[Frame],
    table: Sequence[str],
    *,
    start: StartEnergies | None = None,
) -> ReferenceEnergies:
    """Choose the reference energies of a model that is to be trained.

    Parameters
    ----------
    policy, unseen_policy
        As in the configuration (``start.e0s`` and ``start.unseen_e0s``): a name, or energies, eV.
    train
        The training set.
    table
        Elements of the model to be trained.
    start
        The model that training starts from; None for scratch.

    Raises
    ------
    ConfigError
        If the energy of an element is missing among the given ones.
    """
    seen = {name for frame in train for name in frame.elements}
    known, origin = _of_seen(policy, train, seen, start)
    unseen = [name for name in table if name not in seen]
    given = {} if isinstance(policy, str) else {x: policy[x] for x in unseen if x in policy}
    host = train[0].host
    of_unseen = {
        x: _of_unseen(x, given if x in given else unseen_policy, known, start, host=host)
        for x in unseen
    }
    e0s = known | {x: energy for x, (energy, _) in of_unseen.items()}
    return ReferenceEnergies(
        e0s_ev={x: float(e0s[x]) for x in table},
        origin=origin,
        unseen={x: words for x, (_, words) in of_unseen.items()},
    )


def _of_seen(
    policy: str | Mapping[str, float],
    train: Sequence[Frame],
    seen: Collection[str],
    start: StartEnergies | None,
) -> tuple[dict[str, float], str]:
    if not isinstance(policy, str):
        missing = in_order(set(seen) - policy.keys())
        if missing:
            raise ConfigError(
                f"start.e0s: expected an energy for each element of the training and validation "
                f"set, found none for {', '.join(missing)}. Add them, or say e0s: average"
            )
        return {x: policy[x] for x in seen}, "given in the configuration"
    if policy == "average":
        e0s, rank = average_e0s(train)
        origin = f"least squares over the compositions of {len(train)} training cells"
        return e0s, origin + _undetermined(rank, len(e0s))
    if start is None:
        raise ConfigError(
            f"start.e0s: expected average, or an energy for each element, where no model is there to "
            f"start from, found {policy}, which takes them from it"
        )
    new = set(start.new) & set(seen)
    if policy == "foundation" or (policy == "keep" and not new):
        return {x: start.e0s_ev[x] for x in seen}, "those of the model that training starts from"
    chosen = representative(train)
    free = in_order(seen if policy == "estimated" else new)
    shift, rank = correction([frame.atoms for frame in chosen], start.errors_ev(chosen), free)
    what = "corrected" if policy == "estimated" else f"corrected for {', '.join(free)} alone"
    origin = (
        f"those of the model that training starts from, {what} by least squares over the "
        f"compositions of {len(chosen)} training cells"
    )
    e0s = {x: start.e0s_ev[x] + shift.get(x, 0.0) for x in seen}
    return e0s, origin + _undetermined(rank, len(free))


def _undetermined(rank: int, n_elements: int) -> str:
    if rank == n_elements:
        return ""
    return f" (rank {rank} of {n_elements}: not determined, smallest norm taken)"


def _of_unseen(
    element: str,
    policy: str | Mapping[str, float],
    known: Mapping[str, float],
    start: StartEnergies | None,
    *,
    host: str,
) -> tuple[float, str]:
    if not isinstance(policy, str):
        if element not in policy:
            raise ConfigError(
                f"start.unseen_e0s: expected an energy for {element}, of which no training cell has "
                "an atom, found none. Add it, or name a policy"
            )
        return policy[element], "given in the configuration"
    if policy == "mean":
        return float(np.mean(list(known.values()))), "mean of the training set's elements"
    if start is None:
        raise ConfigError(
            f"start.unseen_e0s: expected mean, or an energy for each such element, where no model is "
            f"there to start from, found {policy}, which takes them from it"
        )
    if policy == "foundation":
        return start.e0s_ev[element], "that of the model that training starts from"
    dopants = known.keys() - {host} or known.keys()
    mean = float(np.mean([known[x] - start.e0s_ev[x] for x in dopants]))
    words = f"that of the model that training starts from, plus the mean correction {mean:.4f} eV"
    return start.e0s_ev[element] + mean, f"{words} of the training set's dopants"
