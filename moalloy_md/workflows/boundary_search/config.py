"""Settings of ``moalloy structures gb-search``."""

from pathlib import Path

from pydantic import Field, field_validator

from moalloy_md.structures.grain_boundaries import BoundaryCell


class BoundarySearchConfig(BoundaryCell):
    """Which boundary, and how thoroughly its structure of lowest energy is looked for."""

    bundle: Path
    """Folder that `moalloy export` wrote. The crystal has the model's own edge unless
    ``lattice_parameter_angstrom`` says another."""
    shift_step_angstrom: float = Field(default=0.9, gt=0.05)
    """Largest distance of the shifts that are tried, Å: a grid over those in the boundary plane that
    differ by symmetry."""
    overlaps: tuple[float, ...] = (0.55, 0.7, 0.85)
    """Atoms of the upper grain that are closer than this to one of the lower, in nearest-neighbour
    distances, are removed: each is tried where it removes others."""
    expansions_angstrom: tuple[float, ...] = (0.1, 0.5)
    """How much the grains are moved apart at each boundary before the atoms relax, Å: each is tried."""
    keep: int = Field(default=4, ge=1)
    """The best candidates, each of another shift or number of atoms, that are refined."""
    refine_step_angstrom: float = Field(default=0.2, gt=0)
    """Refining moves one grain along x, y and z by this, Å, as long as the energy falls, and then by
    half of it, down to ``refine_end_angstrom``."""
    refine_end_angstrom: float = Field(default=0.02, gt=0)
    """The last step of refining, Å."""
    screening_fmax_ev_per_angstrom: float = Field(default=0.05, gt=0)
    """Largest force that may be left on an atom of a candidate, eV/Å."""
    screening_max_steps: int = Field(default=150, ge=1)
    """Steps of a candidate's relaxation; it counts with what it has reached by then."""
    fmax_ev_per_angstrom: float = Field(default=0.01, gt=0)
    """Largest force that may be left on an atom in refining, eV/Å."""
    max_steps: int = Field(default=500, ge=1)
    """Steps that a relaxation may take in refining."""

    @field_validator("overlaps", "expansions_angstrom")
    @classmethod
    def _some(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value:
            raise ValueError("expected at least one number")
        return value

    @field_validator("overlaps")
    @classmethod
    def _apart(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        bad = [x for x in value if not 0.4 <= x < 1]
        if bad:  # nearer atoms are where no potential was fitted
            raise ValueError(
                f"expected nearest-neighbour distances from 0.4 to 1, found {bad[0]:g}"
            )
        return value
