"""Settings of ``moalloy properties``."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from moalloy_md.config import StrictModel
from moalloy_md.elements import HOST, ChemicalSymbol

BundleEngine = Literal["native", "torch"]


class PropertiesConfig(StrictModel):
    """What is computed of a pure bcc crystal, and by whom."""

    bundle: Path
    """Folder that `moalloy export` wrote."""
    element: ChemicalSymbol = HOST
    """The crystal. Reference values come with the package for Mo."""
    engine: BundleEngine = "native"
    """Who evaluates the bundle: the native engine, in double precision, or torch with the
    TorchScript file, in the dtype of the file, slower."""
    vacancy_repeat: int = Field(default=4, ge=2, le=12)
    """Cubic cells along an edge of the cell with the vacancy; 4 is 127 atoms."""
    migration: bool = True
    """Whether to look for the barrier of the vacancy's jump: half of the time."""
    phonons: bool = True
    """Whether to compute phonons."""
    phonon_repeat: int = Field(default=8, ge=2, le=16)
    """Primitive cells along an edge of the supercell of the phonons; 8 is 512 atoms. With a
    multiple of 4 the named points of the path are exact, however far the forces reach."""
    displacement_angstrom: float = Field(default=0.01, gt=0.0, le=0.1)
    """How far an atom is moved for the phonons, Å."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of the native engine; all cores that the process may use where not given."""
