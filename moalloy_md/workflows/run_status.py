"""How a run of several stands: ``run.json`` in its folder."""

from dataclasses import dataclass
from pathlib import Path

from moalloy_md.rundir import now, read_json, write_json

STATUS = "run.json"


@dataclass(frozen=True)
class RunStatus:
    """How a run stands."""

    state: str
    """``waiting``, ``begun`` (running, or killed), ``done`` or ``failed``."""
    error: str
    """Why it failed."""
    wall_s: float | None
    """How long it took since it was last started."""


def read_status(folder: Path) -> RunStatus:
    """Say how the run in a folder stands."""
    path = folder / STATUS
    if not path.exists():
        return RunStatus("waiting", "", None)
    return RunStatus(**{key: read_json(path)[key] for key in ("state", "error", "wall_s")})


def write_status(folder: Path, state: str, error: str = "", wall_s: float | None = None) -> None:
    """Write down how the run in a folder stands."""
    content = {"state": state, "error": error, "wall_s": wall_s, "time": now()}
    write_json(folder / STATUS, content)
