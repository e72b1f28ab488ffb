"""Run directories: a manifest, a state that a killed run picks up, and files that are ours.

A directory holds ``manifest.json`` (what was asked for, by which versions, on which inputs,
from when to when) and ``state.json`` (which steps are done). The same command finds both and
goes on; any other command, and any directory that holds someone else's files, is refused.
"""

import csv
import fcntl
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from moalloy_md import __version__
from moalloy_md.errors import DataError, RunDirectoryBusyError, RunDirectoryError

MANIFEST = "manifest.json"
STATE = "state.json"
LOCK = ".lock"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a name to write to, which becomes `path` when all went well.

    So a kill leaves either the old file or the new one, and an error leaves the old one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)  # mkstemp makes private files
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill, which becomes `path` when all went well; nothing is left otherwise.

    `path` may be absent or empty; with files in it, it is left as it is.
    """
    path = path.resolve()  # a folder can replace a folder, but not a link to one
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        if not (path.exists() and any(path.iterdir())):
            temporary.chmod(0o755)  # mkdtemp makes private folders
            temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def saying_what_cannot_be_written(path: Path) -> Iterator[None]:
    """Turn the system's error in writing `path` into a sentence.

    Raises
    ------
    DataError
        In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror}). Choose a folder that you may write to, "
            "with room on its disk"
        ) from error


def write_json(path: Path, content: Any) -> None:
    """Write `content` as JSON, whole or not at all.

    Raises
    ------
    DataError
        If a number in it is infinite or undefined (NaN), which JSON does not know.
    """
    try:
        text = json.dumps(content, indent=2, allow_nan=False)
    except ValueError as error:
        odd = _first_odd_number(content)
        if odd is None:
            raise
        raise DataError(
            f"{path}: expected finite numbers, found {odd[0]} = {odd[1]}. It was not written: look for "
            "what is wrong with the data behind this number"
        ) from error
    with replacing(path) as temporary:
        temporary.write_text(text + "\n")


def _first_odd_number(content: Any, key: str = "") -> tuple[str, float] | None:
    """Return a number that is not finite, and where it stands; None if there is none."""
    if isinstance(content, float):
        return None if math.isfinite(content) else (key, content)
    if not isinstance(content, dict | list | tuple):
        return None
    items = content.items() if isinstance(content, dict) else enumerate(content)
    inner = (_first_odd_number(value, f"{key}.{name}".lstrip(".")) for name, value in items)
    return next((found for found in inner if found), None)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write a table with the keys of the first row as its header; no file where there is no row."""
    if not rows:
        path.unlink(missing_ok=True)
        return
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def as_json(content: Any) -> Any:
    """Return `content` as it will be read back from JSON: lists for tuples, text for keys."""
    return json.loads(json.dumps(content))


def read_json(path: Path) -> Any:
    """Read a JSON file that this package wrote.

    Raises
    ------
    RunDirectoryError
        If it is missing or damaged.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunDirectoryError(
            f"{path}: expected a JSON file written by moalloy, found one that cannot be read "
            f"({error}). Remove its folder and run the command again"
        ) from error


