"""Random substitutional solid solutions of a host."""

import math
from collections.abc import Iterator

import numpy as np
from ase import Atoms
from ase.build import bulk
from pydantic import Field, field_validator

from moalloy_md.elements import HOST, ChemicalSymbol, atomic_number
from moalloy_md.errors import ConfigError
from moalloy_md.structures.dilute import formula
from moalloy_md.structures.host import HostCell, refuse_what_does_not_fit
from moalloy_md.structures.lattice import SITES_PER_CUBE, LatticeName
from moalloy_md.structures.variants import Variants, make_variants


class RandomConfig(HostCell, Variants):
    """Random solid solutions of the host."""

    dopants: dict[ChemicalSymbol, float]
    """Atomic fraction of each dopant: ``{W: 0.05, Ta: 0.02}``. The number of its atoms is rounded
    to the nearest, but to at least one."""
    n_cells: int = Field(default=1, ge=1)
    """How many, each with other sites."""
    seed: int = Field(default=0, ge=0)
    """Of the first cell; the next ones count on."""

    @field_validator("dopants")
    @classmethod
    def _some_dopant(cls, value: dict[str, float]) -> dict[str, float]:
        if not value:
            raise ValueError("expected at least one dopant with its fraction, such as W: 0.05")
        return value


def random_cells(config: RandomConfig) -> Iterator[Atoms]:
    """Make random solid solutions, each with its variants.

    Yields
    ------
    Atoms
        With ``info`` of the dataset contract and ``lattice``; the group is one draw of sites.

    Raises
    ------
    ConfigError
        If the host is among the dopants, a fraction is not between 0 and 1, or no host atom is
        left.
    """
    prefix = "" if config.has_default_edge else f"a{config.edge_angstrom:.4f}-"
    for seed in range(config.seed, config.seed + config.n_cells):
        atoms = solid_solution(
            dopants=config.dopants,
            repeat=config.cells,
            lattice_parameter_angstrom=config.edge_angstrom,
            host=config.host,
            lattice=config.lattice,
            seed=seed,
        )
        group = f"{config.label}-{formula(atoms, config.host)}-seed{seed}"
        atoms.info.update(host=config.host, lattice=config.lattice, group=group)
        yield from make_variants(atoms, config, prefix=prefix)


def solid_solution(
    *,
    dopants: dict[str, float],
    repeat: tuple[int, int, int],
    lattice_parameter_angstrom: float,
    host: str = HOST,
    lattice: LatticeName = "bcc",
    seed: int = 0,
) -> Atoms:
    """Build a supercell in which dopants sit on sites drawn at random.

    Parameters
    ----------
    dopants
        Atomic fraction of each dopant. The number of its atoms is rounded to the nearest, but to
        at least one where the fraction is not zero.
    repeat
        Cubic cells along x, y and z; two atoms each for bcc, four for fcc.
    lattice_parameter_angstrom
        Edge of the cubic cell, Å.
    host
        Symbol of the host.
    lattice
        ``"bcc"`` or ``"fcc"``.
    seed
        Of NumPy's PCG64 generator, which draws the sites.

    Returns
    -------
    Atoms
        Periodic, atoms on ideal sites.

    Raises
    ------
    ConfigError
        If a symbol is unknown, a fraction is not between 0 and 1, no host atom is left, or they do
        not fit into the memory.
    """
    refuse_what_does_not_fit(math.prod(repeat) * SITES_PER_CUBE[lattice], "repeat")
    atoms = bulk(host, lattice, a=lattice_parameter_angstrom, cubic=True).repeat(repeat)
    counts = dopant_counts(dopants, n_sites=len(atoms), host=host)
    sites = iter(np.random.default_rng(seed).permutation(len(atoms)))
    for symbol, count in counts.items():
        for _ in range(count):
            atoms.symbols[next(sites)] = symbol
    return atoms


def dopant_counts(dopants: dict[str, float], *, n_sites: int, host: str) -> dict[str, int]:
    """Return how many atoms of each dopant fractions stand for: rounded, but at least one.

    Raises
    ------
    ConfigError
        If a symbol is unknown, a fraction is not between 0 and 1, or no host atom is left.
    """
    for symbol, fraction in dopants.items():
        atomic_number(symbol)
        if symbol == host or not 0.0 <= fraction <= 1.0:
            raise ConfigError(
                f"expected dopants other than {host} with fractions from 0 to 1, found "
                f"{symbol} {fraction:g}"
            )
    counts = {
        symbol: max(1, round(fraction * n_sites)) if fraction > 0 else 0
        for symbol, fraction in dopants.items()
    }
    if sum(counts.values()) >= n_sites:
        raise ConfigError(
            f"expected fewer dopants than the {n_sites} sites, found {sum(counts.values())}: "
            "lower the fractions or repeat the cell more often"
        )
    return counts
