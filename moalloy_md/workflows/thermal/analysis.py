"""What is computed of one thermal run: at constant temperature, or along a ramp."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moalloy_md.analysis.crystal import bcc_lattice_parameter, crystal_series
from moalloy_md.analysis.ovito_support import OvitoError
from moalloy_md.analysis.radial import radial_distribution
from moalloy_md.analysis.statistics import (
    Estimate,
    SeriesTooShortError,
    equilibration,
    estimate_mean,
)
from moalloy_md.analysis.thermal import (
    MIN_WINDOW_SAMPLES,
    enthalpy_series,
    fluctuation_heat_capacity,
    window_means,
)
from moalloy_md.analysis.thermal_motion import (
    diffusion_coefficient,
    lindemann,
    mean_vibration,
    unwrap,
    vibration,
)
from moalloy_md.errors import DataError
from moalloy_md.lammps.frames import frame_files, read_frame
from moalloy_md.lammps.logs import ThermoTable, read_run
from moalloy_md.workflows.simulate.config import SimulationConfig
from moalloy_md.workflows.simulate.run import SimulationRun
from moalloy_md.workflows.simulate.watch import thermostat_warnings
from moalloy_md.workflows.thermal.config import ThermalConfig

FloatArray = NDArray[np.float64]

#: A crystal that has less bcc than this has melted or turned into something else.
MIN_BCC = 0.5
#: Atoms whose paths are followed at most: their mean is known well enough, and memory is bounded.
_MAX_PATHS = 20_000
#: Parts of a run whose g(r) are compared, for its error.
_RDF_PARTS = 5
#: What a ramp needs to come to its starting temperature.
_SETTLE_PS = 2.0

Quantity = dict[str, Any]


def analyse_run(folder: Path, run: SimulationRun, config: SimulationConfig) -> dict[str, Any]:
    """Compute what a finished run says.

    Parameters
    ----------
    folder
        Of the run.
    run
        As planned.
    config
        A `ThermalConfig`.

    Returns
    -------
    dict
        Ready for JSON. Each quantity has value, error, samples and effective samples, or a value
        of None and a note why.

    Raises
    ------
    DataError
        If the log or a frame cannot be read.
    """
    if not isinstance(config, ThermalConfig):
        raise TypeError(f"expected a ThermalConfig, found {type(config).__name__}")
    thermo = read_run(folder)
    if run.about["kind"] == "ramp":
        return _ramp(folder, run, config, thermo)
    return _npt(folder, run, config, thermo)


def _npt(
    folder: Path, run: SimulationRun, config: ThermalConfig, thermo: ThermoTable
) -> dict[str, Any]:
    n, target = run.n_atoms, float(run.about["temperature_k"])
    volume = thermo.column("Volume")
    enthalpy = enthalpy_series(thermo.column("TotEng"), volume, pressure_bar=config.pressure_bar)
    first = max(equilibration(volume), equilibration(enthalpy))
    temperature = thermo.column("Temp")

    def mean(series: FloatArray, name: str) -> Callable[[], Estimate]:
        return lambda: estimate_mean(series, name=name, discard=first)

    quantities = {
        "temperature_k": _quantity(mean(temperature, "the temperature")),
        "lattice_parameter_angstrom": _quantity(
            lambda: bcc_lattice_parameter(volume, n_atoms=n, discard=first)
        ),
        "enthalpy_ev_per_atom": _quantity(mean(enthalpy / n, "the enthalpy")),
        "potential_energy_ev_per_atom": _quantity(
            mean(thermo.column("PotEng") / n, "the potential energy")
        ),
        "heat_capacity_fluctuations_kb": _quantity(
            lambda: fluctuation_heat_capacity(
                enthalpy, temperature_k=target, n_atoms=n, discard=first
            )
        ),
    }
    frames = frame_files(folder, first_step=int(thermo.steps[first]))
    quantities |= _motion(frames, config, edge=float((2 * volume[first:].mean() / n) ** (1 / 3)))
    structure, rdf, notes = _structure(frames, config)
    warnings = (
        notes
        + thermostat_warnings(
            config.watch,
            mean_k=float(temperature[first:].mean()),
            error_k=quantities["temperature_k"].get("error", np.inf),  # too short to say
            target_k=target,
            time_ps=thermo.column("Time")[first:],
            conserved_ev_per_atom=thermo.column("Econserve")[first:] / n,
        )
    )
    bcc = structure.get("bcc_fraction", {}).get("mean")
    if bcc is not None and bcc < MIN_BCC:
        warnings.append(
            f"only {100 * bcc:.0f} % of the atoms are bcc at {target:g} K: the crystal did not "
            "survive, and this temperature is left out of the fits"
        )
    return {
        "quantities": quantities | structure,
        "rdf": rdf,
        "is_crystal": bcc is None or bcc >= MIN_BCC,
        "warnings": warnings,
    }


def _quantity(compute: Callable[[], Estimate]) -> Quantity:
    """Return value, error and samples, or the reason why there is none."""
    try:
        return asdict(compute())
    except SeriesTooShortError as error:
        return {"value": None, "note": str(error)}


def _motion(frames: Sequence[Path], config: ThermalConfig, *, edge: float) -> dict[str, Quantity]:
    elements, path = _paths(frames)
    neighbour_distance = edge * np.sqrt(3) / 2  # of bcc
    squares = vibration(path)
    u2 = _quantity(lambda: mean_vibration(squares, name="the mean-square displacement"))
    found = {"msd_angstrom2": u2}
    for element in dict.fromkeys(elements.tolist()):
        of_element = squares[:, elements == element]
        found[f"msd_{element}_angstrom2"] = _quantity(
            lambda chosen=of_element, x=element: mean_vibration(  # type: ignore[misc]
                chosen, name=f"the mean-square displacement of {x}"
            )
        )
    found["lindemann"] = u2
    if u2["value"] is not None:
        ratio = lindemann(Estimate(**u2), neighbour_distance_angstrom=float(neighbour_distance))
        found["lindemann"] = asdict(ratio)
    interval = config.dump_interval * config.timestep_ps
    found["diffusion_angstrom2_per_ps"] = _quantity(
        lambda: diffusion_coefficient(path, interval_ps=interval)
    )
    return found


def _paths(frames: Sequence[Path]) -> tuple[NDArray[np.str_], FloatArray]:
    """Return elements ``(n,)`` and unwrapped positions ``(n_frames, n, 3)`` of the atoms followed."""
    first = read_frame(frames[0])
    chosen = slice(None, None, -(-len(first) // _MAX_PATHS))
    images = (read_frame(frame) for frame in frames)
    pairs = [(atoms.positions[chosen], atoms.cell.array) for atoms in images]
    positions, cells = (np.array(part) for part in zip(*pairs, strict=True))
    return np.array(first.get_chemical_symbols())[chosen], unwrap(positions, cells)


def _structure(
    frames: Sequence[Path], config: ThermalConfig
) -> tuple[dict[str, Quantity], dict[str, Any], list[str]]:
    """Return fractions of crystal structures, g(r), and what is to be said about them."""
    try:
        crystal = crystal_series(frames, rmsd_cutoff=config.crystal_rmsd_cutoff)
        parts = np.array_split(np.arange(len(frames)), min(_RDF_PARTS, len(frames)))
        curves = [
            radial_distribution(
                [frames[k] for k in part], cutoff_angstrom=config.rdf_cutoff_angstrom
            )
            for part in parts
        ]
    except OvitoError as missing:
        return {}, {}, [f"{missing} Without it the crystal structure was not looked at"]
    series = {"bcc": crystal.bcc, "fcc": crystal.fcc, "hcp": crystal.hcp}
    series["other"] = 1.0 - crystal.bcc - crystal.fcc - crystal.hcp
    fractions = {}
    for name, values in series.items():
        fraction = _quantity(
            lambda chosen=values, x=name: estimate_mean(  # type: ignore[misc]
                chosen, name=f"the fraction of {x}", discard=0
            )
        )
        fractions[f"{name}_fraction"] = {**fraction, "mean": float(values.mean())}
    g = np.array([curve.values for curve in curves])
    error = g.std(axis=0, ddof=1) / np.sqrt(len(g)) if len(g) > 1 else np.zeros(g.shape[1])
    rdf = {
        "distances_angstrom": curves[0].distances_angstrom.tolist(),
        "values": g.mean(axis=0).tolist(),
        "errors": error.tolist(),
        "n_frames": len(frames),
    }
    return fractions, rdf, []


def _ramp(
    folder: Path, run: SimulationRun, config: ThermalConfig, thermo: ThermoTable
) -> dict[str, Any]:
    start, end = (float(run.about[key]) for key in ("temperature_k", "end_temperature_k"))
    n_windows = config.ramp.n_windows if config.ramp is not None else 20
    edges = np.linspace(start, end, n_windows + 1).tolist()
    edges[-1] += 1e-6  # the last sample belongs to the last window
    settled = thermo.column("Time") >= _SETTLE_PS
    target = start + (end - start) * thermo.steps / run.steps
    volume = thermo.column("Volume")
    enthalpy = enthalpy_series(thermo.column("TotEng"), volume, pressure_bar=config.pressure_bar)
    series = {
        "lattice_parameter_angstrom": (2 * volume / run.n_atoms) ** (1 / 3),
        "enthalpy_ev_per_atom": enthalpy / run.n_atoms,
        "temperature_k": thermo.column("Temp"),
    }
    windows = {
        name: window_means(target[settled], values[settled], edges=edges)
        for name, values in series.items()
    }
    warnings: list[str] = []
    try:
        crystal = crystal_series(frame_files(folder), rmsd_cutoff=config.crystal_rmsd_cutoff)
        places = start + (end - start) * crystal.steps / run.steps
        windows["bcc_fraction"] = window_means(places, crystal.bcc, edges=edges)
    except OvitoError as missing:
        warnings.append(f"{missing} Without it the crystal structure was not looked at")
    return {
        "windows": {
            name: {key: values.tolist() for key, values in asdict(found).items()}
            for name, found in windows.items()
        },
        "loses_bcc_at_k": _loses_bcc(windows.get("bcc_fraction"), (end - start) / n_windows),
        "rate_k_per_ps": (end - start) / (run.steps * config.timestep_ps),
        "warnings": warnings,
    }


def _loses_bcc(bcc: Any, width: float) -> Quantity:
    """Return where a ramp's crystal is bcc no longer, ± half a window."""
    if bcc is None:
        return {"value": None, "note": "the crystal structure was not looked at"}
    if len(bcc.positions) == 0:
        return {
            "value": None,
            "note": f"fewer than {MIN_WINDOW_SAMPLES} frames in each window: lower dump_interval or n_windows",
        }
    below = np.flatnonzero(bcc.values < MIN_BCC)
    if len(below) == 0:
        return {"value": None, "note": f"bcc up to {bcc.positions[-1] + width / 2:.0f} K"}
    place = int(below[0])
    if place == 0:
        raise DataError(
            f"expected a bcc crystal at the start of the ramp, found {100 * bcc.values[0]:.0f} % bcc: "
            "start colder, or check the potential with 'moalloy properties'"
        )
    return {
        "value": float(bcc.positions[place]),
        "error": width / 2,
        "n_samples": int(bcc.n_samples[place]),
        "n_effective": None,
    }
