"""Which files are DFT output, and how each is read."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from moalloy_md.datasets.importers.mvl import is_mvl
from moalloy_md.datasets.importers.vasp_reader import open_text
from moalloy_md.errors import DataError

Format = Literal["vasprun", "outcar", "extxyz", "ase-db", "ase-traj", "mvl"]

_VASPRUN = re.compile(r"^vasprun(.*?)\.xml(?:\.gz)?$")
_OUTCAR = re.compile(r"^OUTCAR((?!.*\.(?:bz2|xz|zip|tar|tgz|txt)$).*?)(?:\.gz)?$")
_BY_SUFFIX: dict[str, Format] = {
    ".extxyz": "extxyz",
    ".xyz": "extxyz",
    ".db": "ase-db",
    ".traj": "ase-traj",
}
_HEAD_BYTES = 200_000
_KNOWN = (
    "vasprun.xml or OUTCAR of VASP (also .gz), extended XYZ, an ASE database or trajectory, or a "
    "JSON list of the Materials Virtual Lab"
)


@dataclass(frozen=True)
class Source:
    """One file to import.

    Attributes
    ----------
    path
        Where it is.
    name
        Its path below the folder that all sources share: goes into ``info["source"]``.
    run
        Names its runs: the folder for VASP's fixed file names, else the file without suffix.
    format
        How to read it.
    instead
        OUTCAR of the same run, for a vasprun.xml that turns out to be unusable.
    """

    path: Path
    name: str
    run: str
    format: Format
    instead: Path | None = None


def find_sources(paths: Iterable[Path], remark: Callable[[str], None]) -> list[Source]:
    """Find what to import: files as given, folders searched with all that is below them.

    Of a vasprun.xml and an OUTCAR of one run the first is taken. A file that is reached twice is
    taken once, and `remark` is told.

    Parameters
    ----------
    paths
        Files and folders.
    remark
        Takes sentences for the user.

    Raises
    ------
    DataError
        If a path does not exist, a given file is of no known format, or there is nothing to import.
    """
    found: dict[Path, tuple[Path, Format]] = {}
    for path in paths:
        for file, kind in _formats(Path(path)):
            key = file.resolve()
            if key in found:
                remark(f"{file}: given twice (also as {found[key][0]}): read once")
            else:
                found[key] = (file, kind)
    if not found:
        where = ", ".join(map(str, paths))
        raise DataError(f"{where}: expected {_KNOWN}, found no such file")
    base = Path(os.path.commonpath([key.parent for key in found]))
    twins = _outcars_beside_vaspruns(found)
    sources = []
    for key, (file, kind) in found.items():
        if key not in twins.values():
            name = key.relative_to(base).as_posix()
            sources.append(Source(file, name, _run_name(name, kind), kind, twins.get(key)))
    times = Counter(source.run for source in sources)
    return [
        replace(source, run=source.name) if times[source.run] > 1 else source for source in sources
    ]


def _run_name(name: str, kind: Format) -> str:
    path = Path(name)
    if kind not in {"vasprun", "outcar"}:
        return path.with_suffix("").as_posix()
    found = _VASPRUN.match(path.name) or _OUTCAR.match(path.name)
    tag = found.group(1).strip("._-") if found else path.stem
    parts = [part for part in (*path.parent.parts, tag) if part]
    return "/".join(parts) or kind


def _formats(path: Path) -> Iterator[tuple[Path, Format]]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            kind = format_of(file) if file.is_file() else None
            if kind is not None:
                yield file, kind
        return
    if not path.exists():
        raise DataError(f"{path}: expected a file or folder to import, found none. Check the path")
    kind = format_of(path) or _by_content(path)
    if kind is None:
        raise DataError(f"{path}: expected {_KNOWN}, found another kind of file")
    yield path, kind


def format_of(path: Path) -> Format | None:
    """Format of a file by its name, and for JSON by its start; None if it is none of ours."""
    if _VASPRUN.match(path.name):
        return "vasprun"
    if _OUTCAR.match(path.name):
        return "outcar"
    if path.suffix == ".json":
        head = _head(path)
        if is_mvl(head):
            return "mvl"
        return "ase-db" if head.lstrip().startswith("{") and '"nextid"' in _tail(path) else None
    return _BY_SUFFIX.get(path.suffix)


def _by_content(path: Path) -> Format | None:
    """Format of a file with an unusual name that the user gave."""
    head = _head(path)
    if "<modeling>" in head[:2000]:
        return "vasprun"
    if head.lstrip().startswith("vasp.") or " POTCAR:" in head:
        return "outcar"
    lines = head.split("\n", 2)
    return "extxyz" if lines[0].strip().isdigit() and len(lines) > 1 else None


def _head(path: Path) -> str:
    with open_text(path) as file:
        return file.read(_HEAD_BYTES).decode("utf-8", errors="replace")


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        return file.read().decode("utf-8", errors="replace")


def _outcars_beside_vaspruns(found: dict[Path, tuple[Path, Format]]) -> dict[Path, Path]:
    """For each vasprun.xml with an OUTCAR of the same run in the same folder: that OUTCAR."""
    outcars = {}
    for key, (_, kind) in found.items():
        match = _OUTCAR.match(key.name)
        if kind == "outcar" and match:
            outcars[key.parent, match.group(1).strip("._-")] = key
    twins = {}
    for key, (_, kind) in found.items():
        match = _VASPRUN.match(key.name)
        if kind == "vasprun" and match:
            twin = outcars.get((key.parent, match.group(1).strip("._-")))
            if twin is not None:
                twins[key] = twin
    return twins
