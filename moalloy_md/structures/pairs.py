"""Which places for a second dopant are different by symmetry, in a periodic cell.

Put one dopant on site 0; every site of a bcc or fcc crystal is like every other. Two places for
the second are alike if a rotation or reflection of the lattice that also maps the supercell onto
itself takes one to the other. Inversion is among them, so (X on site 0, Y on site j) is like
(Y on site 0, X on site j): a pair has no order.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from moalloy_md.errors import ConfigError
from moalloy_md.structures.host import HostCell, site_coordinates
from moalloy_md.structures.lattice import cubic_rotations, shell_number


@dataclass(frozen=True)
class PairSite:
    """A place for the second of two dopants, standing for all that are like it.

    Attributes
    ----------
    site
        Index of the site in `host_atoms`; the first dopant is on site 0.
    shell
        Neighbour shell of the nearest of its periodic images, 1 for nearest neighbours.
    n_contacts
        How many of its images stand in that shell: 1 in a large cell, more where the cell is so
        small that the pair repeats as a chain or a net.
    n_sites
        How many sites are like it.
    label
        The shell's number, with a letter where the shell has several different places.
    """

    site: int
    shell: int
    n_contacts: int
    n_sites: int
    label: str


def pair_sites(cell: HostCell, *, shells: Sequence[int] | None = None) -> list[PairSite]:
    """Find the symmetry-distinct places for a second dopant beside one on site 0.

    Parameters
    ----------
    cell
        The host's supercell.
    shells
        Neighbour shells wanted; all that the cell has where None.

    Returns
    -------
    list of PairSite
        By shell, then by index of the site.

    Raises
    ------
    ConfigError
        If the cell is too small to hold a wanted shell: the sites there are periodic images of
        site 0 or of sites that are nearer.
    """
    found = _all_pair_sites(cell)
    if shells is None:
        return found
    known = sorted({pair.shell for pair in found})
    missing = sorted(set(shells) - set(known))
    if missing:
        size = "×".join(map(str, cell.cells))
        raise ConfigError(
            f"shells: expected neighbour shells that a {size} {cell.lattice} cell can hold "
            f"({', '.join(map(str, known)) or 'none'}), found {', '.join(map(str, missing))}: "
            "there the periodic images are nearer. Choose a larger cell (repeat)"
        )
    return [pair for pair in found if pair.shell in set(shells)]


def _all_pair_sites(cell: HostCell) -> list[PairSite]:
    period = 2 * np.array(cell.cells)
    sites = site_coordinates(cell)
    orbits: dict[int, list[int]] = defaultdict(list)
    for index, key in enumerate(_orbit_keys(sites, cell)):
        if index > 0:
            orbits[key].append(index)
    nearest = {
        members[0]: _nearest_images(sites[members[0]], period) for members in orbits.values()
    }
    by_shell: dict[int, list[list[int]]] = defaultdict(list)
    for members in orbits.values():
        length_squared, _ = nearest[members[0]]
        by_shell[shell_number(cell.lattice, length_squared)].append(members)
    result = []
    for shell, alike in sorted(by_shell.items()):
        for k, members in enumerate(sorted(alike)):
            letter = chr(ord("a") + k) if len(alike) > 1 else ""
            _, n_contacts = nearest[members[0]]
            result.append(PairSite(members[0], shell, n_contacts, len(members), f"{shell}{letter}"))
    return result


def _orbit_keys(sites: NDArray[np.int64], cell: HostCell) -> list[int]:
    """Name of each site's orbit: the least of the sites that symmetry takes it to."""
    repeat = np.array(cell.cells)
    period = 2 * repeat
    rotations = [
        matrix
        for matrix in cubic_rotations()
        if (repeat[np.abs(matrix).argmax(axis=1)] == repeat).all()
    ]
    images = np.stack([(sites @ matrix.T) % period for matrix in rotations], axis=1)
    # One whole number for a site, so that "least" is quick: its place in the cell, row by row.
    places = (images[..., 0] * period[1] + images[..., 1]) * period[2] + images[..., 2]
    return [int(least) for least in places.min(axis=1)]


def _nearest_images(site: NDArray[np.int64], period: NDArray[np.int64]) -> tuple[int, int]:
    """Squared distance (in (a/2)²) of the images of `site` nearest to the origin; their number."""
    shifts = np.array(list(product((-1, 0, 1), repeat=3))) * period
    lengths = ((site % period + shifts) ** 2).sum(axis=1)
    return int(lengths.min()), int((lengths == lengths.min()).sum())
