"""What is computed of one run of ``moalloy simulate sro``."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moalloy_md.analysis.ordering import Ordering, ordering, random_alpha
from moalloy_md.analysis.pictures import draw
from moalloy_md.analysis.quantities import mean_of
from moalloy_md.analysis.topics.clusters import COUNTED_SIZES
from moalloy_md.analysis.trajectory import Frame
from moalloy_md.lammps.frames import frame_files
from moalloy_md.lammps.logs import ThermoTable, read_run
from moalloy_md.rundir import replacing, write_csv
from moalloy_md.structures.lattice import SITES_PER_CUBE
from moalloy_md.workflows.simulate.config import SimulationConfig
from moalloy_md.workflows.simulate.run import SimulationRun
from moalloy_md.workflows.simulate.watch import temperature_warnings
from moalloy_md.workflows.sro.config import SroConfig

FloatArray = NDArray[np.float64]

SERIES, PICTURE = "series.csv", "last_frame.png"
#: Atoms that left their sites, of all, from which on it is said.
_MAX_OFF_SITE = 0.005
#: Points of a series that results keep for the plots.
_MAX_POINTS = 400


def analyse_run(folder: Path, run: SimulationRun, config: SimulationConfig) -> dict[str, Any]:
    """Compute what a finished run says.

    Parameters
    ----------
    folder
        Of the run.
    run
        As planned.
    config
        An `SroConfig`.

    Returns
    -------
    dict
        Ready for JSON. Quantities are those of `moalloy_md.analysis.quantities.Quantity`.

    Raises
    ------
    DataError
        If the log or a frame cannot be read.
    OvitoError
        If OVITO, or a system library that it needs, is missing.
    """
    if not isinstance(config, SroConfig):
        raise TypeError(f"expected an SroConfig, found {type(config).__name__}")
    thermo = read_run(folder)
    found = ordering(
        frame_files(folder),
        lattice=config.lattice,
        n_shells=config.shells,
        rdf_cutoff_angstrom=config.rdf_cutoff_angstrom,
        finish=_drawer(folder) if config.picture else None,
    )
    swaps = _swaps(thermo, run.elements)
    accepted = _accepted_per_dopant(thermo, found.steps, run)
    write_csv(folder / SERIES, _series_rows(found, accepted, thermo, run.n_atoms))
    return {
        "quantities": _quantities(thermo, found, run, config),
        "random_alpha": random_alpha(run.about["counts"]),
        "swaps": swaps,
        "swaps_per_atom": _swaps_per_atom(swaps, run),
        "series": _short_series(found, accepted),
        "pair_correlations": {
            pair: {
                "distances_angstrom": g.distances_angstrom.round(4).tolist(),
                "values": g.values.round(5).tolist(),
                "errors": g.errors.round(5).tolist(),
            }
            for pair, g in found.pair_correlations.items()
        },
        "off_site": found.off_site,
        "warnings": _warnings(thermo, found, run, config),
    }


def _drawer(folder: Path) -> Any:
    def finish(frame: Frame) -> None:
        with replacing(folder / PICTURE) as temporary:
            temporary.write_bytes(draw(frame.data))

    return finish


def _quantities(
    thermo: ThermoTable, found: Ordering, run: SimulationRun, config: SroConfig
) -> dict[str, Any]:
    series: dict[str, tuple[FloatArray, str, str]] = {
        f"alpha_{pair}_{k + 1}": (alpha[:, k], f"α {pair}, shell {k + 1}", "")
        for pair, alpha in found.alpha.items()
        for k in range(config.shells)
    }
    series |= {name: (values, found.labels[name], "") for name, values in found.clusters.items()}
    series["in_larger"] = (
        _in_larger(found),
        f"part of the solutes in clusters of more than {COUNTED_SIZES}",
        "",
    )
    energy = thermo.column("PotEng") / run.n_atoms
    series["potential_energy_ev_per_atom"] = (energy, "potential energy", "eV/atom")
    if not config.rigid:
        series["temperature_k"] = (thermo.column("Temp"), "temperature", "K")
        edge = (thermo.column("Volume") / run.n_atoms * SITES_PER_CUBE[config.lattice]) ** (1 / 3)
        series["lattice_parameter_angstrom"] = (edge, "lattice parameter", "Å")
    return {
        name: mean_of(values, label=label, unit=unit).as_dict()
        for name, (values, label, unit) in series.items()
    }


def _in_larger(found: Ordering) -> FloatArray:
    """Part of the dopants in clusters that are too large to be counted one by one, ``(n_frames,)``."""
    counted = sum(
        (k * found.clusters[f"size_{k}"] for k in range(1, COUNTED_SIZES + 1)),
        start=np.zeros(len(found.steps)),
    )
    return np.asarray(1.0 - counted / found.clusters["n_solutes"])


def _swaps(thermo: ThermoTable, elements: tuple[str, ...]) -> dict[str, Any]:
    """Return attempts, successes and their ratio for each pair of elements that swapped."""
    found = {}
    for i, j in combinations(range(len(elements)), 2):
        counts = [_count(thermo, i, j, which) for which in (1, 2)]
        attempted, accepted = (np.diff(series) for series in counts)
        called = attempted > 0
        name = f"{elements[i]}-{elements[j]}"
        found[name] = {
            "attempted": int(counts[0][-1]),
            "accepted": int(counts[1][-1]),
            "rate": mean_of(
                accepted[called] / attempted[called], label=f"accepted, {name}", unit=""
            ).as_dict(),
        }
    return found


def _count(thermo: ThermoTable, i: int, j: int, which: int) -> FloatArray:
    """Return attempts (1) or successes (2) of a pair of types since step 0, line by line of the log."""
    return thermo.column(f"f_swap_{i + 1}_{j + 1}[{which}]")


def _swaps_per_atom(swaps: Mapping[str, Any], run: SimulationRun) -> dict[str, float]:
    """Return how often an atom of each dopant changed its place, on average."""
    counts: dict[str, int] = run.about["counts"]
    return {
        symbol: sum(found["accepted"] for pair, found in swaps.items() if symbol in pair.split("-"))
        / counts[symbol]
        for symbol in run.elements[1:]
    }


def _accepted_per_dopant(
    thermo: ThermoTable, steps: NDArray[np.int64], run: SimulationRun
) -> FloatArray:
    """Successful swaps so far per dopant atom, at the frames, ``(n_frames,)``."""
    total = sum(
        (_count(thermo, i, j, 2) for i, j in combinations(range(len(run.elements)), 2)),
        start=np.zeros(len(thermo.steps)),
    )
    n_dopants = run.n_atoms - run.about["counts"][run.about["host"]]
    return np.asarray(np.interp(steps, thermo.steps, total) / n_dopants)


def _series_rows(
    found: Ordering, accepted: FloatArray, thermo: ThermoTable, n_atoms: int
) -> list[dict[str, Any]]:
    energy = np.interp(found.steps, thermo.steps, thermo.column("PotEng") / n_atoms)
    columns = {
        "step": found.steps,
        "swaps_per_dopant": accepted.round(4),
        "potential_energy_ev_per_atom": energy.round(7),
    }
    for pair, alpha in found.alpha.items():
        columns |= {f"alpha_{pair}_{k + 1}": alpha[:, k].round(6) for k in range(alpha.shape[1])}
    columns |= found.clusters
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _short_series(found: Ordering, accepted: FloatArray) -> dict[str, Any]:
    """Return first-shell α against swaps, in means over neighbours where there are many frames."""
    width = -(-len(accepted) // _MAX_POINTS)
    starts = np.arange(0, len(accepted), width)

    def means(series: FloatArray) -> list[float]:
        sums = np.add.reduceat(series, starts)
        sizes = np.diff(np.append(starts, len(series)))
        return [float(x) for x in (sums / sizes).round(5)]

    return {
        "swaps_per_dopant": means(accepted),
        "alpha": {pair: means(alpha[:, 0]) for pair, alpha in found.alpha.items()},
    }


def _warnings(
    thermo: ThermoTable, found: Ordering, run: SimulationRun, config: SroConfig
) -> list[str]:
    sentences = []
    if found.off_site > _MAX_OFF_SITE:
        sentences.append(
            f"{100 * found.off_site:.1f} % of the atoms were farther from their lattice sites than half "
            "of the distance to a neighbour: the crystal melts, changes or lets atoms hop, and "
            "shells of sites mean little"
        )
    if not config.rigid:
        kept = thermo.column("Temp")[len(thermo.steps) // 4 :]
        mean = mean_of(kept, label="temperature", unit="K")
        sentences += temperature_warnings(
            config.watch,
            mean_k=mean.value,
            error_k=np.inf if mean.error is None else mean.error,
            target_k=float(run.about["temperature_k"]),
        )
    return sentences
