"""What every topic of ``moalloy analyze`` has: settings, and a measure that sees frame after frame."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from moalloy_md.analysis.quantities import Quantity
from moalloy_md.analysis.trajectory import Frame
from moalloy_md.config import StrictModel
from moalloy_md.elements import ChemicalSymbol


class TopicSettings(StrictModel):
    """Settings that all topics share."""

    every: int = Field(default=1, ge=1)
    """Take each so-many-th frame."""
    first_step: int = Field(default=0, ge=0)
    """Leave earlier frames of a run out."""
    elements: tuple[ChemicalSymbol, ...] | None = None
    """Chemical symbols of atom types 1, 2, ...; only for dumps that do not name their elements."""
    picture: bool = True
    """Whether OVITO draws the last frame."""


@dataclass(frozen=True)
class Column:
    """A number of each frame.

    Attributes
    ----------
    label, unit
        What it is.
    panel
        Columns of the same panel are drawn into the same plot; this is its axis. Empty where it is
        not drawn.
    averaged
        Whether its mean over the frames means something.
    """

    label: str
    unit: str = ""
    panel: str = ""
    averaged: bool = True


@dataclass(frozen=True)
class Curve:
    """A line of a table's plot: y with its errors against the table's x, ``(n,)`` each.

    `chance` is the half width of what chance alone gives about zero.
    """

    label: str
    y: NDArray[np.float64]
    error: NDArray[np.float64] | None = None
    chance: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Table:
    """A result that is no series in time, such as g(r).

    Attributes
    ----------
    x_label, y_label
        Axes, with units.
    x
        ``(n,)``.
    curves
        Lines, each ``(n,)``.
    points
        Whether points are drawn instead of lines.
    """

    x_label: str
    y_label: str
    x: NDArray[np.float64]
    curves: Sequence[Curve]
    points: bool = False


@dataclass
class Measure(ABC):
    """Sees the frames of one trajectory, one at a time.

    Attributes
    ----------
    n_frames
        Frames that will be seen at most.
    columns
        What the rows hold; known after the first frame.
    cautions
        What the user must know, in sentences.
    """

    #: Whether rows that an earlier, killed run wrote may stand for their frames.
    resumable: ClassVar[bool] = True

    n_frames: int
    columns: dict[str, Column] = field(default_factory=dict)
    cautions: list[str] = field(default_factory=list)

    @abstractmethod
    def see(self, frame: Frame) -> dict[str, float]:
        """Return the row of a frame: finite numbers by the names of `columns`."""

    def tables(self, rows: Sequence[Mapping[str, float]]) -> dict[str, Table]:  # noqa: ARG002
        """Results that are no series, after the last frame; none unless a topic has them."""
        return {}

    def quantities(self) -> dict[str, Quantity]:
        """Numbers beside the means of the columns; none unless a topic has them."""
        return {}

    def colour(self, frame: Frame) -> None:
        """Give the frame, which was seen, the colours of its picture."""
        colour_by_element(frame)


#: Of the host (the most frequent element), and of the others in the order of their frequency.
HOST_COLOUR = (0.72, 0.76, 0.80)
DOPANT_COLOURS = (
    (0.75, 0.34, 0.18),
    (0.12, 0.37, 0.55),
    (0.45, 0.60, 0.20),
    (0.55, 0.35, 0.60),
    (0.85, 0.65, 0.13),
)
HOST_RADIUS_ANGSTROM, DOPANT_RADIUS_ANGSTROM = 0.65, 1.2


# Arrays of OVITO are copied (np.array): a view may outlive what it shows.


def counts(frame: Frame) -> dict[str, int]:
    """Atoms of each element, the most frequent first, then by name."""
    types = np.array(frame.data.particles.particle_types)
    merged: dict[str, int] = {}
    for number, symbol in frame.species.items():
        merged[symbol] = merged.get(symbol, 0) + int((types == number).sum())
    return dict(sorted(merged.items(), key=lambda item: (-item[1], item[0])))


def mask(frame: Frame, symbol: str) -> NDArray[np.bool_]:
    """Tell which atoms are of an element, ``(n_atoms,)``."""
    types = np.array(frame.data.particles.particle_types)
    numbers = [number for number, name in frame.species.items() if name == symbol]
    return np.isin(types, numbers)


def set_look(
    frame: Frame, colours: NDArray[np.float64], radii: NDArray[np.float64] | float
) -> None:
    """Set colours ``(n, 3)`` and radii (Å) of all particles."""
    particles = frame.data.particles_
    particles.create_property("Color", data=colours)
    particles.create_property("Radius", data=np.broadcast_to(radii, particles.count).copy())


def colour_by_element(frame: Frame) -> None:
    """Draw the host small and grey, all else large and in colour."""
    n = frame.n_atoms
    colours, radii = np.tile(HOST_COLOUR, (n, 1)), np.full(n, HOST_RADIUS_ANGSTROM)
    for k, symbol in enumerate(list(counts(frame))[1:]):
        where = mask(frame, symbol)
        colours[where] = DOPANT_COLOURS[k % len(DOPANT_COLOURS)]
        radii[where] = DOPANT_RADIUS_ANGSTROM
    set_look(frame, colours, radii)


def bcc_edge(frame: Frame) -> float:
    """Edge of the cubic cell of a bcc crystal with the frame's density, Å: ``(2V/N)^(1/3)``."""
    return float((2.0 * frame.data.cell.volume / frame.n_atoms) ** (1.0 / 3.0))


def second_shell_cutoff(edge: float) -> float:
    """Halfway between the second and third shells of bcc, Å: who is nearer is a neighbour."""
    return float(edge * (1.0 + np.sqrt(2.0)) / 2.0)
