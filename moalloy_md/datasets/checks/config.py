"""Settings of ``moalloy dataset check``."""

from pydantic import Field

from moalloy_md.config import StrictModel
from moalloy_md.datasets.states import IDEAL_BELOW_ANGSTROM, RELAXED_BELOW_EV_PER_ANGSTROM


class CheckConfig(StrictModel):
    """Settings of ``moalloy dataset check``."""

    skip: tuple[str, ...] = ()
    """Names of checks that are left out, such as ``energy-outlier``."""

    net_force_warning_ev_per_angstrom: float = Field(default=0.001, gt=0.0)
    """Length of the sum of all forces over the number of atoms, eV/Å, above which a frame is
    warned about."""

    net_force_error_ev_per_angstrom: float = Field(default=0.02, gt=0.0)
    """The same, above which the forces are wrong."""

    close_warning_fraction: float = Field(default=0.6, gt=0.0, lt=1.0)
    """Distance of two atoms over the sum of their covalent radii, below which a pair is warned
    about. In Mo at 3000 K it stays above 0.68."""

    close_error_fraction: float = Field(default=0.5, gt=0.0, lt=1.0)
    """The same, below which a pair is an error."""

    outlier_sigmas: float = Field(default=8.0, gt=0.0)
    """Robust standard deviations (1.4826 times the median absolute deviation) from the median
    beyond which an energy or a largest force is an outlier."""

    energy_floor_ev: float = Field(default=0.5, ge=0.0)
    """Energy of a whole cell, eV, by which it must at least lie off to be an outlier."""

    force_floor_ev_per_angstrom: float = Field(default=2.0, ge=0.0)
    """Force, eV/Å, that an outlier must at least have."""

    force_ceiling_ev_per_angstrom: float = Field(default=30.0, gt=0.0)
    """Force, eV/Å, above which a force is an outlier whatever the others are."""

    duplicate_tolerance_angstrom: float = Field(default=0.0001, gt=0.0)
    """How far the atoms of two cells may lie apart, Å, for the cells to be the same. The last steps
    of a relaxation are often within 0.001 Å of each other."""

    conflict_ev_per_atom: float = Field(default=0.001, gt=0.0)
    """Difference of the energies of two equal cells, eV/atom, above which they contradict."""

    relaxed_below_ev_per_angstrom: float = Field(default=RELAXED_BELOW_EV_PER_ANGSTROM, gt=0.0)
    """Largest force, eV/Å, of a cell whose state is ``relaxed``."""

    ideal_below_angstrom: float = Field(default=IDEAL_BELOW_ANGSTROM, gt=0.0)
    """Largest distance from its lattice site, Å, of an atom in a cell whose state is ``ideal``."""

    cutoff_tolerance_ev: float = Field(default=0.5, ge=0.0)
    """Difference between plane-wave cutoffs, eV, up to which they count as the same."""

    kpoint_ratio: float = Field(default=1.5, gt=1.0)
    """Ratio of the widest to the narrowest spacing of k-points above which they are mixed."""

    stress_mismatch: float = Field(default=0.1, gt=0.0)
    """Root-mean-square difference between energy and work of the stress along a strain series, over that of
    the energy, above which they contradict."""

    stress_offset_warning_gpa: float = Field(default=0.3, gt=0.0)
    """Constant error of the stress (such as Pulay stress), GPa, above which it is warned about."""

    stress_offset_error_gpa: float = Field(default=1.0, gt=0.0)
    """The same, above which the stress is wrong."""
