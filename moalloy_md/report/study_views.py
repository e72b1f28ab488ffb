"""What the tables of a study's report are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from moalloy_md.workflows.study.results import Mean

#: A column: title, name of the number in `moalloy_md.workflows.study.results.NUMBERS`, decimals.
#: Columns whose titles begin alike up to a colon stand under one heading on the page.
Column = tuple[str, str, int]

#: What stands beside every force error, so that predicting zero can be told from success.
BESIDE_FORCES: tuple[Column, ...] = (
    ("mean |F|", "mean_abs_force_mev_per_angstrom", 1),
    ("R² of F", "force_r2", 3),
    ("slope of F", "force_slope", 2),
)


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    runs: tuple[str, ...] = ()
    """The evaluations that a number is of: ``run/evaluation``."""

    @property
    def hint(self) -> str:
        """What is shown when the pointer rests on it."""
        return "\n".join(self.runs)


@dataclass(frozen=True)
class Line:
    """One line of a table."""

    cells: tuple[Cell, ...]
    style: str = ""
    """``paper`` for the paper's numbers, ``mean`` for a mean over the lines above."""

    @property
    def runs(self) -> tuple[str, ...]:
        """The evaluations that its numbers are of."""
        return tuple(dict.fromkeys(run for cell in self.cells for run in cell.runs))


@dataclass(frozen=True)
class TableView:
    """A table as the page and a CSV file show it."""

    name: str
    """Of the CSV file."""
    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = field(default=())
    folded: bool = False
    """Whether the page shows its lines only when asked to."""

    @property
    def headings(self) -> list[tuple[str, list[str]]]:
        """Columns under their headings: the heading, empty for none, and the columns' own titles."""
        found: list[tuple[str, list[str]]] = []
        for column in self.columns:
            heading, colon, title = column.partition(": ")
            if not colon:
                found.append(("", [column]))
            elif found and found[-1][0] == heading:
                found[-1][1].append(title)
            else:
                found.append((heading, [title]))
        return found

    @property
    def edges(self) -> set[int]:
        """Columns, counted from 0, with which a heading begins."""
        found, place = set(), 0
        for heading, own in self.headings:
            if heading:
                found.add(place)
            place += len(own)
        return found

    def csv_lines(self) -> list[list[str]]:
        """Return the table as a file holds it: the runs of each line in a last column."""
        lines = [
            [*(cell.text for cell in line.cells), " ".join(line.runs)] for line in self.lines
        ]  # fmt: skip
        return [[*self.columns, "runs"], *lines]


BLANK = Cell("–")


def mean_cells(
    found: Mapping[str, Mean], columns: Sequence[Column], *, sign: bool = False
) -> tuple[Cell, ...]:
    """Return a cell a column; `sign` for differences, which show theirs always."""
    return tuple(mean_cell(found.get(key), decimals, sign=sign) for _, key, decimals in columns)


def mean_cell(mean: Mean | None, decimals: int, *, sign: bool = False) -> Cell:
    """Return a mean with the standard deviation over its folds, if there are several."""
    if mean is None:
        return BLANK
    spread = "" if mean.std is None else f" ± {mean.std:.{decimals}f}"
    return Cell(f"{mean.mean:{'+' if sign else ''}z.{decimals}f}{spread}", mean.runs)


def titles(columns: Sequence[Column]) -> tuple[str, ...]:
    """Return the titles of columns."""
    return tuple(title for title, *_ in columns)
