"""Settings of ``moalloy simulate segregation``."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from moalloy_md.analysis.crystal import PTM_RMSD_CUTOFF
from moalloy_md.config import DType, StrictModel, TemperaturesK
from moalloy_md.elements import HOST, ChemicalSymbol
from moalloy_md.structures.grain_boundaries import GrainBoundaryConfig
from moalloy_md.structures.polycrystal import PolycrystalConfig
from moalloy_md.structures.slabs import SlabConfig
from moalloy_md.structures.voids import VoidConfig
from moalloy_md.workflows.simulate.config import SimulationConfig


def _each_once(symbols: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(symbols)) < len(symbols):
        raise ValueError(f"expected each dopant once, found {', '.join(symbols)}")
    return symbols


Dopants = Annotated[tuple[ChemicalSymbol, ...], Field(min_length=1), AfterValidator(_each_once)]


class BoundaryHost(GrainBoundaryConfig):
    """A grain boundary, twice in a periodic cell, as wide in the plane as ``sizes_angstrom`` says.

    The crystal's edge is the model's own unless said.
    """

    kind: Literal["boundary"]
    """Tag: this kind."""
    relax_cell: Literal["no", "normal"] = "normal"
    """Whether the cell's height is relaxed with the pure host; afterwards it stays."""

    @model_validator(mode="after")
    def _is_periodic(self) -> "BoundaryHost":
        if self.cell != "periodic":
            raise ValueError("expected cell: periodic, found vacuum: surfaces attract dopants too")
        return self


class SlabHost(SlabConfig):
    """A slab with two equal surfaces, as wide in the plane as ``sizes_angstrom`` says."""

    kind: Literal["slab"]
    """Tag: this kind."""


class VoidHost(VoidConfig):
    """A void in a supercell; ``sizes_angstrom`` does not repeat it."""

    kind: Literal["void"]
    """Tag: this kind."""


class PolycrystalHost(PolycrystalConfig):
    """Grains in a periodic box; with many atoms a sample of their boundaries' sites."""

    kind: Literal["polycrystal"]
    """Tag: this kind."""
    relax_cell: Literal["no", "all"] = "all"
    """Whether the box is scaled to zero pressure with the pure host."""


class FileHost(StrictModel):
    """A host read from a file: the best boundary of a search, a dislocation, a void of any shape.

    The crystal's edge is the model's own, unless the file names one.
    """

    kind: Literal["file"]
    """Tag: this kind."""
    host: ChemicalSymbol = HOST
    """Chemical symbol of its atoms."""
    lattice: Literal["bcc"] = "bcc"
    """Its crystal."""
    path: Path
    """Any file of one structure that ASE reads, periodic, of the pure host."""
    planes_angstrom: tuple[float, ...] = ()
    """Heights, Å, of boundaries or surfaces that lie across the third cell vector; those that the file
    names where it was made by ``moalloy structures gb`` or ``gb-search``. Where there are none,
    distances are taken from the nearest atom that is not bcc."""
    relax_cell: Literal["no", "normal", "all"] = "no"
    """Whether the cell is relaxed with the host: not, along the third vector, or in all directions
    alike."""


HostConfig = Annotated[
    BoundaryHost | SlabHost | VoidHost | PolycrystalHost | FileHost, Field(discriminator="kind")
]


