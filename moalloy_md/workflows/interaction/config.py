"""Settings of ``moalloy simulate interaction``."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from moalloy_md.config import DType, StrictModel
from moalloy_md.elements import HOST, ChemicalSymbol
from moalloy_md.structures.host import DEFAULT_REPEAT, HostCell
from moalloy_md.structures.lattice import LatticeName
from moalloy_md.workflows.job_queue import Slurm

#: Up to here all sites of a shell are alike by symmetry, in bcc and in fcc.
_LAST_SIMPLE_SHELL = 8

#: Stands for the cells that come with the package.
BUNDLED = "bundled"
_BUNDLED_UNCERTAINTY_MEV = 55.0  # k-points and smearing, from data/dft_mo_dopants/README.md


class Convergence(StrictModel):
    """Pairs whose binding energy is computed in cells of several sizes."""

    pairs: tuple[tuple[ChemicalSymbol, ChemicalSymbol], ...] = Field(min_length=1)
    """The pairs: ``[[W, W], [Re, Zr]]``."""
    repeats: tuple[int, ...] = (3, 4, 5, 6)
    """Cubic cells along an edge. From two on, the energy of an infinite cell is extrapolated."""
    shells: tuple[int, ...] = (1, 2)
    """Neighbour shells; the smallest cell has to hold them."""

    @field_validator("repeats")
    @classmethod
    def _sizes_differ(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(repeat < 2 for repeat in value) or len(set(value)) < max(len(value), 1):
            raise ValueError("expected different numbers of cells from 2 on")
        return tuple(sorted(value))

    @field_validator("shells")
    @classmethod
    def _shells_once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return each_shell_once(value)


class ValidationModel(StrictModel):
    """A model that is compared with DFT."""

    bundle: Path
    """Folder that ``moalloy export`` wrote."""
    trained_on: Path | None = None
    """The training set, extended XYZ: energies of pairs in it are told apart from those that the model
    has not seen."""


class Validation(StrictModel):
    """Binding energies beside DFT, in the cells of the DFT."""

    data: Path = Path(BUNDLED)
    """Extended XYZ with labelled cells of the host, of one and of two dopants; ``bundled`` for those
    that come with the package."""
    uncertain_mev: float | None = Field(default=None, ge=0)
    """How far the DFT's own binding energies may be off, meV: the sign of smaller ones is not asked for.
    55 for the bundled cells, whose README says why, 0 for others unless said."""
    models: dict[str, ValidationModel] = Field(min_length=1)
    """What is compared, by name: ``{zero-shot: base-bundle, fine-tuned: {bundle: bundle, trained_on:
    split/train.extxyz}}``."""

    @field_validator("models", mode="before")
    @classmethod
    def _path_is_a_bundle(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {k: {"bundle": v} if isinstance(v, str | Path) else v for k, v in value.items()}

    def with_whole_paths(self) -> "Validation":
        """Return the same with paths that are valid from every folder."""
        models = {
            name: ValidationModel(
                bundle=model.bundle.absolute(),
                trained_on=model.trained_on and model.trained_on.absolute(),
            )
            for name, model in self.models.items()
        }
        data = self.data if self.is_bundled else self.data.absolute()
        return self.model_copy(update={"data": data, "models": models})

    @property
    def is_bundled(self) -> bool:
        """Whether the cells are those that come with the package."""
        return str(self.data) == BUNDLED

    @property
    def uncertainty_mev(self) -> float:
        """How far the DFT's binding energies may be off, meV."""
        if self.uncertain_mev is not None:
            return self.uncertain_mev
        return _BUNDLED_UNCERTAINTY_MEV if self.is_bundled else 0.0


