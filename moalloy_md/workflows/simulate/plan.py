"""Many independent runs, each in a folder of its own: which are chosen, done, failed or waiting."""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from moalloy_md.errors import ConfigError, MoAlloyError, RunDirectoryBusyError
from moalloy_md.rundir import RunDirectory, now, open_run, read_json, write_json

STATUS = "run.json"

#: Who runs the runs: this process, SLURM, or processes of this machine started by submitit.
Executor = Literal["here", "slurm", "local"]


class Named(Protocol):
    """A run of a plan."""

    @property
    def name(self) -> str:
        """Its folder below that of all runs."""


AnyRun = TypeVar("AnyRun", bound=Named)


@dataclass(frozen=True)
class RunStatus:
    """How a run stands."""

    state: str
    """``waiting``, ``begun`` (running, or killed), ``done`` or ``failed``."""
    error: str
    """Why it failed; of a run that is done, why it could not be evaluated again."""
    wall_s: float | None
    """How long it took since it was last started."""


@dataclass(frozen=True)
class Outcome:
    """How the runs of a plan stand."""

    done: tuple[str, ...]
    """Runs that are finished."""
    failed: dict[str, str]
    """Runs that failed, and why."""
    waiting: tuple[str, ...]
    """Runs that are not finished: submitted, running, killed, or behind one that failed."""

    def summary(self) -> str:
        """Say how many there are of each."""
        return (
            f"{len(self.done)} done, {len(self.failed)} failed, {len(self.waiting)} not finished."
        )


def chosen_runs(runs: Sequence[AnyRun], only: str | None, *, separator: str = "") -> list[AnyRun]:
    """Choose runs by name.

    Parameters
    ----------
    runs
        All of them.
    only
        Name of a run, or the beginning of several; None for all.
    separator
        What a beginning has to end with: ``/`` if it is to be a whole part of the name.

    Raises
    ------
    ConfigError
        If none has such a name.
    """
    if only is None:
        return list(runs)
    beginning = only.rstrip(separator) + separator
    chosen = [run for run in runs if run.name == only or run.name.startswith(beginning)]
    if not chosen:
        examples = ", ".join(run.name for run in runs[:3])
        raise ConfigError(f"--only: expected a run such as {examples}, found {only!r}")
    return chosen


def read_status(folder: Path) -> RunStatus:
    """Say how the run in a folder stands."""
    path = folder / STATUS
    if not path.exists():
        return RunStatus("waiting", "", None)
    return RunStatus(**{key: read_json(path)[key] for key in ("state", "error", "wall_s")})


def do_recorded(
    folder: Path,
    work: Callable[[RunDirectory], None],
    *,
    kind: str,
    config: dict[str, Any],
    packages: tuple[str, ...] = (),
    is_done: bool = False,
) -> bool:
    """Do a run in its folder and write down how it stands; a failure is written down, not raised.

    Parameters
    ----------
    folder
        Of the run.
    work
        Does it.
    kind, config, packages
        As of `moalloy_md.rundir.open_run`.
    is_done
        Whether the run was done before and is only evaluated again: it stays done, and a failure is
        written beside that.

    Returns
    -------
    bool
        Whether it is done; also False while another process is at work on it.

    Raises
    ------
    RunDirectoryError
        If the folder holds something else.
    """
    try:
        run = open_run(folder, kind=kind, config=config, packages=packages)
    except RunDirectoryBusyError:
        return False  # how it stands is for that process to say
    began = time.monotonic()
    before = read_status(folder).wall_s if is_done else None
    failed = "done" if is_done else "failed"

    def wall_s() -> float:
        return time.monotonic() - began if before is None else before

    _write_status(folder, "done" if is_done else "begun", wall_s=before)
    try:
        work(run)
    except (MoAlloyError, OSError) as error:
        _write_status(folder, failed, str(error), wall_s())
        return False
    except Exception:  # noqa: BLE001  whatever it was, the other runs go on
        _write_status(folder, failed, traceback.format_exc(), wall_s())
        return False
    _write_status(folder, "done", "", wall_s())
    return True


def _write_status(folder: Path, state: str, error: str = "", wall_s: float | None = None) -> None:
    content = {"state": state, "error": error, "wall_s": wall_s, "time": now()}
    write_json(folder / STATUS, content)
