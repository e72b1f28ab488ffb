"""Show a simulation on the screen: a bar on a terminal, a few lines in a log file."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from moalloy_md.lammps.run import OnRow
from moalloy_md.workflows.progress_bar import Lines, clock_time

_NS_PER_DAY = 86.4  # 1 ps/s


@contextmanager
def simulation_bar(console: Console, *, total: int, n_atoms: int) -> Iterator[OnRow]:
    """Yield what is to be called with each line of LAMMPS's thermo output.

    Parameters
    ----------
    console
        Where to show it. Where it is no terminal, a line is printed at the first
        step that has a pace, every 30 s and at the end.
    total
        Steps of the run.
    n_atoms
        Atoms, because energies are shown per atom.
    """
    pace = _Pace(total, n_atoms)
    if not console.is_terminal:
        lines = Lines(console)
        last: float | None = None

        def print_line(row: Mapping[str, float]) -> None:
            nonlocal last
            text = pace.line(row)
            # the first has no pace yet; LAMMPS prints a step again where the next run begins
            if last not in {None, row["Step"]}:
                lines.show(f"  {text}", is_end=row["Step"] >= total)
            last = row["Step"]

        yield print_line
        return
    columns = (TextColumn("  {task.description}"), BarColumn(bar_width=24))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=total)

        def show(row: Mapping[str, float]) -> None:
            bar.update(task, completed=row["Step"], description=pace.line(row))

        yield show


class _Pace:
    """Speed and time left, from the first line of this start on."""

    def __init__(self, total: int, n_atoms: int) -> None:
        self.total, self._n_atoms = total, n_atoms
        self._first: tuple[float, Mapping[str, float]] | None = None

    def line(self, row: Mapping[str, float]) -> str:
        clock = time.monotonic()
        self._first = self._first or (clock, row)
        seconds, start = clock - self._first[0], self._first[1]
        speed, left = "", ""
        if seconds > 0 and row["Step"] > start["Step"]:
            speed = f"{(row['Time'] - start['Time']) / seconds * _NS_PER_DAY:.2f} ns/day  "
            rest = (self.total - row["Step"]) * seconds / (row["Step"] - start["Step"])
            left = f"{clock_time(rest)} left"
        return (
            f"step {row['Step']:.0f} of {self.total}  T {row['Temp']:.0f} K  "
            f"E {row['TotEng'] / self._n_atoms:.4f} eV/atom  P {row['Press'] / 1e4:+.2f} GPa  "
            f"{speed}{left}"
        )
