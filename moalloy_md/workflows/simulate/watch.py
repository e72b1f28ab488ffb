"""Watch a simulation: close atoms, a committee at odds, temperature and energy that drift."""

import json
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.data import covalent_radii
from ase.io import write
from matscipy.neighbours import neighbour_list
from numpy.typing import NDArray

from moalloy_md.analysis.thermal import slope_in_time
from moalloy_md.errors import DataError, MoAlloyError
from moalloy_md.lammps.deviations import ForceDeviations
from moalloy_md.lammps.frames import FOLDER, read_frame
from moalloy_md.rundir import replacing
from moalloy_md.units import MEV_PER_EV
from moalloy_md.workflows.simulate.config import Watch

FloatArray = NDArray[np.float64]

#: Frames worth labelling, for ``moalloy dataset label``.
UNCERTAIN = "uncertain.extxyz"
#: What was seen, a frame a line: a look costs the same however long the run is.
WATCH = "watch.jsonl"

#: Deviations by fewer standard errors may be chance.
_SIGMAS = 3.0

#: Reach of the search for close atoms, in sums of covalent radii: beyond a crystal's neighbours.
_REACH = 0.95


class SimulationStoppedError(MoAlloyError):
    """A simulation was ended because its potential has left what it knows."""


@dataclass(frozen=True)
class Seen:
    """What was seen in a frame."""

    step: int
    fraction: float | None
    """Smallest distance over the sum of covalent radii; None beyond the reach of the search."""
    distance_angstrom: float | None
    pair: str
    """Elements of the closest atoms, such as ``Mo-Ta``."""


def closest_pair(atoms: Atoms, *, step: int = 0) -> Seen:
    """Find the two atoms that are closest for their sizes, periodic images included."""
    radii = covalent_radii[atoms.numbers]
    i, j, distances = neighbour_list("ijd", atoms, float(2 * radii.max() * _REACH))
    if len(distances) == 0:
        return Seen(step, None, None, "")
    fractions = distances / (radii[i] + radii[j])
    worst = int(np.argmin(fractions))
    pair = "-".join(sorted((str(atoms.symbols[i[worst]]), str(atoms.symbols[j[worst]]))))
    return Seen(step, float(fractions[worst]), float(distances[worst]), pair)


class Watcher:
    """Looks at the frames of a run while it writes them.

    Parameters
    ----------
    folder
        Where LAMMPS runs. What was seen is kept there for a run that goes on.
    limits
        When to say something, and when to end the run.
    interval
        Steps between frames.
    info
        Entries of frames that are saved: ``group``, ``host``.
    """

    def __init__(self, folder: Path, limits: Watch, *, interval: int, info: dict[str, Any]) -> None:
        self._folder, self._limits, self._interval, self._info = folder, limits, interval, info
        self._seen = _seen_before(folder / WATCH)
        self._deviations = ForceDeviations(folder)
        self._next: int | None = None  # until the first look, which says where LAMMPS started

    def look(self, *, before: int) -> None:
        """Look at the frames that were written since the last look.

        The first look judges what an earlier, killed or ended run saw before its restart, too: a
        frame that was refused is refused again. What it saw later is written again.

        Parameters
        ----------
        before
            Step that LAMMPS has reached: frames before it are whole. At the first look the step that
            it started at.

        Raises
        ------
        SimulationStoppedError
            If atoms are too close, or a committee too much at odds: the run is to end.
        """
        judged = []
        if self._next is None:
            self._seen = {step: seen for step, seen in self._seen.items() if step < before}
            self._next = max(self._seen, default=-self._interval) + self._interval
            judged = list(self._seen.values())
        new = []
        while self._next < before:
            path = self._path(self._next)
            if path.exists():
                new.append(closest_pair(read_frame(path), step=self._next))
            self._next += self._interval
        if new:
            self._seen |= {seen.step: seen for seen in new}
            with (self._folder / WATCH).open("a") as file:
                file.writelines(json.dumps(asdict(seen)) + "\n" for seen in new)
        self._refuse([*judged, *new])

    def _refuse(self, judged: Sequence[Seen]) -> None:
        for seen in judged:
            self._refuse_close_atoms(seen)
        self._refuse_discord({seen.step for seen in judged})

    def _refuse_close_atoms(self, seen: Seen) -> None:
        if seen.fraction is None or seen.fraction >= self._limits.close_fraction:
            return
        raise SimulationStoppedError(
            f"{self._path(seen.step)}: expected atoms farther apart than "
            f"{self._limits.close_fraction:g} of the sum of their covalent radii, found a pair "
            f"{seen.pair} at {seen.distance_angstrom:.2f} Å ({seen.fraction:.2f}). The potential has "
            f"left what it was trained on: label the frames in {UNCERTAIN} and train it on, lower the "
            "temperature, or shorten timestep_ps, in another folder"
        )

    def _refuse_discord(self, steps: AbstractSet[int]) -> None:
        limit = self._limits.stop_above_ev_per_angstrom
        if limit is None or not steps:
            return
        deviations = self._deviations.read()
        for step in sorted(steps & deviations.keys()):
            if deviations[step] > limit:
                raise SimulationStoppedError(
                    f"{self._path(step)}: expected a committee that agrees on forces within "
                    f"{limit:g} eV/Å, found {deviations[step]:.2f} eV/Å: the potential has left what "
                    f"it was trained on. Label the frames in {UNCERTAIN} and train it on"
                )

    def after_a_failure(self) -> None:
        """Save the last whole frames: they lead to where the potential failed.

        It raises nothing: what failed before is to be told, and may be why frames are cut short.
        """
        with suppress(MoAlloyError, OSError):
            deviations = self._deviations.read()
            existing = [step for step in self._seen if self._path(step).exists()]
            steps = sorted({*self._uncertain(deviations), *sorted(existing)[-2:]})
            self._save([step for step in steps if _is_whole(self._path(step))], deviations)

    def finish(self) -> dict[str, Any]:
        """Save the frames worth labelling; return what was seen, ready for JSON.

        Raises
        ------
        SimulationStoppedError
            As `look`, of any frame.
        """
        self._seen = {k: v for k, v in self._seen.items() if self._path(k).exists()}
        self._refuse(list(self._seen.values()))
        measured = [seen for seen in self._seen.values() if seen.fraction is not None]
        closest = min(measured, key=lambda seen: seen.fraction or math.inf, default=None)
        deviations = self._deviations.read()
        saved = self._uncertain(deviations)
        self._save(saved, deviations)
        above = self._limits.label_above_ev_per_angstrom
        return {
            "n_frames": len(self._seen),
            "closest": None if closest is None else asdict(closest),
            "largest_force_deviation_ev_per_angstrom": max(deviations.values(), default=None),
            "n_uncertain": sum(value > above for value in deviations.values()),
            "n_saved": len(saved),
        }

    def _uncertain(self, deviations: Mapping[int, float]) -> list[int]:
        """Return steps of the frames about which a committee differs most."""
        above = self._limits.label_above_ev_per_angstrom
        found = [
            step
            for step, value in deviations.items()
            if value > above and self._path(step).exists()
        ]
        found.sort(key=lambda step: -deviations[step])
        return sorted(found[: self._limits.max_saved_frames])

    def _save(self, steps: Sequence[int], deviations: Mapping[int, float]) -> None:
        path = self._folder / UNCERTAIN
        if not steps:
            path.unlink(missing_ok=True)
            return
        frames = []
        for step in steps:
            atoms = read_frame(self._path(step))
            atoms.info = {
                **self._info,
                "name": f"{self._info['group']}-step{step}",
                "state": "noneq",
                "source": str(self._path(step)),
            }
            if step in deviations:
                atoms.info["max_devi_f"] = deviations[step]
            frames.append(atoms)
        with replacing(path) as temporary:
            write(temporary, frames, format="extxyz")

    def _path(self, step: int) -> Path:
        return self._folder / FOLDER / f"{step:09d}.dump"


