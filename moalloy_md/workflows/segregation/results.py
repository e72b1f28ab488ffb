"""What a segregation simulation says: tables, isotherms, spectra, cautions, as plain values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moalloy_md.analysis.isotherms import boundary_energy_change, closed_filling, site_filling
from moalloy_md.analysis.segregation import MIN_ENERGIES, fit_skew_normal
from moalloy_md.errors import DataError
from moalloy_md.rundir import write_csv, write_json
from moalloy_md.units import ANGSTROM2_PER_NM2, J_PER_M2_PER_EV_A2
from moalloy_md.workflows.segregation.config import SegregationConfig
from moalloy_md.workflows.segregation.energies import Energies
from moalloy_md.workflows.segregation.host import Host
from moalloy_md.workflows.segregation.mcmd import Hybrid
from moalloy_md.workflows.segregation.sites import ChosenSites, Site

RESULTS = "segregation.json"

#: Temperatures of the curve beside Monte Carlo, K: from the first to near the melting point.
_CURVE_K = (300.0, 2700.0)
#: Energies that should be zero, or equal, and are not by more, are told (eV).
_NOTABLE_EV = 0.02
#: Sites farther than this part of the farthest one are far.
_FAR = 0.75
#: How far a dopant moves its neighbours in a host that stays what it is, Å: less. Zr in a soft model
#: moves some by 0.36.
_LARGE_SHIFT_ANGSTROM = 0.5
#: And a quarter of all atoms, Å: grains that slide over one another move half of them by more.
_WIDE_SHIFT_ANGSTROM = 0.1
#: Atoms that left their sites, from which occupations by site mean little.
_NOTABLE_MOVED = 0.02


@dataclass(frozen=True)
class Weighted:
    """Sites of one dopant with energies, as often as the boundary has them.

    Attributes
    ----------
    energies_ev
        ``(n,)``, eV.
    in_boundary
        Which of them count as the boundary, ``(n,)``.
    """

    energies_ev: NDArray[np.float64]
    in_boundary: NDArray[np.bool_]


def collect(
    config: SegregationConfig,
    host: Host,
    chosen: ChosenSites,
    energies: Energies,
    *,
    about: Mapping[str, Any],
    is_large: bool,
    hybrid: Hybrid | None = None,
    runs: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Put everything together.

    Parameters
    ----------
    config, host, chosen, energies
        The settings, and what came of them.
    about
        What is known of the host: energy, boundary energy, model.
    is_large
        Whether the sites are a random sample.
    hybrid, runs
        The Monte Carlo runs, and their results.

    Returns
    -------
    dict
        The content of ``segregation.json``.
    """
    isotherm: list[dict[str, Any]] = []
    spectra, trends = {}, {}
    for dopant in config.dopants:
        sites = _weighted(config, chosen, energies, dopant, is_large=is_large)
        isotherm += _isotherm(config, host, dopant, sites)
        trends[dopant] = _with_volume(chosen, energies, dopant)
        if is_large and sites.in_boundary.sum() >= MIN_ENERGIES:
            spectra[dopant] = fit_skew_normal(sites.energies_ev[sites.in_boundary]).as_dict()
    far = _far(config, chosen, energies, is_large=is_large)
    compared = [_beside_isotherm(run, config, chosen, energies, hybrid) for run in runs if hybrid]
    return {
        **about,
        "dopants": list(config.dopants),
        "sites": [site.as_dict() for site in chosen.sites],
        "crystal_site": chosen.crystal.as_dict(),
        "n_boundary_atoms": chosen.n_boundary_atoms,
        "energies": [one.as_dict() for one in energies.sites],
        "sizes": list(energies.sizes),
        "by_size": [one.as_dict() for one in energies.by_size],
        "middle_minus_bulk_ev": energies.middle_minus_bulk_ev,
        "alike_ev": energies.alike_ev,
        "far_ev": far,
        "with_volume": trends,
        "spectra": spectra,
        "isotherm": isotherm,
        "mcmd": compared,
        "cautions": [
            *_host_cautions(config, about["host"], is_large=is_large),
            *_cautions(chosen, energies, far, compared),
        ],
    }


def _weighted(
    config: SegregationConfig,
    chosen: ChosenSites,
    energies: Energies,
    dopant: str,
    *,
    is_large: bool,
) -> Weighted:
    own = energies.of(dopant)
    values = [own[site.label].relaxed_ev for site in chosen.sites]
    counts = [site.n_alike for site in chosen.sites]
    inside = [in_boundary(site, config, is_large=is_large) for site in chosen.sites]
    return Weighted(np.repeat(values, counts), np.repeat(inside, counts))


def in_boundary(site: Site, config: SegregationConfig, *, is_large: bool) -> bool:
    """Whether a site counts as the boundary: near it, or (random samples) not bcc."""
    if is_large:
        return not site.is_crystal
    return site.distance_angstrom <= config.sites.width_angstrom