class InteractionConfig(StrictModel):
    """Settings of ``moalloy simulate interaction``."""

    bundle: Path | None = None
    """Folder that ``moalloy export`` wrote; or give ``--bundle``."""
    host: ChemicalSymbol = HOST
    """Chemical symbol of the host."""
    lattice: LatticeName = "bcc"
    """Crystal structure: bcc or fcc."""
    repeat: int | None = Field(default=None, ge=2, le=20)
    """Cubic cells along an edge of the cell. 4 for bcc (128 atoms) and 3 for fcc (108 atoms) unless said."""
    lattice_parameter_angstrom: float | None = Field(default=None, gt=1.0, le=10.0)
    """Edge of the cubic cell, Å; unless said, where the model's energy of the host is lowest."""
    dopants: tuple[ChemicalSymbol, ...] | None = None
    """Chemical symbols; all that the model knows but the host unless said."""
    pairs: Literal["all", "equal", "none"] = "all"
    """Two dopants: every pair, only pairs of one element, or none."""
    shells: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    """Neighbour shells of the host lattice in which the second dopant of a pair sits."""
    vacancy_shells: tuple[int, ...] = (1, 2, 3, 4, 5)
    """Neighbour shells in which a dopant has a vacancy; none where empty."""
    triplets: tuple[tuple[ChemicalSymbol, ChemicalSymbol, ChemicalSymbol], ...] = ()
    """Three dopants in a compact triangle, every one that is different by symmetry: ``[[W, W, Re]]``."""
    triplet_shells: tuple[int, ...] = (1, 2)
    """Neighbour shells that the sides of a triangle may be in."""
    convergence: Convergence | None = None
    """Pairs in cells of several sizes: what the periodic images add."""
    validation: Validation | None = None
    """A comparison with DFT."""
    heat_map_shells: tuple[int, ...] = (1, 2)
    """Neighbour shells of which a heat map of all pairs is drawn."""
    fmax_ev_per_angstrom: float = Field(default=0.003, gt=0, le=0.05)
    """Largest force on an atom that a relaxation leaves, eV/Å. At 0.003 the error of an energy is some
    hundredths of a meV."""
    max_steps: int = Field(default=300, ge=1)
    """Steps of a relaxation. One that needs more is named, in the results too."""
    precision: DType = "float64"
    """Of the native engine's arithmetic. float32 takes half the time, and costs 0.01 meV."""
    slurm: Slurm = Slurm()
    """How the job is submitted to SLURM; ``cpus`` are cells relaxed at once."""

    @field_validator("dopants")
    @classmethod
    def _each_once(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        twice = [name for name, n in Counter(value or ()).items() if n > 1]
        if twice:
            raise ValueError(f"expected each dopant once, found {', '.join(twice)} more than once")
        return value

    @field_validator("shells", "vacancy_shells", "heat_map_shells", "triplet_shells")
    @classmethod
    def _shells_once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return each_shell_once(value)

    @field_validator("triplet_shells")
    @classmethod
    def _shells_are_simple(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or max(value) > _LAST_SIMPLE_SHELL:
            raise ValueError(f"expected shells from 1 to {_LAST_SIMPLE_SHELL}, found {list(value)}")
        return value

    @model_validator(mode="after")
    def _host_is_no_dopant(self) -> "InteractionConfig":
        named = {
            *(self.dopants or ()),
            *(x for triplet in self.triplets for x in triplet),
            *(x for pair in (self.convergence.pairs if self.convergence else ()) for x in pair),
        }
        if self.host in named:
            raise ValueError(
                f"expected dopants other than the host {self.host}, found it among them"
            )
        return self

    @property
    def cells(self) -> int:
        """Cubic cells along an edge."""
        return self.repeat or DEFAULT_REPEAT[self.lattice]

    def with_whole_paths(self) -> "InteractionConfig":
        """Return the same with paths that are valid from every folder."""
        changes: dict[str, Any] = {"bundle": self.bundle and self.bundle.absolute()}
        if self.validation is not None:
            changes["validation"] = self.validation.with_whole_paths()
        return self.model_copy(update=changes)

    def supercell(self, repeat: int, *, edge_angstrom: float) -> HostCell:
        """Supercell of the host, of `repeat` cubic cells of an edge of `edge_angstrom` along each axis."""
        return HostCell(
            host=self.host,
            lattice=self.lattice,
            repeat=(repeat,) * 3,
            lattice_parameter_angstrom=edge_angstrom,
        )


def each_shell_once(shells: Sequence[int]) -> tuple[int, ...]:
    """Return shells ascending.

    Raises
    ------
    ValueError
        If one is below 1 or named twice.
    """
    if any(shell < 1 for shell in shells) or len(set(shells)) < len(shells):
        raise ValueError(f"expected different shell numbers from 1 on, found {list(shells)}")
    return tuple(sorted(shells))
