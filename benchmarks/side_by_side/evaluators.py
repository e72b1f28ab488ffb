"""One contender in a process of its own, which evaluates when it is asked.

Started by `workers.py` with the Python of the contender's environment, so nothing but NumPy and
ASE may be imported at the top. Requests and answers are lines of JSON on the standard streams; all
that libraries print goes to the standard error instead.
"""

import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

PROPERTIES = ["energy", "forces", "stress"]

#: Edges of the bare engine are listed this far beyond the cutoff (Å): none appears while the
#: atoms move from frame to frame, and almost none is there for nothing.
EXACT_SKIN_ANGSTROM = 0.01


class Frames:
    """The same crystal a few times, displaced a little: an MD trajectory without new neighbours.

    Parameters
    ----------
    path
        ``.npz`` with ``numbers`` ``(n_atoms,)``, ``cell`` ``(3, 3)`` with rows as vectors, Å, and
        ``positions`` ``(n_frames, n_atoms, 3)``, Å.
    """

    def __init__(self, path: str) -> None:
        with np.load(path) as stored:
            self.atoms = Atoms(stored["numbers"], cell=stored["cell"], pbc=True)
            self.positions = stored["positions"]

    def __getitem__(self, k: int) -> Atoms:
        self.atoms.positions = self.positions[k % len(self.positions)]
        return self.atoms


class AseRoute:
    """A calculator, called as ASE's dynamics calls it: energy, forces and stress together."""

    def __init__(self, calculator: Any, facts: dict[str, Any]) -> None:
        self._calculator = calculator
        self.facts = facts

    def use(self, frames: Frames) -> None:
        """Evaluate these from now on."""
        self._frames = frames
        self._changes = ["positions", "numbers", "cell", "pbc"]

    def prepare(self, k: int) -> Callable[[], Any]:
        """Return the evaluation of frame `k`, which is what is timed."""
        atoms, changes, self._changes = self._frames[k], self._changes, ["positions"]
        return lambda: self._calculator.calculate(atoms, PROPERTIES, changes)

    def results(self) -> dict[str, Any]:
        """Return what the last evaluation found: eV, eV/Å, eV/Å³."""
        return {name: np.asarray(self._calculator.results[name]) for name in PROPERTIES}


class EngineRoute:
    """The bare engine: edges are there already, as in LAMMPS, and only arrays come back."""

    def __init__(self, model: str, precision: str, threads: int) -> None:
        self._model, self._precision, self._threads = model, precision, threads
        self.facts: dict[str, Any] = {}

    def use(self, frames: Frames) -> None:
        """List the edges of these frames."""
        from moalloy_md import _engine
        from moalloy_md.potentials.pairs import NeighbourPairs

        species, types = np.unique(frames.atoms.numbers, return_inverse=True)
        self._engine = _engine.Engine(self._model, [int(z) for z in species], self._precision)
        self._types = types.astype(np.int32)
        self._volume = frames.atoms.get_volume()
        pairs = NeighbourPairs(self._engine.r_max, skin=EXACT_SKIN_ANGSTROM)
        self._edges = [pairs.edges(frames[k]) for k in range(len(frames.positions))]
        self.facts = {
            "instructions": self._engine.instructions,
            "radial_error": self._engine.radial_error,
            "edges_per_atom": len(self._edges[0].senders) / len(types),
        }

    def prepare(self, k: int) -> Callable[[], Any]:
        """Return the evaluation of frame `k`, which is what is timed."""
        edges = self._edges[k % len(self._edges)]

        def evaluate() -> None:
            self._found = self._engine.evaluate(
                self._types, edges.senders, edges.receivers, edges.vectors, threads=self._threads
            )

        return evaluate

    def results(self) -> dict[str, Any]:
        """Return what the last evaluation found: eV, eV/Å, eV/Å³."""
        virial = self._found["virial"]
        voigt = (0.5 * (virial + virial.T)).ravel()[[0, 4, 8, 5, 2, 1]]
        return {
            "energy": np.asarray(self._found["energy"]),
            "forces": self._found["forces"],
            "stress": voigt / self._volume,
        }


def native_routes(request: dict[str, Any]) -> dict[str, Any]:
    """Return ours, bare and as an ASE calculator."""
    from moalloy_md.potentials.native import NativeCalculator

    model, precision, threads = request["model"], request["precision"], request["threads"]
    calculator = NativeCalculator(model, precision=precision, threads=threads)
    return {
        "engine": EngineRoute(model, precision, threads),
        "ASE": AseRoute(calculator, {}),
    }


def symmetrix_routes(request: dict[str, Any]) -> dict[str, Any]:
    """Return an ASE calculator of symmetrix-xl for each mode that is asked for."""
    from symmetrix import Symmetrix

    routes = {}
    for name, options in request["modes"].items():
        calculator = Symmetrix(request["model"], dtype=request["precision"], **options)
        reported = ("streamed_edges", "execution_profile", "jit_status", "low_memory_policy")
        routes[name] = AseRoute(calculator, {key: getattr(calculator, key) for key in reported})
    return routes


def torch_routes(request: dict[str, Any]) -> dict[str, Any]:
    """Return mace-torch's own ASE calculator."""
    import torch

    from moalloy_md.potentials.quiet import quiet_mace

    torch.set_num_threads(request["threads"])
    with quiet_mace():
        from mace.calculators import MACECalculator

        calculator = MACECalculator(
            model_paths=request["model"], device="cpu", default_dtype=request["precision"]
        )
    return {"ASE": AseRoute(calculator, {"torch_threads": torch.get_num_threads()})}


ROUTES = {"native": native_routes, "symmetrix": symmetrix_routes, "torch": torch_routes}


class Evaluator:
    """Answers requests; see `answer`."""

    def __init__(self) -> None:
        self._routes: dict[str, Any] = {}

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load the model and the frames."""
        self._routes = ROUTES[request["implementation"]](request)
        frames = Frames(request["frames"])
        for route in self._routes.values():
            route.use(frames)
        return {
            "facts": {name: route.facts for name, route in self._routes.items()},
            "versions": {name: version(name) for name in request["packages"]},
        }

    def evaluate(self, request: dict[str, Any]) -> dict[str, Any]:
        """Evaluate one frame after the other; seconds of each, of the wall and of all threads."""
        route = self._routes[request["route"]]
        wall, processor = [], []
        for k in range(request["first"], request["first"] + request["times"]):
            run = route.prepare(k)
            wall_before, processor_before = time.perf_counter(), time.process_time()
            run()
            wall.append(time.perf_counter() - wall_before)
            processor.append(time.process_time() - processor_before)
        return {"wall_s": wall, "processor_s": processor}

    def results(self, request: dict[str, Any]) -> dict[str, Any]:
        """Evaluate a frame, of another file if one is given, and write what is found."""
        route = self._routes[request["route"]]
        if "frames" in request:
            route.use(Frames(request["frames"]))
        route.prepare(request["first"])()
        np.savez(request["out"], **route.results())
        return {}

    def memory(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Return the largest resident memory that this program ever had.

        Not `ru_maxrss`, which a process inherits from the one that started it.
        """
        status = Path("/proc/self/status").read_text()
        return {"peak_kib": int(re.search(r"VmHWM:\s*(\d+) kB", status)[1])}


def main() -> None:
    """Answer until the standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    evaluator = Evaluator()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(evaluator, request["do"])(request)
        except Exception as error:  # noqa: BLE001  the other side says it, and the log has the rest
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