class Sites(StrictModel):
    """Which sites are tried."""

    max_distance_angstrom: float = Field(default=8.0, gt=0)
    """Sites within this distance of the boundary are tried, one of those that are alike, and one in
    the middle of the crystal; at least ``width_angstrom``. The first place for "does E_seg go to zero": look
    at the last sites."""
    width_angstrom: float = Field(default=4.0, gt=0)
    """Sites within this distance count as the boundary where one number stands for it (the isotherm's
    fraction). The excess does not depend on it."""
    tolerance_angstrom: float = Field(default=0.05, gt=0, le=0.5)
    """Sites are alike where a symmetry of the relaxed host takes one to the other within this
    distance, Å."""
    check_alike: int = Field(default=3, ge=0)
    """So many sites are computed a second time at another place that is alike, for the first dopant:
    their energies must agree."""
    n_random: int = Field(default=100, ge=1)
    """Large hosts: boundary sites (not bcc) drawn at random."""
    n_crystal: int = Field(default=4, ge=1)
    """Large hosts: sites far from all boundaries, where E_seg must be zero."""
    crystal_rmsd_cutoff: float = Field(default=PTM_RMSD_CUTOFF, gt=0, le=0.3)
    """Polyhedral template matching: a site is bcc where its neighbourhood deviates by less."""

    @model_validator(mode="after")
    def _all_of_the_boundary_is_tried(self) -> "Sites":
        if self.max_distance_angstrom < self.width_angstrom:
            raise ValueError(
                f"expected a max_distance_angstrom of at least {self.width_angstrom:g} (width_angstrom), "
                f"found {self.max_distance_angstrom:g}: sites of the boundary would be left out"
            )
        return self


class Annealing(StrictModel):
    """Large hosts: molecular dynamics before the minimisation (``in.anneal``)."""

    temperature_k: float = Field(gt=0)
    """Temperature, K, at which atoms are to find better places: about half of the melting point, and
    well below it."""
    hold_ps: float = Field(default=10.0, ge=0)
    """How long the host stays so hot, ps."""
    cooling_ps: float = Field(default=10.0, ge=0)
    """How long it is cooled then, ps."""
    end_temperature_k: float = Field(default=300.0, gt=0)
    """Temperature at the end of the cooling, K."""

    @model_validator(mode="after")
    def _takes_time(self) -> "Annealing":
        if self.hold_ps + self.cooling_ps == 0:
            raise ValueError("expected hold_ps or cooling_ps above 0, found 0 for both")
        if self.end_temperature_k > self.temperature_k:
            raise ValueError(
                f"expected an end_temperature_k of at most {self.temperature_k:g} (temperature_k), "
                f"found {self.end_temperature_k:g}"
            )
        return self


class SphereSettings(StrictModel):
    """Large hosts: a sphere about each site instead of the whole cell."""

    above_atoms: int = Field(default=5000, ge=1)
    """Hosts with more atoms are treated so."""
    anneal: Annealing | None = None
    """Annealing before the host is minimised; none where null. A polycrystal needs one."""
    host_fmax_ev_per_angstrom: float = Field(default=0.05, gt=0, le=0.5)
    """The whole host is minimised by LAMMPS until no force is larger, eV/Å."""
    host_max_steps: int = Field(default=1000, ge=1)
    """Iterations that this may take; what is left is told. A host once minimised stays as it is: another
    number needs another folder."""
    free_radius_angstrom: float = Field(default=6.0, gt=2.5)
    """Atoms within it relax, Å."""
    shell_angstrom: float | None = Field(default=None, gt=0)
    """Thickness of the frozen shell around these, Å; as many cutoffs as the model has layers where
    null."""
    converge: tuple[tuple[float, float], ...] = ()
    """Pairs of free radius and shell, Å, for which the first sites are computed too."""
    n_converge: int = Field(default=2, ge=1)
    """How many sites these are."""


class HybridMonteCarlo(StrictModel):
    """Swaps within molecular dynamics at temperature, to check the isotherm (``in.mcmd``)."""

    dopants: Dopants | None = None
    """All of the simulation's where null."""
    total_fraction: float = Field(default=0.02, gt=0, lt=0.5)
    """Of all sites that are dopants."""
    temperatures_k: TemperaturesK = (1200.0,)
    """Temperatures, K."""
    width_angstrom: float = Field(default=12.0, gt=0)
    """The host is repeated within the boundary until the cell is as wide as this, Å."""
    steps: int = Field(default=20000, ge=100)
    """Time steps. More can be given later: the same command extends the runs."""
    swap_every: int = Field(default=10, ge=1)
    """Time steps between calls of the Monte Carlo."""
    swaps: int = Field(default=10, ge=1)
    """Attempts a call; each costs as much as a time step."""
    barostat: Literal["aniso", "iso", "z", "none"] = "aniso"
    """What of the cell may change. A slab takes none by itself."""
    bin_angstrom: float = Field(default=1.0, gt=0)
    """Width of the profile's bins, Å."""


