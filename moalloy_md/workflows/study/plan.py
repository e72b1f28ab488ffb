"""The plan of a study: its folds, and its runs as independent folders."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from moalloy_md.config import validate
from moalloy_md.datasets.frames import Frame
from moalloy_md.datasets.split import Split, split_frames
from moalloy_md.datasets.split_folder import write_split
from moalloy_md.elements import atomic_number
from moalloy_md.errors import DataError
from moalloy_md.rundir import read_json, write_json
from moalloy_md.workflows.study.config import (
    IidFolds,
    LodoFolds,
    NewElementFolds,
    Paradigm,
    StudyConfig,
    split_protocol,
)

SPLITS, RUNS, STUDY = "splits", "runs", "study.json"


@dataclass(frozen=True)
class Fold:
    """One split of the cells."""

    protocol: str
    """Name of the protocol in the study."""
    kind: str
    """``iid``, ``lodo-strict``, ``lodo-relaxed`` or ``new-elements``."""
    label: str
    """Number of the repeat, or the held-out element."""
    fraction: float
    """Part of the training groups that is used."""
    parts: dict[str, tuple[list[Frame], Split]]
    """Cells and how they are split, by subfolder: one, or ``old`` and ``new``."""

    @property
    def folder(self) -> str:
        """Path below the folder of splits."""
        part = "" if self.fraction == 1 else f"-{self.fraction:g}"
        return f"{self.protocol}/{self.label}{part}"


@dataclass(frozen=True)
class Run:
    """One training with its evaluations, or the evaluation of a foundation."""

    protocol: str
    """Name of the protocol in the study."""
    kind: str
    """Kind of the protocol."""
    label: str
    """Number of the repeat, or the held-out element."""
    fraction: float
    """Part of the training groups that is used."""
    split: str
    """Folder of the split, below that of the splits."""
    paradigm: str
    """Name of the paradigm."""
    size: str
    """Name of the size."""
    parent: str | None
    """The run whose model is refined."""

    @property
    def name(self) -> str:
        """Path below the folder of runs."""
        return f"{self.split}/{self.paradigm}/{self.size}"

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {**asdict(self), "name": self.name}


def make_folds(config: StudyConfig, frames: Sequence[Frame]) -> list[Fold]:
    """Split the cells by all protocols.

    Raises
    ------
    DataError
        If a protocol cannot split these cells: no cell has the held-out element, say.
    """
    folds: list[Fold] = []
    for name, protocol in config.protocols.items():
        try:
            if isinstance(protocol, IidFolds):
                folds += _iid(name, protocol, frames)
            elif isinstance(protocol, LodoFolds):
                folds += _lodo(name, protocol, frames)
            else:
                folds += _new_elements(name, protocol, frames)
        except DataError as error:
            raise DataError(f"protocols.{name}: {error}") from error
    return folds


def write_folds(folds: Sequence[Fold], out: Path) -> None:
    """Write a split folder for each fold; those that are there already must be the same."""
    for fold in folds:
        for part, (frames, split) in fold.parts.items():
            write_split(out / SPLITS / fold.folder / part, frames, split)


def make_runs(config: StudyConfig, folds: Sequence[Fold]) -> list[Run]:
    """Combine paradigms, sizes and folds; a run stands behind the one whose model it refines."""
    runs = []
    for fold in folds:
        for size in config.sizes:
            for name, paradigm in config.paradigms.items():
                new = fold.kind == "new-elements"
                if (paradigm.kind == "refine" and not new) or (paradigm.kind == "scratch" and new):
                    continue
                if paradigm.kind == "zero-shot" and fold.fraction != 1:
                    continue  # does not depend on the training set
                run = Run(
                    protocol=fold.protocol, kind=fold.kind, label=fold.label,
                    fraction=fold.fraction, split=fold.folder, paradigm=name, size=size,
                    parent=None,
                )  # fmt: skip
                runs.append(run if paradigm.kind != "refine" else _refining(config, run))
    return sorted(runs, key=lambda run: run.parent is not None)


def training_part(run: Run, paradigm: Paradigm) -> str:
    """Return the part of its split that a run trains on."""
    if run.kind != "new-elements":
        return ""
    return "new" if paradigm.kind == "refine" else "old"


def evaluations(run: Run, paradigm: Paradigm) -> list[tuple[str, str, bool]]:
    """Name, part of the split, and whether proxies may be needed, of each evaluation of a run."""
    if run.kind != "new-elements":
        return [("evaluate", "", False)]
    return [("evaluate", "new", paradigm.kind != "refine"), ("evaluate-old", "old", False)]


def write_study(out: Path, config: StudyConfig, runs: list[Run]) -> None:
    """Write what each run needs to know."""
    content = {
        "config": config.model_dump(mode="json"),
        "runs": [run.as_dict() for run in runs],
    }
    write_json(out / STUDY, content)


def read_study(out: Path) -> tuple[StudyConfig, list[Run]]:
    """Read what `write_study` wrote.

    Raises
    ------
    RunDirectoryError
        If there is no study in the folder, or its file is damaged.
    """
    content = read_json(out / STUDY)
    config = validate(content["config"], StudyConfig, source=str(out / STUDY))
    runs = []
    for entry in content["runs"]:
        del entry["name"]
        runs.append(Run(**entry))
    return config, runs


def chains(runs: Sequence[Run]) -> list[list[Run]]:
    """Put each run and those that refine its model into one chain, to be run in this order."""
    found = {run.name: [run] for run in runs if run.parent is None}
    for run in runs:
        if run.parent is not None:
            found.setdefault(run.parent, []).append(run)
    return list(found.values())


def _refining(config: StudyConfig, run: Run) -> Run:
    tuned = [name for name, p in config.paradigms.items() if p.kind == "fine-tune"]
    parent = config.paradigms[run.paradigm].refines or tuned[0]
    return Run(**{**asdict(run), "parent": f"{run.split}/{parent}/{run.size}"})


def _iid(name: str, protocol: IidFolds, frames: Sequence[Frame]) -> list[Fold]:
    folds = []
    for repeat in range(protocol.repeats):
        split = split_frames(frames, split_protocol(protocol, repeat=repeat))
        for fraction in sorted(protocol.train_fractions, reverse=True):
            smaller = _smaller(frames, split, fraction)
            folds.append(
                Fold(name, "iid", f"{repeat:02d}", fraction, {"": (list(frames), smaller)})
            )
    return folds


def _smaller(frames: Sequence[Frame], split: Split, fraction: float) -> Split:
    """Keep a part of the training groups: whole ones, and those of a smaller part first."""
    if fraction == 1:
        return split
    groups: dict[str, list[int]] = {}
    for k in split.train:
        key = frames[k].sha256 if split.protocol.frame_wise else frames[k].group
        groups.setdefault(key, []).append(k)

    def rank(key: str) -> bytes:
        return hashlib.sha256(f"{split.protocol.seed}/curve/{key}".encode()).digest()

    wanted, kept = fraction * len(split.train), list[int]()
    seen: set[str] = set()
    elements = {x for k in (*split.valid, *split.test) for x in frames[k].elements}
    # first one group of each element, or nothing would be learnt of it
    ordered = sorted(groups, key=rank)
    for key in ordered:
        new = {x for k in groups[key] for x in frames[k].elements} & elements - seen
        if new:
            kept += groups.pop(key)
            seen |= new
    for key in (key for key in ordered if key in groups):
        if len(kept) >= wanted:
            break
        kept += groups[key]
    return Split(**{**vars(split), "train": tuple(sorted(kept))})


def _lodo(name: str, protocol: LodoFolds, frames: Sequence[Frame]) -> list[Fold]:
    if protocol.held_out == "all":
        strict = protocol.protocol == "lodo-strict"
        dopants = {x for frame in frames for x in frame.dopants if strict or frame.dopants == {x}}
        held_out = tuple(sorted(dopants, key=atomic_number))
        if not held_out:
            raise DataError("expected cells with dopants to hold out, found none")
    else:
        held_out = protocol.held_out
    folds = []
    for element in held_out:
        split = split_frames(frames, split_protocol(protocol, held_out=element))
        folds.append(Fold(name, protocol.protocol, element, 1.0, {"": (list(frames), split)}))
    return folds


def _new_elements(name: str, protocol: NewElementFolds, frames: Sequence[Frame]) -> list[Fold]:
    new = set(protocol.elements)
    found = {x for frame in frames for x in frame.elements}
    if missing := sorted(new - found, key=atomic_number):
        raise DataError(
            f"expected cells with the new elements, found none with {', '.join(missing)}. Elements "
            f"found: {', '.join(sorted(found, key=atomic_number))}"
        )
    halves = {
        "old": [frame for frame in frames if not frame.elements & new],
        "new": [frame for frame in frames if frame.elements & new],
    }
    folds = []
    for repeat in range(protocol.repeats):
        drawn = split_protocol(protocol, repeat=repeat)
        parts = {part: (cells, split_frames(cells, drawn)) for part, cells in halves.items()}
        folds.append(Fold(name, "new-elements", f"{repeat:02d}", 1.0, parts))
    return folds
