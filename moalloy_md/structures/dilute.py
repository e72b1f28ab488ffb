"""Dilute cells: one or two dopants in a host, or a vacancy beside one; the paper's and beyond."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations_with_replacement
from typing import Any, Literal

from ase import Atoms
from pydantic import field_validator, model_validator

from moalloy_md.elements import ALL_DOPANTS, ChemicalSymbol
from moalloy_md.structures.host import HostCell, host_atoms
from moalloy_md.structures.pairs import PairSite, pair_sites
from moalloy_md.structures.variants import Variants, make_variants

#: Stands for a missing atom where dopants are listed by symbol.
VACANCY = "vac"


class DiluteConfig(HostCell, Variants):
    """Cells with one or two dopants: every one that is different by symmetry, once."""

    dopants: tuple[ChemicalSymbol, ...] = ALL_DOPANTS
    """Chemical symbols; all 20 of the package unless said."""
    pure: bool = True
    """The host without a dopant."""
    singles: bool = True
    """One dopant."""
    pairs: Literal["all", "equal", "none"] = "all"
    """Two dopants: every pair, only pairs of one element, or none."""
    shells: tuple[int, ...] = (1, 2, 3)
    """Neighbour shells of the host lattice in which the second dopant of a pair sits."""
    vacancy_shells: tuple[int, ...] = ()
    """Neighbour shells in which one dopant has a vacancy; with any, the vacancy of the pure host
    is made too."""

    @field_validator("dopants")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        twice = [name for name, n in Counter(value).items() if n > 1]
        if twice:
            raise ValueError(f"expected each dopant once, found {', '.join(twice)} more than once")
        return value

    @field_validator("shells", "vacancy_shells")
    @classmethod
    def _shells_once(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(shell < 1 for shell in value) or len(set(value)) < len(value):
            raise ValueError("expected different shell numbers from 1 on")
        return value

    @model_validator(mode="after")
    def _host_remains(self) -> "DiluteConfig":
        if self.host in self.dopants:
            raise ValueError(
                f"expected dopants other than the host {self.host}, found it among them"
            )
        if self.n_sites < 3 and (self.pairs != "none" or self.vacancy_shells):
            raise ValueError(
                f"expected a cell in which a pair leaves atoms of the host, found {self.n_sites} "
                "sites: repeat the cell more often, or say pairs: none"
            )
        return self


@dataclass(frozen=True)
class DiluteCounts:
    """How many symmetry-distinct decorations there are: the formula, term by term.

    With n dopants, P places for a pair's second one and V for a vacancy:
    ``1 + n + n(n+1)/2 · P`` (and ``1 + n · V`` with a vacancy).
    """

    pure: int
    singles: int
    element_pairs: int
    """Pairs of elements, n(n+1)/2 with those of one element."""
    pair_places: int
    """Symmetry-distinct places of the second dopant in the shells wanted, P."""
    vacancies: int

    @property
    def pairs(self) -> int:
        """Cells with two dopants."""
        return self.element_pairs * self.pair_places

    @property
    def total(self) -> int:
        """All of them, before variants."""
        return self.pure + self.singles + self.pairs + self.vacancies

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {**asdict(self), "pairs": self.pairs, "total": self.total}


def dilute_counts(config: DiluteConfig) -> DiluteCounts:
    """Count the decorations by the formula, without building one.

    Raises
    ------
    ConfigError
        If the cell is too small for a shell.
    """
    n = len(config.dopants)
    element_pairs = {"all": n * (n + 1) // 2, "equal": n, "none": 0}[config.pairs]
    places = len(pair_sites(config, shells=config.shells)) if element_pairs else 0
    n_vacancy_sites = len(pair_sites(config, shells=config.vacancy_shells))
    return DiluteCounts(
        pure=int(config.pure),
        singles=n if config.singles else 0,
        element_pairs=element_pairs,
        pair_places=places,
        vacancies=1 + n * n_vacancy_sites if config.vacancy_shells else 0,
    )


def dilute_cells(config: DiluteConfig) -> Iterator[Atoms]:
    """Make all cells of a configuration: host, singles, pairs, vacancies, each with its variants.

    Yields
    ------
    Atoms
        With ``info`` of the dataset contract (``host``, ``group``, ``state``, ``name``) and
        ``lattice``; for pairs ``shell`` and ``n_contacts`` (see `PairSite`), for a vacancy
        beside a dopant ``vacancy_shell``. Cells with a magnetic dopant carry
        ``initial_magmoms``.

    Raises
    ------
    ConfigError
        If the cell is too small for a shell.
    """
    prefix = "" if config.has_default_edge else f"a{config.edge_angstrom:.4f}-"
    for decorated in decorations(config):
        yield from make_variants(decorated, config, prefix=prefix)


def decorations(config: DiluteConfig) -> Iterator[Atoms]:
    """Make each symmetry-distinct decoration once, on ideal sites."""
    pair_places = pair_sites(config, shells=config.shells) if config.pairs != "none" else []
    vacancy_places = pair_sites(config, shells=config.vacancy_shells)
    if config.pure:
        yield decorated(config, ())
    if config.singles:
        for x in config.dopants:
            yield decorated(config, (x,))
    for place in pair_places:
        for x, y in _element_pairs(config):
            yield decorated(config, (x, y), place)
    if config.vacancy_shells:
        yield decorated(config, (VACANCY,))
    for place in vacancy_places:
        for x in config.dopants:
            yield decorated(config, (x, VACANCY), place)


def _element_pairs(config: DiluteConfig) -> list[tuple[str, str]]:
    if config.pairs == "equal":
        return [(x, x) for x in config.dopants]
    return [(min(p), max(p)) for p in combinations_with_replacement(config.dopants, 2)]


def decorated(config: HostCell, guests: Sequence[str], place: PairSite | None = None) -> Atoms:
    """Put guests on site 0 and on the place of a pair, and say what the cell is.

    Parameters
    ----------
    config
        The supercell.
    guests
        None, one or two chemical symbols; `VACANCY` leaves a site empty.
    place
        Where the second one goes.
    """
    atoms = host_atoms(config)
    sites = (0,) if place is None else (0, place.site)
    for site, guest in zip(sites, guests, strict=False):  # no guests: the pure host
        if guest != VACANCY:
            atoms.symbols[site] = guest
    missing = [site for site, guest in zip(sites, guests, strict=False) if guest == VACANCY]
    del atoms[missing]
    parts = [config.label, formula(atoms, config.host)]
    if VACANCY in guests:
        parts.append(VACANCY)
    if place is not None:
        parts.append(f"shell{place.label}")
    atoms.info.update(host=config.host, lattice=config.lattice, group="-".join(parts))
    if place is not None and VACANCY in guests:
        atoms.info["vacancy_shell"] = place.shell
    elif place is not None:
        atoms.info.update(shell=place.shell, n_contacts=place.n_contacts)
    return atoms


def formula(atoms: Atoms, host: str) -> str:
    """Composition in a name, host first: ``Mo126Ta1W1``."""
    counts = Counter(str(symbol) for symbol in atoms.symbols)
    order = sorted(counts, key=lambda symbol: (symbol != host, symbol))
    return "".join(f"{symbol}{counts[symbol]}" for symbol in order)
