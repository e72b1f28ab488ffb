"""Segregation in numbers: spectra of energies, profiles of content, excess at a boundary."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from moalloy_md.analysis.quantities import Quantity, mean_of
from moalloy_md.errors import DataError
from moalloy_md.units import J_PER_M2_PER_EV_A2

#: A skew normal has three parameters: fewer energies say nothing about them.
MIN_ENERGIES = 10

_BOOTSTRAPS = 200
#: Of fits, either sign: beyond, the density does not change any more, it is half a normal.
LARGEST_SHAPE = 50.0


def segregation_energy(
    site_ev: float, site_host_ev: float, bulk_ev: float, bulk_host_ev: float
) -> float:
    """Segregation energy of a dopant X, eV: negative segregates.

    ``E_seg = [E_site(X) - E_site] - [E_bulk(X) - E_bulk]``, which is ``E(X at the site) - E(X in the
    bulk)`` where both sites are in one cell, because the hosts are the same then. Clusters cut about
    the two sites differ in their hosts, whose surfaces so cancel.

    Parameters
    ----------
    site_ev, site_host_ev
        Energy of the cell with the dopant on the site, and of the same cell without it, eV.
    bulk_ev, bulk_host_ev
        The same for a site of the bulk, eV.
    """
    return (site_ev - site_host_ev) - (bulk_ev - bulk_host_ev)


@dataclass(frozen=True)
class SkewNormal:
    """A skew normal distribution through segregation energies.

    ``F(E) = 1/(√(2π) σ) exp[-(E - μ)²/(2σ²)] erfc[-α (E - μ)/(√2 σ)]`` (M. Wagih, C. A. Schuh, Acta
    Mater. 181 (2019) 228).

    Attributes
    ----------
    location_ev, scale_ev, shape
        μ, σ and α.
    location_error_ev, scale_error_ev, shape_error
        Standard errors, from fits to energies that were drawn again with replacement (bootstrap).
    ks_distance
        Largest distance between the cumulative distributions of energies and fit (Kolmogorov,
        Smirnov).
    mean_ev, mean_error_ev, standard_deviation_ev
        Of the energies themselves.
    n_energies
        How many.
    """

    location_ev: float
    scale_ev: float
    shape: float
    location_error_ev: float
    scale_error_ev: float
    shape_error: float
    ks_distance: float
    mean_ev: float
    mean_error_ev: float
    standard_deviation_ev: float
    n_energies: int

    def density(self, energies_ev: ArrayLike) -> NDArray[np.float64]:
        """Probability density at energies (eV), ``(n,)``, per eV."""
        from scipy.stats import skewnorm

        density: NDArray[np.float64] = skewnorm.pdf(
            np.asarray(energies_ev), self.shape, loc=self.location_ev, scale=self.scale_ev
        )
        return density

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def fit_skew_normal(
    energies_ev: ArrayLike, *, bootstraps: int = _BOOTSTRAPS, seed: int = 0
) -> SkewNormal:
    """Fit a skew normal distribution to segregation energies by maximum likelihood.

    Parameters
    ----------
    energies_ev
        ``(n,)``, eV: those of a random sample of sites, each as often as it was drawn.
    bootstraps
        Fits to energies that are drawn again, for the errors.
    seed
        Of these draws.

    Raises
    ------
    DataError
        If there are fewer than ten, one is not finite, or all are equal.
    """
    from scipy.stats import kstest, skewnorm

    energies = np.asarray(energies_ev, dtype=np.float64)
    if energies.ndim != 1 or len(energies) < MIN_ENERGIES:
        raise DataError(
            f"expected {MIN_ENERGIES} or more segregation energies for a spectrum, found "
            f"{energies.size}: take more sites"
        )
    if not np.isfinite(energies).all():
        raise DataError("expected finite segregation energies, found one that is not")
    if energies.std() < 1e-9:
        raise DataError("expected energies that differ, found all equal: they have no spectrum")
    best = _most_likely(energies)
    rng = np.random.default_rng(seed)
    again = np.array(
        [_most_likely(rng.choice(energies, len(energies)), start=best) for _ in range(bootstraps)]
    )
    errors = again.std(axis=0, ddof=1)
    shape, location, scale = best
    return SkewNormal(
        location_ev=location,
        scale_ev=scale,
        shape=shape,
        location_error_ev=float(errors[1]),
        scale_error_ev=float(errors[2]),
        shape_error=float(errors[0]),
        ks_distance=float(kstest(energies, skewnorm(shape, location, scale).cdf).statistic),
        mean_ev=float(energies.mean()),
        mean_error_ev=float(energies.std(ddof=1) / np.sqrt(len(energies))),
        standard_deviation_ev=float(energies.std(ddof=1)),
        n_energies=len(energies),
    )


def _most_likely(
    energies: NDArray[np.float64], *, start: tuple[float, float, float] | None = None
) -> tuple[float, float, float]:
    """Shape, location and scale of the largest likelihood.

    From both signs of the shape: at zero the likelihood is flat, and a search stays on its side.
    """
    from scipy.optimize import minimize

    spread = float(energies.std()) or 1e-9
    x = (energies - energies.mean()) / spread
    if start is None:
        starts = [np.array([-0.7 * sign, 0.2, 2.0 * sign]) for sign in (1, -1)]
    else:
        shape, location, scale = start
        starts = [np.array([(location - energies.mean()) / spread, np.log(scale / spread), shape])]
    bounds = [(None, None), (-7.0, 3.0), (-LARGEST_SHAPE, LARGEST_SHAPE)]
    found = [minimize(_loss, s, args=(x,), jac=True, bounds=bounds) for s in starts]
    location, log_scale, shape = min(found, key=lambda one: float(one.fun)).x
    return (
        float(shape),
        float(energies.mean() + spread * location),
        float(spread * np.exp(log_scale)),
    )


def _loss(
    parameters: NDArray[np.float64], x: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Mean of -ln of the density (less a constant) and its slopes by μ, ln σ and α."""
    from scipy.special import log_ndtr

    location, log_scale, shape = parameters
    scale = np.exp(log_scale)
    z = (x - location) / scale
    tail = log_ndtr(shape * z)
    loss = log_scale + np.mean(0.5 * z**2 - tail)
    # φ/Φ, of logarithms: both vanish far out
    ratio = np.exp(-0.5 * (shape * z) ** 2 - 0.5 * np.log(2 * np.pi) - tail)
    by_z = z - shape * ratio
    slopes = np.array(
        [-np.mean(by_z) / scale, 1.0 - np.mean(by_z * z), -np.mean(z * ratio)], dtype=np.float64
    )
    return float(loss), slopes


