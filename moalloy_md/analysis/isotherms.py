"""How much of a dopant sits at a boundary, given its segregation energies: isotherms.

A site of energy ``E`` (negative segregates) and the bulk exchange a dopant and a host atom. Where
the dopants do not feel each other, each site is filled by itself (D. McLean, Grain Boundaries in
Metals, 1957),

    X/(1 - X) = X_c/(1 - X_c) · exp(-E/kT),

and a boundary of many sites is their mean (C. L. White, W. A. Coghlan, Metall. Trans. A 8 (1977)
1403). No vibrations: ``E`` is an energy at rest, so the entropy of segregation is left out.
"""

from dataclasses import dataclass

import numpy as np
from ase.units import kB
from numpy.typing import ArrayLike, NDArray

from moalloy_md.errors import DataError

#: Bulk contents, as ln(X_c/(1 - X_c)), between which a closed system is solved for: so wide that
#: segregation energies of several eV at 100 K are inside.
_WIDEST_LOG_ODDS = 2000.0


@dataclass(frozen=True)
class Filling:
    """How a dopant is spread over bulk and sites.

    Attributes
    ----------
    bulk_fraction
        Of the bulk's sites that dopants hold, X_c.
    fraction
        Of the segregation sites, their mean.
    site_fractions
        Of each segregation site, ``(n_sites,)``.
    """

    bulk_fraction: float
    fraction: float
    site_fractions: NDArray[np.float64]


def site_filling(bulk_fraction: float, energies_ev: ArrayLike, temperature_k: float) -> Filling:
    """Fill sites from a bulk of constant content (McLean; the mean is White and Coghlan's).

    ``X_i = [1 + (1 - X_c)/X_c · exp(E_i/kT)]⁻¹`` and ``X_gb = mean of X_i``.

    Parameters
    ----------
    bulk_fraction
        X_c, from 0 to 1.
    energies_ev
        Segregation energy of each site, ``(n_sites,)``, eV. Sites that are alike are there as often
        as the boundary has them.
    temperature_k
        K.

    Raises
    ------
    DataError
        If there are no sites, an energy is not finite, or a number is out of range.
    """
    energies = _checked(energies_ev, temperature_k)
    _need_fraction(bulk_fraction, "the bulk's content")
    return _filled(_log_odds(bulk_fraction), energies, temperature_k)


def closed_filling(
    total_fraction: float, energies_ev: ArrayLike, temperature_k: float, *, n_bulk_sites: float
) -> Filling:
    """Fill sites from a bulk that they deplete: a closed system.

    ``n_b X_c + Σ_i X_i(X_c) = X_total (n_b + n_sites)``, solved for ``X_c``. The left side grows
    with ``X_c``, so there is one solution.

    Parameters
    ----------
    total_fraction
        Dopants over all sites, from 0 to 1.
    energies_ev, temperature_k
        As of `site_filling`.
    n_bulk_sites
        Bulk sites beside the given ones, 0 or more; their energy is zero.

    Raises
    ------
    DataError
        As `site_filling`.
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    energies = _checked(energies_ev, temperature_k)
    _need_fraction(total_fraction, "the whole content")
    if not n_bulk_sites >= 0:
        raise DataError(f"expected 0 or more bulk sites, found {n_bulk_sites}")
    if total_fraction in {0.0, 1.0}:
        return _filled(_log_odds(total_fraction), energies, temperature_k)
    wanted = total_fraction * (n_bulk_sites + len(energies))
    reduced = energies / (kB * temperature_k)

    def excess(log_odds: float) -> float:
        # as a share of what is wanted: tiny contents are met as exactly as others
        held = n_bulk_sites * expit(log_odds) + float(expit(log_odds - reduced).sum())
        return float(held / wanted - 1.0)

    span = _WIDEST_LOG_ODDS + float(np.abs(reduced).max())
    log_odds = float(brentq(excess, -span, span, xtol=1e-12))
    return _filled(log_odds, energies, temperature_k)


def boundary_energy_change(
    bulk_fraction: float, energies_ev: ArrayLike, temperature_k: float, *, area_angstrom2: float
) -> float:
    """How much segregation lowers the energy of a boundary, eV/Å².

    The grand potential of independent sites over that of as many bulk sites,

        Δγ = -kT/A · Σ_i ln[1 - X_c + X_c exp(-E_i/kT)],

    whose slope is Gibbs's adsorption equation ``dγ = -Γ dμ`` with ``Γ = Σ_i (X_i - X_c)/A`` and
    ``dμ = kT d ln[X_c/(1 - X_c)]``. For one energy it is the result of McLean's model as in
    P. Wynblatt, D. Chatain, Metall. Mater. Trans. A 37 (2006) 2595.

    Parameters
    ----------
    bulk_fraction, energies_ev, temperature_k
        As of `site_filling`.
    area_angstrom2
        Area of the boundary that has these sites, Å².

    Raises
    ------
    DataError
        As `site_filling`, and if the area is not positive.
    """
    energies = _checked(energies_ev, temperature_k)
    _need_fraction(bulk_fraction, "the bulk's content")
    if not area_angstrom2 > 0:
        raise DataError(f"expected a positive area, found {area_angstrom2} Å²")
    if bulk_fraction == 0.0:
        return 0.0
    thermal = kB * temperature_k
    # ln(a + b) of two logarithms: exp(-E/kT) alone would overflow at low temperatures
    host = np.log1p(-bulk_fraction) if bulk_fraction < 1 else -np.inf
    logs = np.logaddexp(host, np.log(bulk_fraction) - energies / thermal)
    return float(-thermal * logs.sum() / area_angstrom2)


def _filled(log_odds: float, energies: NDArray[np.float64], temperature_k: float) -> Filling:
    from scipy.special import expit

    sites: NDArray[np.float64] = expit(log_odds - energies / (kB * temperature_k))
    return Filling(float(expit(log_odds)), float(sites.mean()), sites)


def _log_odds(fraction: float) -> float:
    from scipy.special import logit

    return float(logit(fraction))


def _checked(energies_ev: ArrayLike, temperature_k: float) -> NDArray[np.float64]:
    energies = np.asarray(energies_ev, dtype=np.float64).ravel()
    if not len(energies):
        raise DataError("expected the segregation energy of a site at least, found none")
    if not np.isfinite(energies).all():
        raise DataError("expected finite segregation energies, found one that is not")
    if not temperature_k > 0:
        raise DataError(f"expected a temperature above 0 K, found {temperature_k:g}")
    return energies


def _need_fraction(fraction: float, what: str) -> None:
    if not 0.0 <= fraction <= 1.0:
        raise DataError(f"{what}: expected a fraction from 0 to 1, found {fraction:g}")
