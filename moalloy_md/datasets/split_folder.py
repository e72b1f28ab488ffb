"""Split folders: ``train.extxyz valid.extxyz test.extxyz split.json``.

``split.json`` says how the split was drawn and holds a hash of every frame, in the order of the
three files, so that whoever trains on them can tell that they are still what was drawn.
"""

import filecmp
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moalloy_md.datasets.frames import (
    HASH_DECIMALS,
    Frame,
    hash_of_hashes,
    read_dataset,
    write_dataset,
)
from moalloy_md.datasets.split import PARTS, Protocol, Split, split_frames
from moalloy_md.errors import DataError
from moalloy_md.rundir import new_folder, saying_what_cannot_be_written, write_json

SUMMARY = "split.json"
#: What a folder of repeated splits has beside them: a list of the splits, without frame hashes.
REPEATS = "repeats.json"
_FILES = frozenset({*(f"{part}.extxyz" for part in PARTS), SUMMARY})


@dataclass(frozen=True)
class SplitFolder:
    """A split as it was read back from its folder.

    Attributes
    ----------
    path
        The folder.
    train, valid, test
        Frames, in the order of the files.
    summary
        Content of ``split.json``.
    """

    path: Path
    train: tuple[Frame, ...]
    valid: tuple[Frame, ...]
    test: tuple[Frame, ...]
    summary: dict[str, Any]


def split_file(
    data: Path,
    protocol: Protocol,
    out: Path,
    *,
    watch: Callable[[Iterable[Frame]], Iterable[Frame]] = iter,
) -> dict[str, Any]:
    """Read a dataset, split it and write the split folder.

    Parameters
    ----------
    data
        Extended XYZ dataset.
    protocol
        `Iid`, `LodoStrict` or `LodoRelaxed` with its settings.
    out
        The folder to make; see `write_split`.
    watch
        Wraps the iteration over the frames, for a progress bar.

    Returns
    -------
    dict
        What `describe_split` says.

    Raises
    ------
    DataError
        If the dataset breaks the contract, cannot be split so, or `out` holds something else.
    """
    _refuse_foreign(out)  # before the long part
    frames = read_dataset(data, watch=watch)
    with _named(data):
        split = split_frames(frames, protocol)
    write_split(out, frames, split)
    return describe_split(frames, split)


@contextmanager
def _named(data: Path) -> Iterator[None]:
    """Put the file's name before what is said of its frames."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{data}: {error}") from error


def split_file_repeatedly(
    data: Path,
    protocol: Protocol,
    out: Path,
    *,
    repeats: int,
    watch: Callable[[Iterable[Frame]], Iterable[Frame]] = iter,
    watch_writing: Callable[[Sequence[Split]], Iterable[Split]] = iter,
) -> list[dict[str, Any]]:
    """Draw several splits that differ in their seed alone, and write a split folder for each.

    Parameters
    ----------
    data
        Extended XYZ dataset.
    protocol
        The first split; the next ones have the seeds that follow.
    out
        The folder to make, with the split folders ``00``, ``01`` and so on and ``repeats.json``.
        Splits that are there already are left as they are.
    repeats
        How many.
    watch
        Wraps the iteration over the frames, for a progress bar.
    watch_writing
        Wraps the iteration over the splits when they are written.

    Returns
    -------
    list of dict
        What `describe_split` says of each, and its ``out``.

    Raises
    ------
    DataError
        If the dataset breaks the contract, one of the splits cannot be drawn (nothing is written
        then), or `out` holds something else.
    """
    out = Path(out)
    digits = max(2, len(str(repeats - 1)))
    folders = [out / f"{k:0{digits}d}" for k in range(repeats)]
    _refuse_foreign(out, {REPEATS, *(folder.name for folder in folders)})
    frames = read_dataset(data, watch=watch)
    with _named(data):
        splits = [
            split_frames(frames, protocol.model_copy(update={"seed": protocol.seed + k}))
            for k in range(repeats)
        ]
    summaries = []
    for folder, split in zip(folders, watch_writing(splits), strict=True):
        write_split(folder, frames, split)
        summaries.append({**describe_split(frames, split), "out": str(folder)})
    listed = [{**summary, "out": Path(summary["out"]).name} for summary in summaries]
    write_json(out / REPEATS, listed)
    return summaries


def describe_split(frames: Sequence[Frame], split: Split) -> dict[str, Any]:
    """Protocol, counts and warnings of a split, JSON-compatible: ``split.json`` without hashes.

    ``counts`` has for each part the number of frames, groups and atoms, and of the frames that
    hold each dopant.
    """
    protocol = split.protocol
    settings = protocol.model_dump()
    parts = {part: [frames[i] for i in getattr(split, part)] for part in PARTS}
    return {
        "protocol": protocol.protocol,
        "seed": protocol.seed,
        "held_out": settings.get("held_out"),
        "frame_wise": protocol.frame_wise,
        "test_fraction": settings.get("test_fraction"),
        "valid_fraction": protocol.valid_fraction,
        "counts": {part: _counts(members) for part, members in parts.items()},
        "leaked_fraction": split.leaked_fraction,
        "repeated_fraction": split.repeated_fraction,
        "n_frames_without_group": sum(not frame.has_named_group for frame in frames),
        "elements_not_in_train": list(split.elements_not_in_train),
        "protocols_coincide": split.protocols_coincide,
        "dataset_sha256": hash_of_hashes(frame.sha256 for frame in frames),
    }


def write_split(out: Path, frames: Sequence[Frame], split: Split) -> None:
    """Write a split folder: the whole folder, or nothing.

    Parameters
    ----------
    out
        The folder. It may be absent, empty, or hold this very split already.
    frames
        The dataset that was split.
    split
        What `split_frames` made of it.

    Raises
    ------
    DataError
        If the folder holds other files or another split, or cannot be written.
    """
    out = Path(out)
    _refuse_foreign(out)
    with saying_what_cannot_be_written(out), new_folder(out) as temporary:
        _write_files(temporary, frames, split)
        if out.exists() and any(out.iterdir()):
            _refuse_another_split(out, temporary)


def read_split(path: Path) -> SplitFolder:
    """Read a split folder and check every frame against the hash in its ``split.json``.

    Raises
    ------
    DataError
        If a file is missing or damaged, or a frame is not the one that was drawn.
    """
    path = Path(path)
    summary, hashes = _read_summary(path)
    parts = {part: _read_part(path / f"{part}.extxyz", hashes[part]) for part in PARTS}
    return SplitFolder(path=path, summary=summary, **parts)


def check_against_split(path: Path, frames: Sequence[Frame]) -> dict[str, Any] | None:
    """Check frames that were read from a file of a split folder against its ``split.json``.

    Parameters
    ----------
    path
        The file; only its place and name are looked at.
    frames
        What it holds.

    Returns
    -------
    dict or None
        Content of ``split.json``; None where there is none, or the file is no part of the split.

    Raises
    ------
    DataError
        If ``split.json`` is damaged, or a frame is not the one that was drawn.
    """
    path = Path(path)
    if path.suffix != ".extxyz" or path.stem not in PARTS:
        return None
    if not (path.parent / SUMMARY).exists():
        return None
    summary, hashes = _read_summary(path.parent)
    _refuse_changed(path, frames, hashes[path.stem])
    return summary


def _read_summary(path: Path) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Content of a folder's ``split.json``, and the hashes in it by part."""
    try:
        summary = json.loads((path / SUMMARY).read_text(encoding="utf-8"))
        return summary, {part: list(summary["frame_sha256"][part]) for part in PARTS}
    except OSError as error:
        raise DataError(
            f"{path}: expected a folder made by 'moalloy dataset split', found no readable "
            f"{SUMMARY} ({error.strerror})"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path / SUMMARY}: expected what 'moalloy dataset split' writes, found a damaged "
            "file. Split again into another folder"
        ) from error