@dataclass(frozen=True)
class Profile:
    """Content of a dopant across a cell.

    Attributes
    ----------
    edges_angstrom
        Of the bins, ``(n_bins + 1,)``, Å.
    fraction, error
        Content of each bin and its standard error, ``(n_bins,)``; the error is nan where it is not
        known, both where a bin has no atoms.
    n_atoms
        Atoms in each bin, mean over the frames, ``(n_bins,)``.
    """

    edges_angstrom: NDArray[np.float64]
    fraction: NDArray[np.float64]
    error: NDArray[np.float64]
    n_atoms: NDArray[np.float64]

    @property
    def centres_angstrom(self) -> NDArray[np.float64]:
        """Middles of the bins, ``(n_bins,)``, Å."""
        centres: NDArray[np.float64] = (self.edges_angstrom[1:] + self.edges_angstrom[:-1]) / 2
        return centres


def count_in_bins(
    places_angstrom: ArrayLike, chosen: ArrayLike, edges_angstrom: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count atoms along an axis: those chosen, and all, ``(n_bins,)`` each.

    Parameters
    ----------
    places_angstrom
        Coordinate of each atom, ``(n_atoms,)``, Å, within the edges.
    chosen
        Whether it counts as a dopant, ``(n_atoms,)``.
    edges_angstrom
        Of the bins, ``(n_bins + 1,)``, Å, increasing.
    """
    places, mask = np.asarray(places_angstrom), np.asarray(chosen, dtype=bool)
    edges = np.asarray(edges_angstrom)
    return np.histogram(places[mask], edges)[0], np.histogram(places, edges)[0]


def profile(dopants: ArrayLike, atoms: ArrayLike, edges_angstrom: ArrayLike) -> Profile:
    """Content of each bin over a trajectory, with the errors of correlated series.

    Parameters
    ----------
    dopants, atoms
        Counts of each frame and bin, ``(n_frames, n_bins)``.
    edges_angstrom
        ``(n_bins + 1,)``, Å.
    """
    found, all_atoms = _counts(dopants, atoms)
    mean = all_atoms.mean(axis=0)
    fraction = np.full(len(mean), np.nan)
    error = np.full(len(mean), np.nan)
    for k in np.flatnonzero(mean > 0):
        # a ratio of means, in first order: bins that are empty in some frames do not bias it
        fraction[k] = found[:, k].sum() / all_atoms[:, k].sum()
        residual = (found[:, k] - fraction[k] * all_atoms[:, k]) / mean[k]
        own = mean_of(residual, label=f"bin {k}", unit="").error
        error[k] = np.nan if own is None else own
    return Profile(np.asarray(edges_angstrom, dtype=np.float64), fraction, error, mean)


def interfacial_excess(
    dopants: ArrayLike,
    atoms: ArrayLike,
    *,
    is_bulk: ArrayLike,
    area_angstrom2: float,
    n_boundaries: int,
) -> Quantity:
    """Gibbs's excess of a dopant at a boundary, atoms per Å².

    ``Γ = (N_X - c_bulk N) / (n A)`` with the numbers of the whole cell and ``c_bulk = N_X/N`` in the
    bulk bins of the same frame (J. W. Gibbs; for atoms on sites, so that nothing but dopants and
    host is exchanged). The mean over the frames has the error of a correlated series, the noise of
    ``c_bulk`` included.

    Parameters
    ----------
    dopants, atoms
        Counts of each frame and bin, ``(n_frames, n_bins)``; the bins fill the cell.
    is_bulk
        Which bins are bulk, ``(n_bins,)``.
    area_angstrom2
        Of one boundary, Å².
    n_boundaries
        How many the cell has.

    Raises
    ------
    DataError
        If no bin is bulk, a frame has no atoms there, or the area is not positive.
    """
    found, all_atoms = _counts(dopants, atoms)
    bulk = np.asarray(is_bulk, dtype=bool)
    in_bulk = all_atoms[:, bulk].sum(axis=1)
    if not bulk.any() or not in_bulk.all():
        raise DataError(
            "expected bulk between the boundaries, found none: take a thicker cell, or a smaller "
            "width of the boundary"
        )
    if not (area_angstrom2 > 0 and n_boundaries > 0):
        raise DataError(
            f"expected a positive area and number of boundaries, found {area_angstrom2} Å² and "
            f"{n_boundaries}"
        )
    # mean content of the bulk first, its noise in first order: a ratio of small counts is biased
    content = found[:, bulk].sum() / in_bulk.sum()
    n_atoms = all_atoms.sum(axis=1)
    noise = (found[:, bulk].sum(axis=1) - content * in_bulk) / in_bulk.mean()
    series = found.sum(axis=1) - (content + noise) * n_atoms
    return mean_of(
        series / (n_boundaries * area_angstrom2), label="interfacial excess", unit="1/Å²"
    )


def boundary_energy(
    energy_ev: float,
    *,
    n_atoms: int,
    bulk_energy_ev_per_atom: float,
    area_angstrom2: float,
    n_boundaries: int,
) -> float:
    """Energy of a boundary or surface of the pure host, J/m².

    ``γ = (E - N e_bulk) / (n A)``.

    Parameters
    ----------
    energy_ev
        Of the cell, eV.
    n_atoms
        Atoms in it.
    bulk_energy_ev_per_atom
        Of the perfect crystal, eV.
    area_angstrom2, n_boundaries
        Of one boundary, Å², and how many the cell has.
    """
    excess = energy_ev - n_atoms * bulk_energy_ev_per_atom
    return float(excess / (n_boundaries * area_angstrom2) * J_PER_M2_PER_EV_A2)


def _counts(
    dopants: ArrayLike, atoms: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    found, all_atoms = np.asarray(dopants, np.float64), np.asarray(atoms, np.float64)
    if found.ndim != 2 or found.shape != all_atoms.shape or not len(found):
        raise DataError(
            f"expected counts (n_frames, n_bins) of dopants and atoms, found {found.shape} and "
            f"{all_atoms.shape}"
        )
    return found, all_atoms
