"""``moalloy dataset import``: DFT output in, one dataset out."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any

from ase.io.extxyz import write_xyz

from moalloy_md.datasets.extxyz import iter_atoms
from moalloy_md.datasets.extxyz_count import count_frames
from moalloy_md.datasets.frames import Frame
from moalloy_md.datasets.importers.ase_files import database_rows, read_images, trajectory_images
from moalloy_md.datasets.importers.assign import frames_of
from moalloy_md.datasets.importers.cell_infos import CellInfos
from moalloy_md.datasets.importers.config import ImportConfig
from moalloy_md.datasets.importers.find import Source, find_sources
from moalloy_md.datasets.importers.mvl import read_mvl
from moalloy_md.datasets.importers.outcar import read_outcar
from moalloy_md.datasets.importers.runs import Importing, Run
from moalloy_md.datasets.importers.vasprun import read_vasprun
from moalloy_md.errors import ConfigError, DataError
from moalloy_md.rundir import replacing

#: Told the bytes done, the bytes in all, and the frames so far.
Watch = Callable[[float, float, int], None]


@dataclass
class ImportSummary:
    """What an import wrote and what it left out.

    Attributes
    ----------
    frames, atoms
        How many were written.
    files, by_format
        How many files were read, in all and of each format.
    by_state, by_source
        Frames of each state, and of each file.
    groups, frames_without_group
        Different named groups, and frames that belong to none (each is then its own).
    forces, stresses
        Frames with these labels; all have energies.
    copies
        Frames that were left out because an identical one was there already.
    remarks
        Sentences on everything that was left out or could be misunderstood.
    """

    frames: int = 0
    atoms: int = 0
    files: int = 0
    by_format: Counter[str] = field(default_factory=Counter)
    by_state: Counter[str] = field(default_factory=Counter)
    by_source: Counter[str] = field(default_factory=Counter)
    groups: int = 0
    frames_without_group: int = 0
    forces: int = 0
    stresses: int = 0
    copies: int = 0
    remarks: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the summary with plain types, and the units of what was written."""
        return {
            "frames": self.frames,
            "atoms": self.atoms,
            "files": self.files,
            "by_format": dict(self.by_format),
            "by_state": dict(self.by_state),
            "by_source": dict(self.by_source),
            "groups": self.groups,
            "frames_without_group": self.frames_without_group,
            "labels": {"energy": self.frames, "forces": self.forces, "stress": self.stresses},
            "units": {
                "energy": "eV (force-consistent, total)",
                "forces": "eV/Å",
                "stress": "eV/Å³, tension positive, xx yy zz yz xz xy",
            },
            "copies_left_out": self.copies,
            "remarks": self.remarks,
        }


def import_files(
    paths: Iterable[Path],
    out: Path,
    config: ImportConfig,
    *,
    overwrite: bool = False,
    watch: Watch | None = None,
) -> ImportSummary:
    """Import DFT output as one dataset; the whole file is written, or nothing.

    Parameters
    ----------
    paths
        Files, and folders that are searched with all that is below them.
    out
        Extended XYZ file to write.
    config
        Settings.
    overwrite
        Replace `out` if it exists.
    watch
        For a progress bar.

    Raises
    ------
    ConfigError
        If `out` exists.
    DataError
        If a source is missing, damaged or lacks labels (named with file, frame and atom), or
        nothing usable was found.
    """
    if out.exists() and not overwrite:
        raise ConfigError(f"{out}: exists already. Choose another name, or give --overwrite")
    summary = ImportSummary()
    paths = [Path(path) for path in paths]
    if out.resolve() in {path.resolve() for path in paths}:
        raise ConfigError(f"{out}: is among the sources too. Choose another name for the result")
    sources = [
        source  # an earlier result in a folder that is searched is no source
        for source in find_sources(paths, summary.remarks.append)
        if source.path.resolve() != out.resolve()
    ]
    try:
        with replacing(out) as temporary, temporary.open("w", encoding="utf-8") as file:
            _Writer(file, config, summary).write_all(sources, watch or _ignore)
            if not summary.frames:
                raise DataError(
                    "expected labelled cells to import, found none: " + " ".join(summary.remarks)
                )
    except OSError as error:
        raise DataError(
            f"{error.filename or out}: cannot be read or written ({error.strerror}). Check the path, "
            "its permissions and the room on its disk"
        ) from error
    return summary


