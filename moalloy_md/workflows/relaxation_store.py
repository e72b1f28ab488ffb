"""Results of relaxations in a folder, which outlive a kill.

The folder holds ``relaxations.jsonl``, a line for each finished cell, and ``positions/``, the relaxed
positions of each as ``.npz``. A line is written after its positions, so a line stands for a whole
result.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moalloy_md.rundir import replacing

RESULTS = "relaxations.jsonl"
POSITIONS = "positions"

_KEPT = ("unrelaxed_ev", "energy_ev", "max_force_ev_per_angstrom", "n_steps", "converged")


@dataclass(frozen=True)
class Relaxed:
    """A cell that was relaxed at fixed cell."""

    key: str
    """Of its task."""
    unrelaxed_ev: float
    """Energy where it started, eV."""
    energy_ev: float
    """Energy where it ended, eV."""
    max_force_ev_per_angstrom: float
    """Largest force on an atom that is left, eV/Å."""
    n_steps: int
    """Steps that were taken."""
    positions: NDArray[np.float64]
    """Where it ended, ``(n_atoms, 3)``, Å."""
    converged: bool
    """Whether the forces fell below the limit within the steps allowed."""


class Store:
    """Relaxed cells in a folder, by the digest of all that decides on them.

    Parameters
    ----------
    folder
        ``relaxations.jsonl`` and ``positions/`` are in it; the caller sees to it that one process at a
        time writes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / RESULTS
        self._entries: dict[str, dict[str, Any]] = {}
        if self._file.exists():
            self._drop_torn_line()
            for line in self._file.read_text().splitlines():
                try:
                    entry = json.loads(line)
                    self._entries[entry["digest"]] = entry
                except (json.JSONDecodeError, KeyError, TypeError):
                    continue  # computed anew

    def _drop_torn_line(self) -> None:
        content = self._file.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with self._file.open("r+b") as file:
                file.truncate(whole)

    def read(self, key: str, digest: str) -> Relaxed | None:
        """Return a result under the key that its task has now; None if there is none, or a torn one."""
        entry = self._entries.get(digest)
        if entry is None:
            return None
        try:
            with np.load(self._positions(digest)) as arrays:
                positions = arrays["positions"]
        except (OSError, ValueError, KeyError):
            return None
        values = {name: entry[name] for name in _KEPT}
        return Relaxed(key=key, positions=positions, **values)

    def append(self, result: Relaxed, digest: str) -> None:
        """Keep a result."""
        with replacing(self._positions(digest)) as temporary:
            np.savez_compressed(temporary, positions=result.positions)
        values = {name: getattr(result, name) for name in _KEPT}
        line = json.dumps({"key": result.key, "digest": digest, **values})
        with self._file.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _positions(self, digest: str) -> Path:
        return self._folder / POSITIONS / f"{digest}.npz"