def _counts(frames: Sequence[Frame]) -> dict[str, Any]:
    dopants = Counter(dopant for frame in frames for dopant in frame.dopants)
    return {
        "frames": len(frames),
        "groups": len({frame.group for frame in frames}),
        "atoms": sum(frame.n_atoms for frame in frames),
        "frames_with_dopant": dict(sorted(dopants.items())),
    }


def _write_files(folder: Path, frames: Sequence[Frame], split: Split) -> None:
    hashes: dict[str, list[str]] = {}
    for part in PARTS:
        members = [frames[i] for i in getattr(split, part)]
        write_dataset(folder / f"{part}.extxyz", members)
        hashes[part] = [frame.sha256 for frame in members]
    content = {
        **describe_split(frames, split),
        "random_order": "SHA-256 of 'seed/part/group' (frame-wise: of 'seed/part/frame hash')",
        "hash_decimals": HASH_DECIMALS,
        "frame_sha256": hashes,
    }
    text = json.dumps(content, indent=2) + "\n"
    (folder / SUMMARY).write_text(text, encoding="utf-8")


def _refuse_foreign(out: Path, ours: AbstractSet[str] = _FILES) -> None:
    if not out.exists():
        return
    if not out.is_dir():
        raise DataError(f"{out}: expected a folder to write, found a file. Choose another name")
    foreign = sorted(entry.name for entry in out.iterdir() if entry.name not in ours)
    if foreign:
        raise DataError(
            f"{out}: expected no folder, an empty one or one with this split, found other files "
            f"in it ({', '.join(foreign[:3])}). Choose another folder"
        )


def _refuse_another_split(out: Path, wanted: Path) -> None:
    same, _, _ = filecmp.cmpfiles(out, wanted, sorted(_FILES), shallow=False)
    if set(same) != _FILES:
        raise DataError(
            f"{out}: expected no folder, an empty one or one with this split, found another "
            "split, or one that was changed. Choose another folder, or remove this one yourself"
        )


def _read_part(path: Path, hashes: Sequence[str]) -> tuple[Frame, ...]:
    frames = read_dataset(path)
    _refuse_changed(path, frames, hashes)
    return tuple(frames)


def _refuse_changed(path: Path, frames: Sequence[Frame], hashes: Sequence[str]) -> None:
    if len(frames) != len(hashes):
        raise DataError(
            f"{path}: expected {len(hashes)} frames as {SUMMARY} says, found {len(frames)}. The "
            "file was changed: split again into another folder"
        )
    for index, (frame, expected) in enumerate(zip(frames, hashes, strict=True)):
        if frame.sha256 != expected:
            raise DataError(
                f"{path}: frame {index} (the first is 0): expected the frame with the hash "
                f"{expected[:16]} as {SUMMARY} says, found {frame.sha256[:16]}. The file was "
                "changed: split again into another folder"
            )
