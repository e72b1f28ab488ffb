"""What the runs of a simulation were begun with, and the refusal to change it under their results."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from moalloy_md.errors import RunDirectoryError
from moalloy_md.rundir import MANIFEST, as_json, first_difference, read_json
from moalloy_md.workflows.simulate.run import RESULTS, RUNS, SimulationRun, Start, identity

_PLAN, _COMPOSITIONS = ".plan", "compositions"


def place_runs(
    out: Path, plan: Callable[[Path], list[SimulationRun]], start: Start
) -> list[SimulationRun]:
    """Make the runs of a simulation and their structures, unless one was begun with other settings.

    Parameters
    ----------
    out
        Folder of the simulation.
    plan
        Makes the runs, and their structures in a folder.
    start
        How they are started.

    Raises
    ------
    RunDirectoryError
        As `refuse_changed_settings`; the structures in `out` are left as they are.
    """
    new = out / _PLAN
    shutil.rmtree(new, ignore_errors=True)  # of a call that was killed
    try:
        runs = plan(new)
        refuse_changed_settings(out, runs, start, structures=new)
        for structure in {run.structure for run in runs}:
            (out / structure).parent.mkdir(parents=True, exist_ok=True)
            (new / structure).replace(out / structure)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return runs


def refuse_changed_settings(
    out: Path, runs: Sequence[SimulationRun], start: Start, *, structures: Path
) -> None:
    """Make sure that runs that were begun are to move as they were begun; more steps are no change.

    Without it new settings would stand beside the numbers of the old ones.

    Parameters
    ----------
    out
        Folder of the simulation.
    runs, start
        What is asked for now.
    structures
        Folder with its structures.

    Raises
    ------
    RunDirectoryError
        If a setting differs; the text names it, with both values.
    """
    changed: dict[str, list[str]] = {}
    for run in runs:
        folder = out / RUNS / run.name
        if not (folder / MANIFEST).exists():
            continue
        manifest = read_json(folder / MANIFEST)
        new = as_json(identity(structures, run, start))
        different = first_difference(manifest.get("config"), new)
        if different is not None:
            what = _said(different, manifest.get("settings"), run, folder)
            changed.setdefault(what, []).append(run.name)
    if not changed:
        return
    what, names = next(iter(changed.items()))
    more = f" and {len(names) - 1} more were" if len(names) > 1 else " was"
    other = "give the new composition another name; or " if what.startswith(_COMPOSITIONS) else ""
    raise RunDirectoryError(
        f"{out}: {what}, after {names[0]}{more} begun with the old value. Give the old value back; or "
        f"{other}choose another folder; or remove the folders of these runs in {out / RUNS} to do them "
        "anew"
    )


def _said(
    different: tuple[str, Any, Any],
    settings: Mapping[str, Any] | None,
    run: SimulationRun,
    folder: Path,
) -> str:
    """Say what differs by the keys of the settings; of earlier versions' runs, what they recorded."""
    key, old, new = different
    for setting, value in as_json(run.settings).items():
        # a composition that gives the same atoms is not what differs
        is_composition = setting.startswith(_COMPOSITIONS)
        if settings is None or settings.get(setting) == value:
            continue
        if is_composition == (key == "structure_sha256"):
            return f"{setting} was {settings.get(setting)!r} and is now {value!r}"
    if key == "structure_sha256":
        key, old, new = "the starting structure", old[:12], new[:12]
        if (folder / RESULTS).exists() and (counts := read_json(folder / RESULTS).get("counts")):
            key, old, new = f"{_COMPOSITIONS} (atoms)", counts, run.about.get("counts")
    return f"{key} was {old!r} and is now {new!r}"
