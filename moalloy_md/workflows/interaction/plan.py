"""Which cells are relaxed for the interactions of dopants, and what is computed of their energies."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Literal

from moalloy_md.elements import atomic_number
from moalloy_md.structures.dilute import VACANCY, decorated, formula
from moalloy_md.structures.host import HostCell, host_atoms
from moalloy_md.structures.lattice import neighbour_shells
from moalloy_md.structures.pairs import PairSite, pair_sites
from moalloy_md.structures.triplets import Triangle, triangles
from moalloy_md.workflows.interaction.config import InteractionConfig
from moalloy_md.workflows.relaxations import Task

Kind = Literal["pair", "vacancy", "triplet"]


@dataclass(frozen=True)
class Binding:
    """A binding energy: the cells that it is made of."""

    kind: Kind
    """Two dopants, a dopant and a vacancy, or three dopants."""
    members: tuple[str, ...]
    """Chemical symbols, `VACANCY` for a vacancy."""
    repeat: int
    """Cubic cells along an edge."""
    n_sites: int
    """Sites of the cell."""
    place: str
    """Neighbour shell, or the shells of a triangle's sides, with a letter where that leaves a choice."""
    distance_angstrom: float
    """Between the members; the longest side of a triangle."""
    n_contacts: int
    """Images of the second member that are as near: more than 1 where the cell is small."""
    together: str
    """Key of the cell with all of them."""
    host: str
    """Key of the pure host's cell."""
    alone: tuple[str, ...]
    """Keys of the cells with one of them each."""
    sides: tuple["Binding", ...] = ()
    """The pairs of a triplet."""


@dataclass(frozen=True)
class Plan:
    """All cells, and all binding energies."""

    tasks: tuple[Task, ...]
    bindings: tuple[Binding, ...]
    converging: tuple[Binding, ...]
    """Pairs in cells of several sizes."""


def make_plan(config: InteractionConfig, dopants: Sequence[str], *, edge_angstrom: float) -> Plan:
    """List the cells and the energies that a configuration asks for.

    Parameters
    ----------
    config
        Settings.
    dopants
        Chemical symbols.
    edge_angstrom
        Lattice parameter of the host, Å.

    Raises
    ------
    ConfigError
        If a cell is too small for a shell, or no triangle has the sides wanted.
    """
    cells = _Cells(config.supercell(config.cells, edge_angstrom=edge_angstrom))
    bindings = list(_bindings(config, dopants, cells))
    tasks = dict(cells.tasks)
    converging: list[Binding] = []
    if config.convergence is not None:
        wanted = config.convergence
        for repeat in wanted.repeats:
            sized = _Cells(config.supercell(repeat, edge_angstrom=edge_angstrom))
            for place in pair_sites(sized.cell, shells=wanted.shells):
                converging += [sized.pair(x, y, place) for x, y in wanted.pairs]
            tasks |= sized.tasks
    return Plan(tuple(tasks.values()), tuple(bindings), tuple(dict.fromkeys(converging)))


def _bindings(
    config: InteractionConfig, dopants: Sequence[str], cells: "_Cells"
) -> Iterator[Binding]:
    by_number = sorted(dopants, key=atomic_number)
    pairs = {
        "all": list(combinations_with_replacement(by_number, 2)),
        "equal": [(x, x) for x in by_number],
        "none": [],
    }[config.pairs]
    if pairs:
        for place in pair_sites(cells.cell, shells=config.shells):
            yield from (cells.pair(x, y, place) for x, y in pairs)
    for place in pair_sites(cells.cell, shells=config.vacancy_shells):
        yield from (cells.pair(x, VACANCY, place) for x in by_number)
    for triplet in dict.fromkeys(tuple(sorted(t, key=atomic_number)) for t in config.triplets):
        for triangle in triangles(cells.cell, triplet, shells=config.triplet_shells):
            yield cells.triplet(triangle)


class _Cells:
    """Makes cells of one size, each once."""

    def __init__(self, cell: HostCell) -> None:
        self.cell = cell
        self.tasks: dict[str, Task] = {}
        self._names: dict[tuple[tuple[str, ...], PairSite | None], str] = {}
        self._places: dict[int, PairSite] = {}

    def pair(self, x: str, y: str, place: PairSite) -> Binding:
        """Two dopants, or a dopant and a vacancy."""
        if y != VACANCY:
            x, y = sorted((x, y), key=atomic_number)
        return Binding(
            kind="vacancy" if y == VACANCY else "pair",
            members=(x, y),
            repeat=self.cell.cells[0],
            n_sites=self.cell.n_sites,
            place=place.label,
            distance_angstrom=self._distance(place.shell),
            n_contacts=place.n_contacts,
            together=self._task((x, y), place),
            host=self._task(()),
            alone=(self._task((x,)), self._task((y,))),
        )

    def triplet(self, triangle: Triangle) -> Binding:
        """Three dopants, with the pairs on the sides of the triangle."""
        sides = tuple(self.pair(x, y, self._place(shell)) for x, y, shell in triangle.sides)
        atoms = host_atoms(self.cell)
        for site, symbol in zip(triangle.sites, triangle.elements, strict=True):
            atoms.symbols[site] = symbol
        name = f"{self.cell.label}-{formula(atoms, self.cell.host)}-triangle{triangle.label}"
        self.tasks.setdefault(name, Task(name, atoms))
        return Binding(
            kind="triplet",
            members=triangle.elements,
            repeat=self.cell.cells[0],
            n_sites=self.cell.n_sites,
            place=triangle.label,
            distance_angstrom=max(side.distance_angstrom for side in sides),
            n_contacts=1,
            together=name,
            host=self._task(()),
            alone=tuple(self._task((x,)) for x in triangle.elements),
            sides=sides,
        )

    def _task(self, guests: Sequence[str], place: PairSite | None = None) -> str:
        known = (tuple(guests), place)
        if known not in self._names:
            atoms = decorated(self.cell, guests, place)
            self._names[known] = name = str(atoms.info["group"])
            self.tasks[name] = Task(name, atoms)
        return self._names[known]

    def _place(self, shell: int) -> PairSite:
        if not self._places:
            self._places = {place.shell: place for place in pair_sites(self.cell)}
        return self._places[shell]

    def _distance(self, shell: int) -> float:
        return neighbour_shells(self.cell.lattice, shell)[-1].radius * self.cell.edge_angstrom