def _ignore(_done: float, _total: float, _frames: int) -> None:
    pass


class _Writer:
    """Writes frames as they are read and keeps count."""

    def __init__(self, file: IO[str], config: ImportConfig, summary: ImportSummary) -> None:
        self.file = file
        self.summary = summary
        self.importing = Importing(config, summary.remarks.append)
        self.cells = CellInfos(self.importing)
        self.groups: set[str] = set()
        self.written: dict[str, str] = {}  # source of each frame by its hash
        self.copies: Counter[tuple[str, str]] = Counter()

    def write_all(self, sources: list[Source], watch: Watch) -> None:
        sizes = [source.path.stat().st_size for source in sources]
        done, total = 0.0, float(sum(sizes)) or 1.0
        for source, size in zip(sources, sizes, strict=True):
            expected = count_frames(source.path) if source.format == "extxyz" else None
            share = size / expected if expected else 0.0
            for count, frame in enumerate(self._frames(source), start=1):
                self._write(frame, source)
                watch(min(done + count * share, done + size), total, self.summary.frames)
            done += size
            self.summary.files += 1
            self.summary.by_format[source.format] += 1
            watch(done, total, self.summary.frames)
        self.cells.finish()
        self.summary.groups = len(self.groups)
        for (source_name, first), n in self.copies.items():
            self.summary.remarks.append(
                f"{source_name}: {n} frames are exact copies of frames of {first}: left out"
            )

    def _frames(self, source: Source) -> Iterator[Frame]:
        """Frames of a file; with ``skip_bad`` those up to where it cannot be read further."""
        importing = self.importing
        try:
            runs = _runs(source, importing)
            if source.format in {"vasprun", "outcar"}:
                runs = self.cells.described(source, runs)
            for run in runs:
                if run.kind == "md" and importing.config.md_block is None:
                    importing.remark(
                        f"{run.name}: an MD trajectory, taken as one group; --md-block N cuts it"
                    )
                yield from frames_of(run, importing, source.name)
        except DataError as error:
            importing.refuse(error)
        for text, n in importing.tally.items():
            importing.remark(f"{source.name}: {n} {text}")
        importing.tally.clear()

    def _write(self, frame: Frame, source: Source) -> None:
        summary = self.summary
        if frame.sha256 in self.written:
            self.copies[source.name, self.written[frame.sha256]] += 1
            summary.copies += 1
            return
        self.written[frame.sha256] = source.name
        write_xyz(self.file, [frame.atoms])
        summary.frames += 1
        summary.atoms += frame.n_atoms
        summary.by_state[frame.state] += 1
        summary.by_source[source.name] += 1
        summary.forces += 1
        summary.stresses += frame.stress is not None
        if frame.has_named_group:
            self.groups.add(frame.group)
        else:
            summary.frames_without_group += 1


def _runs(source: Source, importing: Importing) -> Iterator[Run]:
    images = {"ase-db": database_rows, "ase-traj": trajectory_images, "extxyz": iter_atoms}
    if source.format in images:
        return read_images(images[source.format](source.path), source.run, importing)
    if source.format == "mvl":
        return read_mvl(source.path, source.run, importing)
    if source.format == "outcar":
        return read_outcar(source.path, source.run, importing)
    return _vasp_runs(source, importing)


def _vasp_runs(source: Source, importing: Importing) -> Iterator[Run]:
    """Read a vasprun.xml, or the OUTCAR beside it where it has no finished step."""
    runs = read_vasprun(source.path, source.run, importing)
    try:
        first = next(runs, None)
    except DataError as error:
        if source.instead is None:
            raise
        importing.remark(f"{error}. Its OUTCAR was read instead")
        first = None
    if first is not None:
        yield from chain([first], runs)
    elif source.instead is not None:
        yield from read_outcar(source.instead, source.run, importing)
