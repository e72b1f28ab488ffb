"""Who takes part, the order in which they take turns, and what becomes of their times."""

import random
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from side_by_side.machine import load_average
from side_by_side.models import ModelFiles, write_frames
from side_by_side.peers import Mode, benchmark_cache, symmetrix_python
from side_by_side.workers import Worker, openmp_environment

_WARM_UPS = 3  # TorchScript compiles in its first two evaluations
_TIMED_PER_TURN = 3
_LONG_S, _VERY_LONG_S, _FEW_REPEATS = 1.0, 5.0, 3

#: Forces that are farther apart than this times (1 + |F|max), eV/Å, are not the same model's:
#: ten times the engine's own tolerance in single precision, for splines of others.
_FORCE_TOLERANCE = 2e-3

_PACKAGES = {
    "native": (),
    "symmetrix": ("symmetrix-xl", "numpy", "ase", "matscipy"),
    "torch": ("torch", "mace-torch"),
}
_TITLES = {"native": "moalloy_md", "symmetrix": "symmetrix-xl", "torch": "mace-torch"}


@dataclass(frozen=True)
class Choice:
    """What the command line asks for.

    Attributes
    ----------
    precisions
        Of the arithmetic: ``float32``, ``float64``.
    threads
        OpenMP threads of each contender.
    repeats
        Rounds; in each, everybody takes a turn.
    bind
        Whether threads are bound to cores.
    modes
        Of symmetrix-xl, by name; empty leaves it out.
    torch_atoms
        Largest cell for mace-torch; 0 leaves it out.
    """

    precisions: tuple[str, ...]
    threads: int
    repeats: int
    bind: bool
    modes: dict[str, Mode]
    torch_atoms: int

    def as_json(self) -> dict[str, Any]:
        """Return it for the record."""
        return asdict(self)


@dataclass
class Contender:
    """One way to evaluate the model, and its times so far.

    Attributes
    ----------
    wall_s, processor_s
        Of each timed evaluation. The latter is of all threads together; the system counts it in
        ticks of milliseconds, so only its mean says something.
    """

    implementation: str
    route: str
    precision: str
    atoms: int
    frames: Path
    worker: Worker
    facts: dict[str, Any]
    duration_s: float = 0.0
    turns: int = 0
    evaluations: int = 0
    wall_s: list[float] = field(default_factory=list)
    processor_s: list[float] = field(default_factory=list)

    @property
    def name(self) -> str:
        """For people."""
        return f"{_TITLES[self.implementation]} {self.route} {self.precision}"

    def warm_up(self) -> None:
        """Evaluate until everything is compiled and allocated."""
        self.duration_s = self._evaluate(_WARM_UPS)["wall_s"][-1]

    def take_turn(self, repeats: int) -> None:
        """Evaluate a few times; the first one, which finds the caches cold, does not count.

        What lasts long is evaluated once a turn, and has fewer turns.
        """
        if self.duration_s > _VERY_LONG_S and self.turns >= min(_FEW_REPEATS, repeats):
            return
        self.turns += 1
        cold, timed = (0, 1) if self.duration_s > _LONG_S else (1, _TIMED_PER_TURN)
        times = self._evaluate(cold + timed)
        self.wall_s += times["wall_s"][cold:]
        self.processor_s += times["processor_s"][cold:]

    def results(self, frames: Path | None = None) -> dict[str, Any]:
        """Return energy, forces and stress of the first frame, of another file if one is given."""
        with tempfile.TemporaryDirectory() as folder:
            out = f"{folder}/results.npz"
            other = {} if frames is None else {"frames": str(frames)}
            self.worker.ask("results", route=self.route, first=0, out=out, **other)
            with np.load(out) as stored:
                return dict(stored)

    def _evaluate(self, times: int) -> dict[str, Any]:
        answer = self.worker.ask("evaluate", route=self.route, first=self.evaluations, times=times)
        self.evaluations += times
        return answer


def measure(
    files: ModelFiles,
    n_atoms: int,
    choice: Choice,
    *,
    folder: Path,
    tell: Callable[[str], None],
) -> tuple[dict[str, Any], dict[str, str]]:
    """Measure all contenders on one model and cell.

    Parameters
    ----------
    files
        The model.
    n_atoms
        Atoms in the cell.
    choice
        Who, and how often.
    folder
        For frames and logs.
    tell
        Called with what is done now.

    Returns
    -------
    dict, dict
        The measurement, ready for JSON, and versions of the packages that took part.
    """
    with ExitStack() as stack:
        contenders, versions = _start(stack, files, n_atoms, choice, folder=folder, tell=tell)
        before = load_average()
        for contender in contenders:
            tell(f"{files.name}, {n_atoms} atoms: warm up {contender.name}")
            contender.warm_up()
        order = random.Random(0)  # noqa: S311  no secret: so that nobody always follows the same
        for k in range(choice.repeats):
            for contender in order.sample(contenders, len(contenders)):
                tell(
                    f"{files.name}, {n_atoms} atoms: round {k + 1} of {choice.repeats}, "
                    f"{contender.name}"
                )
                contender.take_turn(choice.repeats)
        after = load_average()
        tell(f"{files.name}, {n_atoms} atoms: compare forces")
        rows = _rows(contenders)
    measurement = {
        "model": files.name,
        "r_max": files.r_max,
        "atoms": n_atoms,
        "edges_per_atom": contenders[0].facts["edges_per_atom"],
        "load_average": {"before": before, "after": after},
        "contenders": rows,
        "ratios": _ratios(rows, choice.modes),
    }
    return measurement, versions