def _is_whole(frame: Path) -> bool:
    try:
        read_frame(frame)
    except DataError:
        return False
    return True


def _seen_before(path: Path) -> dict[int, Seen]:
    """Read what a killed run saw; a line that the kill cut is taken out of the file."""
    if not path.exists():
        return {}
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        with replacing(path) as temporary:
            temporary.write_text(whole)
    entries = [Seen(**json.loads(line)) for line in whole.splitlines()]
    return {seen.step: seen for seen in entries}


def temperature_warnings(
    limits: Watch, *, mean_k: float, error_k: float, target_k: float
) -> list[str]:
    """Say it where the mean temperature of a run is not its thermostat's; as `thermostat_warnings`."""
    allowed = max(limits.temperature_fraction * target_k, _SIGMAS * error_k)
    sentence = (
        f"expected a mean temperature within {100 * limits.temperature_fraction:g} % of "
        f"{target_k:g} K, found {mean_k:.0f} ± {error_k:.0f} K: the run is not in equilibrium, run "
        "longer"
    )
    return [sentence] if abs(mean_k - target_k) > allowed else []


def thermostat_warnings(
    limits: Watch,
    *,
    mean_k: float,
    error_k: float,
    target_k: float,
    time_ps: FloatArray,
    conserved_ev_per_atom: FloatArray,
) -> list[str]:
    """Say what is wrong with temperature and energy of a run at constant temperature.

    Parameters
    ----------
    limits
        When to say something.
    mean_k, error_k
        Mean temperature and its standard error, K.
    target_k
        The thermostat's, K.
    time_ps, conserved_ev_per_atom
        ``(n,)`` each, in equilibrium: ps, and what thermostat and barostat conserve, eV/atom.

    Returns
    -------
    list of str
        Sentences; empty where all is well.
    """
    found = temperature_warnings(limits, mean_k=mean_k, error_k=error_k, target_k=target_k)
    if len(time_ps) < 3:
        return found
    duration = float(time_ps[-1] - time_ps[0])
    slope = slope_in_time(time_ps, conserved_ev_per_atom)
    drift, error = (duration * MEV_PER_EV * x for x in slope)
    limit = limits.energy_drift_fraction * MEV_PER_EV * units.kB * target_k
    if abs(drift) > max(limit, _SIGMAS * error):
        found.append(
            f"expected a conserved energy that drifts by at most {limit:.1f} meV/atom, found "
            f"{drift:.1f} ± {error:.1f} in {duration:.0f} ps: shorten timestep_ps, or export the "
            "model in float64; in.nve shows which"
        )
    return found
