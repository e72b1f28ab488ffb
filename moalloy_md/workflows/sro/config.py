"""Settings of ``moalloy simulate sro``."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from moalloy_md.config import TemperaturesK
from moalloy_md.structures.lattice import neighbour_shells
from moalloy_md.workflows.simulate.alloy_config import AlloyConfig

#: How the dopants sit when a run starts.
StartName = Literal["random", "clustered"]


class SroConfig(AlloyConfig):
    """Settings of ``moalloy simulate sro``."""

    temperatures_k: TemperaturesK = (1200.0,)
    """Temperatures of motion and swaps, K. The colder, the more order and the fewer swaps succeed."""
    steps: int = Field(default=20000, ge=100)
    """Time steps of each run. More can be given later: the same command extends the runs."""
    swap_every: int = Field(default=20, ge=1)
    """Steps between calls of the Monte Carlo; with the default time step atoms vibrate about once in
    between (0.04 ps)."""
    swaps: int = Field(default=10, ge=1)
    """Swaps that a call attempts for each pair of elements. One costs as much as a time step."""
    rigid: bool = False
    """Swaps on the ideal lattice alone, without motion: fast, and blind to relaxation and
    vibration, which matter where atoms differ in size. ``steps`` then only count calls."""
    starts: tuple[StartName, ...] = Field(default=("random", "clustered"), min_length=1)
    """Where runs start from: dopants on sites drawn at random, and all dopants of a kind together.
    Where both end alike the result is the equilibrium; one alone cannot tell."""
    barostat: Literal["iso", "aniso", "none"] = "iso"
    """What the cell does: keeps its shape, changes its edges alone, or stays as it is."""
    shells: int = Field(default=4, ge=1, le=8)
    """Neighbour shells of the Warren-Cowley parameters, from the nearest on."""
    rdf_cutoff_angstrom: float = Field(default=8.0, gt=2.0)
    """Largest distance of the pair correlation, Å."""
    picture: bool = True
    """Whether OVITO draws the last frame of each run."""

    @field_validator("starts")
    @classmethod
    def _starts_differ(cls, value: tuple[StartName, ...]) -> tuple[StartName, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"expected different starts, found {', '.join(value)}")
        return value

    @model_validator(mode="after")
    def _there_is_something_to_swap(self) -> "SroConfig":
        for name, dopants in self.compositions.items():
            if not dopants:
                raise ValueError(
                    f"compositions.{name}: expected at least one dopant, found pure {self.host}: "
                    "there is nothing to swap"
                )
        return self

    @model_validator(mode="after")
    def _shells_are_within_the_cell(self) -> "SroConfig":
        radii = [shell.radius for shell in neighbour_shells(self.lattice, self.shells)]
        inside = sum(radius < min(self.cells) for radius in radii)
        if inside < self.shells:
            raise ValueError(
                f"shells: expected shells nearer than an atom's own image ({inside} in this cell), "
                f"found {self.shells}: lower shells or raise repeat"
            )
        return self
