"""Settings of ``moalloy simulate thermal``."""

from pydantic import Field, model_validator

from moalloy_md.analysis.crystal import HOT_PTM_RMSD_CUTOFF
from moalloy_md.analysis.thermal import MIN_WINDOW_SAMPLES
from moalloy_md.config import StrictModel, TemperaturesK
from moalloy_md.elements import ChemicalSymbol
from moalloy_md.workflows.simulate.alloy_config import AlloyConfig


class Ramp(StrictModel):
    """Heating at a constant rate."""

    start_k: float = Field(default=300.0, gt=0)
    """Temperature at the start, K."""
    end_k: float = Field(default=3600.0, gt=0)
    """Temperature at the end, K. A perfect crystal without a surface melts a fifth above its melting
    point, so end well above it."""
    steps: int = Field(default=50000, ge=1000)
    """Time steps from one to the other. Another number is another ramp: choose another folder."""
    n_windows: int = Field(default=20, ge=4)
    """Windows of temperature in which the results are averaged."""

    @model_validator(mode="after")
    def _goes_up(self) -> "Ramp":
        if self.end_k <= self.start_k:
            raise ValueError(
                f"expected end_k above start_k ({self.start_k:g}), found {self.end_k:g}"
            )
        return self


class ThermalConfig(AlloyConfig):
    """Settings of ``moalloy simulate thermal``."""

    compositions: dict[str, dict[ChemicalSymbol, float]] = Field(default={"pure": {}}, min_length=1)
    """What is simulated side by side: a name, and the atomic fraction of each dopant:
    ``{pure: {}, W2: {W: 0.02}}``. The dopants sit on sites drawn at random from the seed and the name. The
    first one is what the others are compared with."""
    temperatures_k: TemperaturesK = (300.0, 600.0, 900.0, 1200.0)
    """Temperatures of the runs at constant temperature and pressure, K. Expansion and heat capacity
    need two at least; four, to see how they change."""
    steps: int = Field(default=40000, ge=1000)
    """Time steps of each of these. More can be given later: the same command extends the runs."""
    ramp: Ramp | None = Ramp()
    """A heating ramp for each composition; none where null."""
    rdf_cutoff_angstrom: float = Field(default=8.0, gt=2.0)
    """Largest distance of the radial distribution function, Å."""
    crystal_rmsd_cutoff: float = Field(default=HOT_PTM_RMSD_CUTOFF, gt=0, le=0.3)
    """Polyhedral template matching: an atom is bcc where its neighbourhood deviates by less. `moalloy analyze
    structure` takes 0.1 unless told, which counts many vibrating atoms of a hot crystal as disordered."""

    @model_validator(mode="after")
    def _lattice_is_bcc(self) -> "ThermalConfig":
        if self.lattice != "bcc":
            raise ValueError(f"lattice: expected bcc, found {self.lattice}")
        return self

    @model_validator(mode="after")
    def _windows_hold_frames(self) -> "ThermalConfig":
        if self.ramp is None:
            return self
        per_window = self.ramp.steps / self.dump_interval / self.ramp.n_windows
        if per_window < MIN_WINDOW_SAMPLES:
            raise ValueError(
                f"ramp.n_windows: expected windows of {MIN_WINDOW_SAMPLES} frames at least, found "
                f"{per_window:.3g} in each of {self.ramp.n_windows} ({self.ramp.steps} steps, "
                f"dump_interval {self.dump_interval}): their bcc fraction would not be known. Lower "
                "n_windows or dump_interval, or give more ramp.steps"
            )
        return self