def _isotherm(
    config: SegregationConfig, host: Host, dopant: str, sites: Weighted
) -> Iterator[dict[str, Any]]:
    boundary = sites.energies_ev[sites.in_boundary]
    if not len(boundary):
        return
    area = host.area_angstrom2
    for temperature in config.temperatures_k:
        for content in config.bulk_fractions:
            found = site_filling(content, boundary, temperature)
            row = {
                "dopant": dopant,
                "temperature_k": temperature,
                "bulk_fraction": content,
                "boundary_fraction": found.fraction,
                "best_site_fraction": float(found.site_fractions.max()),
                "excess_per_nm2": None,
                "boundary_energy_change_j_per_m2": None,
            }
            if area is not None:
                # the sites are those of one boundary
                every = site_filling(content, sites.energies_ev, temperature).site_fractions
                row["excess_per_nm2"] = float((every - content).sum() / area * ANGSTROM2_PER_NM2)
                change = boundary_energy_change(
                    content, sites.energies_ev, temperature, area_angstrom2=area
                )
                row["boundary_energy_change_j_per_m2"] = change * J_PER_M2_PER_EV_A2
            yield row


def _with_volume(chosen: ChosenSites, energies: Energies, dopant: str) -> dict[str, Any] | None:
    """Rank correlation of segregation energies with Voronoi volumes, over the sites tried."""
    from scipy.stats import spearmanr

    own = energies.of(dopant)
    pairs = [
        (site.volume_angstrom3, own[site.label].relaxed_ev)
        for site in chosen.sites
        if site.volume_angstrom3 is not None
    ]
    volumes, values = np.array(pairs or [(0.0, 0.0)]).T
    if len(pairs) < 4 or not (np.ptp(volumes) and np.ptp(values)):
        return None
    found = spearmanr(volumes, values)
    slope = np.polyfit(volumes, values, 1)[0]
    return {
        "spearman": float(found.statistic),
        "p_value": float(found.pvalue),
        "slope_ev_per_angstrom3": float(slope),
        "n_sites": len(pairs),
    }


def _far(
    config: SegregationConfig, chosen: ChosenSites, energies: Energies, *, is_large: bool
) -> dict[str, dict[str, float]]:
    """Segregation energies far from the boundary, which must be zero, by dopant."""
    ordered = sorted(chosen.sites, key=lambda s: -s.distance_angstrom)
    least = _FAR * ordered[0].distance_angstrom
    far = (
        ordered[: config.sites.n_crystal]
        if is_large
        else [site for site in ordered if site.distance_angstrom >= least]
    )
    own = {dopant: energies.of(dopant) for dopant in config.dopants}
    return {
        dopant: {
            "least_distance_angstrom": min(s.distance_angstrom for s in far),
            "largest_ev": max((own[dopant][s.label].relaxed_ev for s in far), key=abs),
        }
        for dopant in config.dopants
    }


def _beside_isotherm(
    run: Mapping[str, Any],
    config: SegregationConfig,
    chosen: ChosenSites,
    energies: Energies,
    hybrid: Hybrid,
) -> dict[str, Any]:
    """Put what the isotherm of the closed cell says beside what Monte Carlo found."""
    own = energies.of(run["dopant"])
    values = np.array([own[site.label].relaxed_ev for site in chosen.sites])
    near = hybrid.distances <= config.sites.width_angstrom
    far = hybrid.distances > hybrid.bulk_beyond_angstrom

    def fractions(temperature_k: float) -> NDArray[np.float64]:
        known = hybrid.groups >= 0
        filling = closed_filling(
            run["n_dopants"] / hybrid.n_atoms,
            values[hybrid.groups[known]],
            temperature_k,
            n_bulk_sites=float((~known).sum()),
        )
        result = np.full(hybrid.n_atoms, filling.bulk_fraction)
        result[known] = filling.site_fractions
        return result

    here = fractions(run["temperature_k"])
    found = {
        key: value for key, value in run.items() if key not in {"analysis", "elements", "watch"}
    }
    if "profile" in run:
        found["profile"] = {**run["profile"], "isotherm": hybrid.in_bins(here)}
        excess = (here - here[far].mean()).sum() / hybrid.area_nm2
        found["excess_per_nm2"] = {**run["excess_per_nm2"], "isotherm": float(excess)}
    curve = np.linspace(*_CURVE_K, 48)
    return {
        **found,
        "sites": {
            label: {**one, "isotherm": float(here[hybrid.groups == number].mean())}
            for number, (label, one) in enumerate(run["sites"].items())
        },
        "boundary": {**run["boundary"], "isotherm": float(here[near].mean())},
        "bulk": {**run["bulk"], "isotherm": float(here[far].mean())},
        "curve": {
            "temperatures_k": curve.tolist(),
            "boundary_fraction": [float(fractions(t)[near].mean()) for t in curve],
        },
    }


def _host_cautions(
    config: SegregationConfig, host: Mapping[str, Any], *, is_large: bool
) -> Iterator[str]:
    left = host.get("max_force_ev_per_angstrom") or 0.0
    if is_large and left > 1.01 * config.spheres.host_fmax_ev_per_angstrom:
        yield (
            f"the host was not minimised to its end: {left:.2f} eV/Å are left on an atom. Give more "
            "spheres.host_max_steps, in another folder"
        )
    if is_large and config.host.kind == "polycrystal" and config.spheres.anneal is None:
        yield (
            "the polycrystal was not annealed: boundaries as they are built are rougher than real "
            "ones. Give spheres.anneal, in another folder"
        )