def slug(name: str) -> str:
    """Write a name so that it can be that of a file or folder, neither hidden nor a path.

    What is no ASCII letter, digit or one of ``.+_-`` becomes ``_``.
    """
    return re.sub(r"[^A-Za-z0-9.+_-]+", "_", name).lstrip(".") or "_"


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def now() -> str:
    """Time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions(*packages: str) -> dict[str, str | None]:
    """Versions of installed distributions; None for one that is not installed."""
    found: dict[str, str | None] = {"moalloy_md": __version__, "git": git_commit()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return found


def git_commit() -> str | None:
    """Commit of the source tree that runs, with ``+dirty`` where it was changed; else None."""
    here = Path(__file__).parent
    if not (here.parent / ".git").exists():
        return None
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty=+dirty", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip() or None


@dataclass(frozen=True)
class RunDirectory:
    """A folder that belongs to one run of one command. Make it with `open_run`."""

    path: Path

    @property
    def manifest(self) -> dict[str, Any]:
        """What was asked for, by which versions, on which inputs."""
        return dict(read_json(self.path / MANIFEST))

    def update_manifest(self, **entries: Any) -> None:
        """Add entries to the manifest."""
        write_json(self.path / MANIFEST, {**self.manifest, **entries})

    def result(self, step: str) -> Any | None:
        """Return what a finished step returned; None if it has not finished."""
        path = self.path / STATE
        steps = read_json(path)["steps"] if path.exists() else {}
        return steps[step]["result"] if step in steps else None

    def finish_step(self, step: str, result: Any) -> None:
        """Record that `step` is done, with a JSON-compatible result (not None)."""
        path = self.path / STATE
        state = read_json(path) if path.exists() else {"steps": {}}
        state["steps"][step] = {"finished": now(), "result": result}
        write_json(path, state)


def open_run(
    path: Path, *, kind: str, config: dict[str, Any], packages: tuple[str, ...] = ()
) -> RunDirectory:
    """Make a run directory, or find the one that an earlier, killed run of the same kind left.

    Parameters
    ----------
    path
        The folder. It may be absent, empty, or left by a run of the same kind and config.
    kind
        The command that it belongs to, such as ``"train"``.
    config
        JSON-compatible; a folder made with another one is refused.
    packages
        Distributions whose versions the manifest records.

    Raises
    ------
    RunDirectoryError
        If the folder holds other files, another kind of run, or another configuration, or if
        another process is at work in it.
    """
    run = RunDirectory(path)
    config = as_json(config)
    if path.exists() and not path.is_dir():
        raise RunDirectoryError(f"{path}: expected a folder, found a file. Choose another name")
    leftovers = path.exists() and [p for p in path.iterdir() if not p.name.startswith(".")]
    if leftovers:
        _check_ours(run, kind, config)
        _lock(path)
        return run
    path.mkdir(parents=True, exist_ok=True)
    _lock(path)
    write_json(
        path / MANIFEST,
        {
            "kind": kind,
            "config": config,
            "versions": versions(*packages),
            "started": now(),
            "finished": None,
        },
    )
    return run


#: Locks that this process holds until it ends, by folder.
_LOCKS: dict[Path, int] = {}


def _lock(path: Path) -> None:
    """Keep every other process out of a run directory; a process that ends, however, lets go."""
    path = path.resolve()
    if path in _LOCKS and (path / LOCK).exists():
        return
    descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RunDirectoryBusyError(
            f"{path}: another moalloy command is at work in this folder. Wait for its end, or "
            "choose another folder"
        ) from None
    except OSError:
        pass  # a file system without locks
    _LOCKS[path] = descriptor


def _check_ours(run: RunDirectory, kind: str, config: dict[str, Any]) -> None:
    path = run.path
    if not (path / MANIFEST).exists():
        raise RunDirectoryError(
            f"{path}: expected an empty folder or one left by 'moalloy {kind}', found files "
            "without a manifest.json. Choose another folder, or empty this one yourself"
        )
    manifest = run.manifest
    if manifest.get("kind") != kind:
        raise RunDirectoryError(
            f"{path}: expected a folder left by 'moalloy {kind}', found one left by "
            f"'moalloy {manifest.get('kind')}'. Choose another folder"
        )
    different = first_difference(manifest.get("config"), config)
    if different:
        key, old, new = different
        raise RunDirectoryError(
            f"{path}: was started with {key or 'config'} = {old!r}, now asked to go on with "
            f"{new!r}. Give the old value to go on, or choose another folder to start anew"
        )


def first_difference(old: Any, new: Any, key: str = "") -> tuple[str, Any, Any] | None:
    """Return the first key in which two JSON contents differ (``a.b``), and both values; or None."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            inner = f"{key}.{name}" if key else name
            found = first_difference(old.get(name), new.get(name), inner)
            if found:
                return found
        return None
    return None if old == new else (key, old, new)
