"""What a check finds, and what every check is made of."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from matscipy.neighbours import neighbour_list
from numpy.typing import NDArray

from moalloy_md.datasets.checks.config import CheckConfig
from moalloy_md.datasets.decorations import formula
from moalloy_md.datasets.frames import Frame
from moalloy_md.datasets.isometry import SURROUNDINGS_RANGE_ANGSTROM
from moalloy_md.datasets.lattice_sites import LatticeFit, fit_lattice

Severity = Literal["error", "warning"]

Neighbours = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or may be.

    Attributes
    ----------
    severity
        ``error``: not to be trained on as it is. ``warning``: to be looked at.
    check
        Name of the check.
    file
        The dataset.
    frame, atom
        Counted from 0; None where the finding is about more than one.
    name
        The frame's own name, or an empty string.
    found
        What was found, with numbers and units.
    why
        Why it matters.
    mend
        How to mend it.
    """

    severity: Severity
    check: str
    file: str
    frame: int | None
    atom: int | None
    name: str
    found: str
    why: str
    mend: str

    @property
    def place(self) -> str:
        """Frame, its name, and atom in words."""
        if self.frame is None:
            return "dataset"
        name = f" ({self.name})" if self.name else ""
        atom = "" if self.atom is None else f", atom {self.atom}"
        return f"frame {self.frame}{name}{atom}"


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame as the checks see it, with what several of them need worked out once.

    Attributes
    ----------
    index
        Number of the frame in its file, from 0.
    frame
        The frame; it holds the dataset contract.
    """

    index: int
    frame: Frame

    @cached_property
    def neighbours(self) -> Neighbours:
        """Pairs closer than `SURROUNDINGS_RANGE_ANGSTROM`: indices i, j and distances, Å."""
        i, j, distances = neighbour_list("ijd", self.frame.atoms, SURROUNDINGS_RANGE_ANGSTROM)
        return i, j, distances

    @cached_property
    def lattice(self) -> LatticeFit | None:
        """The atoms as sites of a lattice, or None."""
        return fit_lattice(self.frame.atoms)

    @cached_property
    def formula(self) -> str:
        """Chemical formula, elements in alphabetical order."""
        return formula(self.frame.atoms.numbers.tolist())


class Check(ABC):
    """One check. It sees every frame once, and may sum up at the end.

    Attributes
    ----------
    name
        Of the check, such as ``net-force``.
    why
        Why what it finds matters.
    mend
        How to mend it.
    """

    name: ClassVar[str]
    why: ClassVar[str]
    mend: ClassVar[str]

    def __init__(self, file: str, config: CheckConfig) -> None:
        self.file = file
        self.config = config

    @abstractmethod
    def see(self, seen: Seen) -> Iterable[Finding]:
        """Look at the next frame."""

    def finish(self) -> Iterable[Finding]:
        """Say what shows only when all frames were seen."""
        return ()

    def finding(
        self,
        severity: Severity,
        found: str,
        *,
        frame: int | None = None,
        atom: int | None = None,
        name: str = "",
        mend: str | None = None,
    ) -> Finding:
        """Make a finding of this check."""
        return Finding(
            severity=severity,
            check=self.name,
            file=self.file,
            frame=frame,
            atom=atom,
            name=name,
            found=found,
            why=self.why,
            mend=mend or self.mend,
        )


def robust_scale(values: NDArray[Any]) -> tuple[float, float]:
    """Median, and 1.4826 times the median absolute deviation from it."""
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))
