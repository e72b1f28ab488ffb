"""``moalloy dataset check``: run all checks over a dataset, frame by frame."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms

from moalloy_md.datasets.checks.config import CheckConfig
from moalloy_md.datasets.checks.distances import CloseAtoms
from moalloy_md.datasets.checks.duplicates import Duplicates
from moalloy_md.datasets.checks.energies import EnergyKind, EnergyOutlier, ReferenceEnergies
from moalloy_md.datasets.checks.findings import Check, Finding, Seen
from moalloy_md.datasets.checks.forces import ForceOutlier, NetForce
from moalloy_md.datasets.checks.labels import UnreadStress
from moalloy_md.datasets.checks.settings import MixedSettings
from moalloy_md.datasets.checks.states import Groups, StateContradiction
from moalloy_md.datasets.checks.stresses import StressWork
from moalloy_md.datasets.extxyz import Place, iter_atoms
from moalloy_md.datasets.frames import Frame, frame_from_atoms
from moalloy_md.errors import ConfigError, DataError

CHECKS: tuple[type[Check], ...] = (
    UnreadStress,
    CloseAtoms,
    NetForce,
    ForceOutlier,
    EnergyOutlier,
    EnergyKind,
    ReferenceEnergies,
    Duplicates,
    MixedSettings,
    StressWork,
    StateContradiction,
    Groups,
)

#: Wraps the iteration over the frames of the file, for a progress bar.
Watch = Callable[[Iterable[tuple[Place, Atoms]]], Iterable[tuple[Place, Atoms]]]

_LABELS = "labels"
_FILE = "file"
_AFTER_PLACE = re.compile(r"^(?:, atom (\d+))?: (.*)$", re.DOTALL)


@dataclass
class CheckReport:
    """What the checks found in a dataset.

    Attributes
    ----------
    file
        The dataset.
    frames, atoms
        How many were seen.
    energies, forces, stresses
        Frames with usable energy and forces, and those that have a stress too.
    checks
        Names of the checks that ran.
    evidence
        What the data prove about the sign and the unit of the stress.
    findings
        Errors first, then in the order of the checks and the frames.
    """

    file: str
    frames: int = 0
    atoms: int = 0
    energies: int = 0
    forces: int = 0
    stresses: int = 0
    checks: list[str] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def n_errors(self) -> int:
        """How many findings are errors."""
        return sum(finding.severity == "error" for finding in self.findings)

    @property
    def n_warnings(self) -> int:
        """How many findings are warnings."""
        return len(self.findings) - self.n_errors

    def to_json(self) -> dict[str, Any]:
        """Return the report with plain types."""
        counts = Counter(f"{f.check} {f.severity}" for f in self.findings)
        return {
            "file": self.file,
            "frames": self.frames,
            "atoms": self.atoms,
            "labels": {"energy": self.energies, "forces": self.forces, "stress": self.stresses},
            "units": {"energy": "eV", "forces": "eV/Å", "stress": "eV/Å³, tension positive"},
            "checks": self.checks,
            "n_errors": self.n_errors,
            "n_warnings": self.n_warnings,
            "counts": dict(counts),
            "evidence": self.evidence,
            "findings": [asdict(finding) for finding in self.findings],
        }


def check_dataset(
    path: Path, config: CheckConfig | None = None, *, watch: Watch = iter
) -> CheckReport:
    """Check a dataset; it is read as a stream.

    Parameters
    ----------
    path
        Extended XYZ file.
    config
        Limits; the defaults if None.
    watch
        For a progress bar.

    Raises
    ------
    ConfigError
        If `config` skips a check that does not exist.
    DataError
        If the file cannot be opened or holds no frame. What is wrong inside it is a finding.
    """
    config = config or CheckConfig()
    names = [_FILE, _LABELS, *(check.name for check in CHECKS)]
    unknown = sorted(set(config.skip) - set(names))
    if unknown:
        raise ConfigError(f"skip: expected checks among {', '.join(names)}, found {unknown[0]!r}")
    checks = [check(str(path), config) for check in CHECKS if check.name not in config.skip]
    report = CheckReport(str(path), checks=[name for name in names if name not in config.skip])
    for seen in _frames(path, report, watch):
        for check in checks:
            report.findings.extend(check.see(seen))
    for check in checks:
        report.findings.extend(check.finish())
        if isinstance(check, StressWork):
            report.evidence = check.evidence
    if report.energies and 0 < report.stresses < report.energies:
        report.findings.append(_some_without_stress(report))
    rank = {name: k for k, name in enumerate(names)}
    report.findings = sorted(
        (finding for finding in report.findings if finding.check not in config.skip),
        key=lambda f: (f.severity != "error", rank[f.check], -1 if f.frame is None else f.frame),
    )
    return report


def _frames(path: Path, report: CheckReport, watch: Watch) -> Iterator[Seen]:
    """Frames that hold the dataset contract; findings for those that do not."""
    try:
        for index, (place, atoms) in enumerate(watch(iter_atoms(path))):
            report.frames += 1
            report.atoms += len(atoms)
            frame = _frame(index, place, atoms, path, report)
            if frame is not None:
                report.energies += 1
                report.forces += 1
                report.stresses += frame.stress is not None
                yield Seen(index, frame)
    except DataError as error:
        if report.frames == 0 and not path.is_file():
            raise
        report.findings.append(_damaged(path, report.frames, error))


def _frame(index: int, place: Place, atoms: Atoms, path: Path, report: CheckReport) -> Frame | None:
    try:
        return frame_from_atoms(atoms, source=path.name, place=place)
    except DataError as error:
        found = _AFTER_PLACE.match(str(error).removeprefix(place))
        atom, text = (found.group(1), found.group(2)) if found else (None, str(error))
        report.findings.append(
            Finding(
                severity="error",
                check=_LABELS,
                file=str(path),
                frame=index,
                atom=None if atom is None else int(atom),
                name=str(atoms.info.get("name", "")),
                found=text,
                why="a frame with missing, infinite or undefined (NaN) labels cannot be trained "
                "on, and every command of moalloy refuses a file that holds one",
                mend="relabel the frame, rename its labels with moalloy dataset import, or remove it",
            )
        )
        return None


def _damaged(path: Path, n_read: int, error: DataError) -> Finding:
    return Finding(
        severity="error",
        check=_FILE,
        file=str(path),
        frame=n_read,
        atom=None,
        name="",
        found=f"{error} Nothing after this place was checked",
        why="a damaged file is refused by every command, or worse, read in part by other tools",
        mend="mend the place, or write the file again, and check once more",
    )


def _some_without_stress(report: CheckReport) -> Finding:
    missing = report.energies - report.stresses
    return Finding(
        severity="warning",
        check=_LABELS,
        file=report.file,
        frame=None,
        atom=None,
        name="",
        found=f"{missing} of {report.energies} frames have no REF_stress, the others do",
        why="training with a weight on the stress sees only a part of the frames",
        mend="add the stress where it is missing, or train without a weight on it",
    )
