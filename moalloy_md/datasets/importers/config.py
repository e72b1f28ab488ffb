"""Settings of ``moalloy dataset import``."""

from typing import Literal

from pydantic import Field, model_validator

from moalloy_md.config import StrictModel
from moalloy_md.datasets.states import RELAXED_BELOW_EV_PER_ANGSTROM
from moalloy_md.elements import HOST, ChemicalSymbol


class ImportConfig(StrictModel):
    """Settings of ``moalloy dataset import``."""

    host: ChemicalSymbol = HOST
    """Chemical symbol of the host, for cells that do not name theirs. Given, it also wins over that of a
    ``cell.json`` beside a VASP run."""

    md_block: int | None = Field(default=None, ge=1)
    """Cut every MD trajectory into blocks of so many consecutive frames, each a group of its own.
    Without it a whole trajectory is one group."""

    md_gap: int = Field(default=0, ge=0)
    """Frames that are thrown away between two blocks, so that the end of one and the start of
    the next are not nearly the same cell."""

    relaxed_below_ev_per_angstrom: float = Field(default=RELAXED_BELOW_EV_PER_ANGSTROM, gt=0.0)
    """Largest force on any atom, eV/Å, up to which the end of a relaxation counts as ``relaxed``."""

    energy_key: str | None = None
    """Name of the force-consistent energy (eV, total) in extended XYZ or an ASE database, where
    it is neither ``REF_energy`` nor ``free_energy``."""

    forces_key: str | None = None
    """Name of the forces (eV/Å), where it is neither ``REF_forces`` nor ``forces``."""

    stress_key: str | None = None
    """Name of the stress (eV/Å³, tension positive), where it is neither ``REF_stress`` nor
    ``stress``."""

    virial_key: str | None = None
    """Name of a virial (eV, compression positive) to take instead of a stress: −virial/volume."""

    frames_are: Literal["cells", "relaxation", "md"] = "cells"
    """What the frames of an extended XYZ file, an ASE trajectory or database are to each other:
    separate cells, the steps of one relaxation, or one MD trajectory in the order of time."""

    skip_bad: bool = False
    """Leave out frames and files that cannot be used, and name them, instead of stopping."""

    @model_validator(mode="after")
    def _consistent(self) -> "ImportConfig":
        if self.md_gap and self.md_block is None:
            raise ValueError("expected md_block beside md_gap: a gap lies between two blocks")
        if self.stress_key and self.virial_key:
            raise ValueError("expected stress_key or virial_key, found both: leave one out")
        return self