class SegregationConfig(SimulationConfig):
    """Settings of ``moalloy simulate segregation``."""

    host: HostConfig
    """Where the dopants may segregate to: ``boundary``, ``slab``, ``void``, ``polycrystal`` or ``file``."""
    dopants: Dopants
    """Chemical symbols."""
    sites: Sites = Sites()
    """Which sites are tried."""
    sizes_angstrom: tuple[float, ...] = Field(default=(9.0,), min_length=1)
    """Least distance of a dopant from its own images, Å: the host is repeated until it is met. With
    several, all are computed and compared; the largest one counts."""
    spheres: SphereSettings = SphereSettings()
    """Large hosts: spheres about the sites."""
    fmax_ev_per_angstrom: float = Field(default=0.01, gt=0, le=0.1)
    """Relaxations end when no force is larger, eV/Å."""
    max_steps: int = Field(default=400, ge=1)
    """Steps that a relaxation may take."""
    temperatures_k: TemperaturesK = (600.0, 900.0, 1200.0, 1500.0, 1800.0, 2100.0)
    """Temperatures of the isotherm, K."""
    bulk_fractions: tuple[float, ...] = Field(default=(0.001, 0.01), min_length=1)
    """Atomic fractions of the dopant in the bulk, for the isotherm."""
    precision: DType = "float64"
    """Of the native engine's arithmetic in relaxations. float32 is half as quick again, and good for
    spheres of large hosts; its noise lets forces fall to some 0.005 eV/Å."""
    mcmd: HybridMonteCarlo | None = None
    """Hybrid Monte Carlo at temperature; not done where null."""

    @property
    def element(self) -> str:
        """Chemical symbol of the host."""
        return self.host.host

    def with_whole_paths(self) -> "SegregationConfig":
        """Return the same with paths that are valid from every folder."""
        changes: dict[str, Any] = {}
        if self.potential is not None and self.potential.kind == "bundle":
            changes["potential"] = self.potential.with_whole_paths()
        if self.host.kind == "file":
            changes["host"] = self.host.model_copy(update={"path": self.host.path.absolute()})
        return self.model_copy(update=changes)

    @field_validator("bulk_fractions")
    @classmethod
    def _fractions(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        bad = [x for x in value if not 0 < x < 1]
        if bad:
            raise ValueError(f"expected atomic fractions between 0 and 1, found {bad[0]:g}")
        return value

    @field_validator("sizes_angstrom")
    @classmethod
    def _sizes(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if min(value) <= 0 or len(set(value)) < len(value):
            raise ValueError(f"expected different sizes above 0 Å, found {list(value)}")
        return tuple(sorted(value))

    @model_validator(mode="after")
    def _fits(self) -> "SegregationConfig":
        if self.element in self.dopants:
            raise ValueError(
                f"expected dopants other than the host {self.element}, found it among them"
            )
        if self.host.lattice != "bcc":
            raise ValueError(f"host.lattice: expected bcc, found {self.host.lattice}")
        if self.potential is not None and (
            self.potential.kind != "bundle" or self.potential.committee
        ):
            found = "a committee" if self.potential.kind == "bundle" else self.potential.kind
            raise ValueError(f"potential: expected one bundle for the relaxations, found {found}")
        strangers = set(self.mcmd.dopants or ()) - set(self.dopants) if self.mcmd else set()
        if strangers:
            raise ValueError(
                f"mcmd.dopants: expected some of {', '.join(self.dopants)}, found "
                f"{', '.join(sorted(strangers))}"
            )
        return self