@dataclass(frozen=True)
class _Process:
    """What one process evaluates, in one precision."""

    implementation: str
    model: Path
    atoms: int
    modes: dict[str, Mode] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


def _processes(files: ModelFiles, n_atoms: int, choice: Choice) -> list[_Process]:
    found = [_Process("native", files.native, n_atoms)]
    if files.symmetrix is not None:
        environments = {tuple(mode.environment.items()) for mode in choice.modes.values()}
        for key in sorted(environments):
            modes = {n: m for n, m in choice.modes.items() if m.environment == dict(key)}
            found.append(_Process("symmetrix", files.symmetrix, n_atoms, modes, dict(key)))
    if choice.torch_atoms:
        found.append(_Process("torch", files.torch, min(n_atoms, choice.torch_atoms)))
    return found


def _start(
    stack: ExitStack,
    files: ModelFiles,
    n_atoms: int,
    choice: Choice,
    *,
    folder: Path,
    tell: Callable[[str], None],
) -> tuple[list[Contender], dict[str, str]]:
    """Start the processes, and load the model in each."""
    environment = openmp_environment(threads=choice.threads, bind=choice.bind)
    environment["SYMMETRIX_JIT_CACHE"] = str(benchmark_cache() / "symmetrix-jit")
    contenders: list[Contender] = []
    versions: dict[str, str] = {}
    for process, precision in product(_processes(files, n_atoms, choice), choice.precisions):
        title = f"{_TITLES[process.implementation]} {precision}"
        tell(f"{files.name}, {n_atoms} atoms: start {title}")
        frames = folder / f"frames-{process.atoms}.npz"
        if not frames.is_file():
            write_frames(process.atoms, frames)
        worker = Worker(
            title,
            python=_python_of(process.implementation),
            environment=environment | process.environment,
            log=folder / f"{title}-{len(contenders)}.log",
        )
        stack.enter_context(worker)
        answer = worker.ask(
            "load",
            implementation=process.implementation,
            model=str(process.model),
            precision=precision,
            threads=choice.threads,
            modes={name: mode.options for name, mode in process.modes.items()},
            frames=str(frames),
            packages=_PACKAGES[process.implementation],
        )
        versions |= answer["versions"]
        contenders += [
            Contender(process.implementation, route, precision, process.atoms, frames, worker, fact)
            for route, fact in answer["facts"].items()
        ]
    return contenders, versions


def _python_of(implementation: str) -> Path:
    return symmetrix_python() if implementation == "symmetrix" else Path(sys.executable)


def _rows(contenders: list[Contender]) -> list[dict[str, Any]]:
    """Return times and differences from our engine in the highest precision measured."""
    ours = [c for c in contenders if c.implementation == "native" and c.route == "engine"]
    judge = max(ours, key=lambda contender: contender.precision)
    found = {id(contender): contender.results() for contender in contenders}
    references = {
        frames: judge.results(frames) for frames in {contender.frames for contender in contenders}
    }
    return [
        _row(contender, found[id(contender)], references[contender.frames])
        for contender in contenders
    ]


def _row(contender: Contender, found: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    def microseconds(seconds: float) -> float:
        return round(1e6 * seconds / contender.atoms, 3)

    forces = float(np.abs(found["forces"] - reference["forces"]).max())
    largest = float(np.abs(reference["forces"]).max())
    energy = abs(float(found["energy"] - reference["energy"])) / contender.atoms
    return {
        "implementation": _TITLES[contender.implementation],
        "route": contender.route,
        "precision": contender.precision,
        "atoms": contender.atoms,
        "evaluations": len(contender.wall_s),
        "median_us_per_atom": microseconds(median(contender.wall_s)),
        "min_us_per_atom": microseconds(min(contender.wall_s)),
        "max_us_per_atom": microseconds(max(contender.wall_s)),
        "processor_us_per_atom": microseconds(fmean(contender.processor_s)),
        "peak_mib": round(contender.worker.ask("memory")["peak_kib"] / 1024, 1),
        "max_force_difference": forces,
        "max_force": largest,
        "energy_difference_mev_per_atom": 1e3 * energy,
        "max_stress_difference": float(np.abs(found["stress"] - reference["stress"]).max()),
        "agrees": forces <= _FORCE_TOLERANCE * (1 + largest),
        "facts": contender.facts,
    }


def _ratios(rows: list[dict[str, Any]], modes: dict[str, Mode]) -> dict[str, dict[str, float]]:
    """Return ratios of medians by precision; symmetrix-xl is its fastest mode there."""
    times: dict[str, dict[str, float]] = {}
    for row in rows:
        key = row["route"]
        if row["implementation"] == "symmetrix-xl":
            key = "symmetrix" if modes[key].supported else "unsafe"
        elif row["implementation"] == "mace-torch":
            key = "torch"
        of_precision = times.setdefault(row["precision"], {})
        of_precision[key] = min(row["median_us_per_atom"], of_precision.get(key, float("inf")))
    pairs = {
        "engine_over_symmetrix": ("engine", "symmetrix"),
        "ase_over_symmetrix": ("ASE", "symmetrix"),
        "engine_over_unsafe": ("engine", "unsafe"),
        "torch_over_engine": ("torch", "engine"),
    }
    ratios = {
        precision: {
            name: round(t[above] / t[below], 4)
            for name, (above, below) in pairs.items()
            if above in t and below in t
        }
        for precision, t in times.items()
    }
    if {"float32", "float64"} <= set(times):
        engine = {precision: t["engine"] for precision, t in times.items()}
        ratios["float64"]["over_float32"] = round(engine["float64"] / engine["float32"], 4)
    return ratios
