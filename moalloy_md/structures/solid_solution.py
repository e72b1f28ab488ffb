"""Random substitutional solid solutions of a host."""

import numpy as np
from ase import Atoms
from ase.build import bulk

from moalloy_md.elements import HOST, atomic_number
from moalloy_md.errors import ConfigError


def solid_solution(
    *,
    dopants: dict[str, float],
    repeat: tuple[int, int, int],
    lattice_parameter_angstrom: float,
    host: str = HOST,
    seed: int = 0,
) -> Atoms:
    """Build a bcc supercell in which dopants sit on sites drawn at random.

    Parameters
    ----------
    dopants
        Atomic fraction of each dopant. The number of its atoms is rounded to the nearest, but to
        at least one where the fraction is not zero.
    repeat
        Cubic cells along x, y and z; two atoms each.
    lattice_parameter_angstrom
        Edge of the cubic cell, Å.
    host
        Symbol of the host.
    seed
        Of NumPy's PCG64 generator, which draws the sites.

    Returns
    -------
    Atoms
        Periodic, atoms on ideal sites.

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
    atoms = bulk(host, "bcc", a=lattice_parameter_angstrom, cubic=True).repeat(repeat)
    counts = {
        symbol: max(1, round(fraction * len(atoms))) if fraction > 0 else 0
        for symbol, fraction in dopants.items()
    }
    if sum(counts.values()) >= len(atoms):
        raise ConfigError(
            f"expected fewer dopants than the {len(atoms)} sites, found {sum(counts.values())}: "
            "lower the fractions or repeat the cell more often"
        )
    sites = iter(np.random.default_rng(seed).permutation(len(atoms)))
    for symbol, count in counts.items():
        for _ in range(count):
            atoms.symbols[next(sites)] = symbol
    return atoms