def _cautions(
    chosen: ChosenSites,
    energies: Energies,
    far: Mapping[str, Mapping[str, float]],
    runs: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    """Say what a user must know before believing the numbers."""
    off = {d: e for d, e in energies.middle_minus_bulk_ev.items() if abs(e) > _NOTABLE_EV}
    if off:
        yield (
            f"the middle of the host is not bulk: dopants there differ from a crystal of their own by "
            f"{_named(off)}. Take thicker grains or wider cells"
        )
    if chosen.boundaries_differ:
        yield (
            "the boundaries of the host differ: sites and isotherm are those of the first, and Monte Carlo "
            "sees both. Make both alike (moalloy structures gb does)"
        )
    uneven = {f"site {s}": e for s, e in energies.alike_ev.items() if abs(e) > _NOTABLE_EV / 4}
    if uneven:
        yield (
            f"sites that symmetry says are alike differ by {_named(uneven)}: they are not. Lower "
            "sites.tolerance_angstrom"
        )
    leftover = {d: f["largest_ev"] for d, f in far.items() if abs(f["largest_ev"]) > _NOTABLE_EV}
    if leftover:
        yield (
            f"far from the boundary the segregation energy is not zero yet: {_named(leftover)}. Take "
            "thicker grains, wider cells or larger clusters"
        )
    changed = [
        f"{one.dopant} at site {one.site}"
        for one in energies.sites
        if one.largest_shift_angstrom > _LARGE_SHIFT_ANGSTROM
        or one.wide_shift_angstrom > _WIDE_SHIFT_ANGSTROM
    ]
    if changed:
        yield (
            f"in {len(changed)} of {len(energies.sites)} relaxations an atom moved by more than "
            f"{_LARGE_SHIFT_ANGSTROM:g} Å from the host, or a quarter of all by {_WIDE_SHIFT_ANGSTROM:g} Å "
            f"({', '.join(changed[:3])}...): the dopant changed the "
            "boundary's structure, and what that gains is in E_seg. Search the boundary's structure first "
            "(moalloy structures gb-search)"
        )
    lost = [f"{one.dopant} at site {one.site}" for one in energies.sites if not one.converged]
    if lost:
        yield (
            f"{len(lost)} relaxations did not come to an end ({', '.join(lost[:3])}...): give more "
            "max_steps"
        )
    for run in runs:
        if run["moved_fraction"] > _NOTABLE_MOVED:
            yield (
                f"{run['name']}: {100 * run['moved_fraction']:.0f} % of the atoms left their sites: the "
                "boundary moved or melted, and occupations by site mean little"
            )


def _named(values: Mapping[str, float]) -> str:
    ordered = sorted(values.items(), key=lambda item: -abs(item[1]))
    more = f" and {len(ordered) - 3} more" if len(ordered) > 3 else ""
    return ", ".join(f"{key} {value:+.3f} eV" for key, value in ordered[:3]) + more


def write_results(results: Mapping[str, Any], out: Path) -> None:
    """Write ``segregation.json`` and the tables as CSV."""
    write_json(out / RESULTS, results)
    about = {site["label"]: site for site in results["sites"]}
    write_csv(
        out / "sites.csv",
        [
            {
                **{k: v for k, v in one.items() if k != "site"},
                "site": one["site"],
                **{
                    key: about[one["site"]][key]
                    for key in (
                        "distance_angstrom", "n_alike", "coordination", "volume_angstrom3",
                        "pressure_gpa", "is_crystal",
                    )
                },
            }
            for one in results["by_size"]
        ],
    )  # fmt: skip
    write_csv(out / "isotherm.csv", results["isotherm"])
    write_csv(
        out / "spectra.csv",
        [{"dopant": dopant, **fit} for dopant, fit in results["spectra"].items()],
    )
    write_csv(out / "mcmd.csv", list(_mcmd_rows(results["mcmd"])))


def _mcmd_rows(runs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for run in runs:
        places = {f"site {label}": one for label, one in run["sites"].items()}
        for place, one in {"boundary": run["boundary"], "bulk": run["bulk"], **places}.items():
            yield {
                "dopant": run["dopant"],
                "temperature_k": run["temperature_k"],
                "place": place,
                "n_sites": one["n_sites"],
                "mcmd": one["value"],
                "error": one["error"],
                "isotherm": one["isotherm"],
            }


def read_results(out: Path) -> dict[str, Any]:
    """Read what `write_results` wrote.

    Raises
    ------
    DataError
        If there is nothing.
    """
    from moalloy_md.rundir import read_json

    path = out / RESULTS
    if not path.exists():
        raise DataError(
            f"{path}: expected results of 'moalloy simulate segregation', found none: run it first"
        )
    return dict(read_json(path))
