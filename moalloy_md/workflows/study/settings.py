"""The settings that decide on the numbers of a run, and the refusal to change them afterwards."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from moalloy_md.errors import RunDirectoryError
from moalloy_md.rundir import MANIFEST, first_difference, read_json
from moalloy_md.workflows.study.config import Folds, Paradigm, Size, StudyConfig
from moalloy_md.workflows.study.plan import RUNS, STUDY, Run, read_study

#: Where the manifest of a run has its settings.
SETTINGS = "settings"

#: What reads each section.
_SECTIONS: dict[str, TypeAdapter[Any]] = {
    "paradigms": TypeAdapter(Paradigm),
    "sizes": TypeAdapter(Size),
    "protocols": TypeAdapter(Folds),
}

#: How many folds a protocol has: more of them leave those that were done as they are.
_MAY_GROW = {"repeats", "train_fractions", "held_out"}


def run_settings(config: StudyConfig, run: Run) -> dict[str, Any]:
    """Return the settings of a study that decide on the numbers of one run, ready for JSON.

    By the names of the sections of the file: ``paradigms``, ``sizes`` and ``protocols``.
    """
    paradigm = config.paradigms[run.paradigm].model_dump(mode="json")
    if run.parent is not None:  # null means the first one, which another may become
        paradigm["refines"] = run.parent.split("/")[-2]
    protocol = config.protocols[run.protocol].model_dump(mode="json", exclude=_MAY_GROW)
    return {
        "paradigms": paradigm,
        "sizes": config.sizes[run.size].model_dump(mode="json"),
        "protocols": protocol,
    }


def refuse_changed_settings(out: Path, config: StudyConfig, runs: Sequence[Run]) -> None:
    """Make sure that runs that were begun have the settings that they were begun with.

    Without it a report would show new settings beside the numbers of the old ones.

    Parameters
    ----------
    out
        Folder of the study.
    config, runs
        What is asked for now.

    Raises
    ------
    RunDirectoryError
        If a setting differs; the text names it.
    """
    changed: dict[str, list[str]] = {}
    for run in runs:
        old = _settings_before(out, run)
        if old is not None and (found := _change(old, run_settings(config, run), run)):
            changed.setdefault(found, []).append(run.name)
    if not changed:
        return
    what, names = next(iter(changed.items()))
    more = f" and {len(names) - 1} more were" if len(names) > 1 else " was"
    raise RunDirectoryError(
        f"{out}: {what}, after {names[0]}{more} begun with the old value. Give the old one back; or "
        f"add the new one to {what.split('.')[0]} under another name; or choose another folder; or "
        "remove the folders of these runs to do them anew"
    )


def _settings_before(out: Path, run: Run) -> dict[str, Any] | None:
    """Return what a run was begun with; None where it was not, or has left nothing to protect."""
    folder = out / RUNS / run.name
    if not _has_work(folder):
        return None
    recorded = read_json(folder / MANIFEST).get(SETTINGS)
    if recorded is not None:
        return _with_defaults(recorded)
    if not (out / STUDY).exists():
        return None
    config, runs = read_study(out)  # of a version that did not record them
    old = next((other for other in runs if other.name == run.name), None)
    return None if old is None else run_settings(config, old)


def _with_defaults(recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings that are newer than a run their defaults, which is what it was done with.

    Those that this version refuses stay as they are.
    """
    found = {}
    for section, adapter in _SECTIONS.items():
        try:
            settings = adapter.validate_python(recorded[section])
        except ValidationError:
            found[section] = recorded[section]
        else:
            found[section] = settings.model_dump(mode="json")
    return found


def _has_work(folder: Path) -> bool:
    """Whether there is a training or an evaluation; a run that failed before them has none."""
    return (folder / MANIFEST).exists() and any(path.is_dir() for path in folder.iterdir())


def _change(old: Mapping[str, Any], new: Mapping[str, Any], run: Run) -> str | None:
    """Say which setting differs."""
    names = {"protocols": run.protocol, "sizes": run.size, "paradigms": run.paradigm}
    for section, name in names.items():
        before = {key: old[section][key] for key in old[section] if key not in _MAY_GROW}
        if found := first_difference(before, new[section]):
            key, earlier, now = found
            return f"{section}.{name}.{key} was {_said(earlier)} and is now {_said(now)}"
    return None


def _said(value: Any) -> str:
    return "not given" if value is None else repr(value)
