"""Displaced and deformed variants of a cell: what teaches a model forces and stiffness."""

import zlib
from collections.abc import Iterator

import numpy as np
from ase import Atoms
from pydantic import Field

from moalloy_md.config import StrictModel
from moalloy_md.structures.magnetism import SpinStarts, n_magnetic, set_start_moments


class Variant(StrictModel):
    """One way to change a cell. Without any entry the cell stays on its ideal sites."""

    strain: float = Field(default=0.0, ge=-0.3, le=0.3)
    """Relative change of all three edges."""
    shear: float = Field(default=0.0, ge=-0.5, le=0.5)
    """Simple shear: y of every point grows by this much of its x."""
    rattle_angstrom: float = Field(default=0.0, ge=0.0, le=1.0)
    """Standard deviation of a normally distributed displacement of each coordinate, Å."""
    copies: int = Field(default=1, ge=1)
    """How many, each with other displacements; without rattle they would all be equal."""

    @property
    def label(self) -> str:
        """The change as it stands in a name; ``ideal`` for none."""
        parts = [
            f"strain{self.strain:+.3f}" if self.strain else "",
            f"shear{self.shear:+.3f}" if self.shear else "",
            f"rattle{self.rattle_angstrom:.3f}" if self.rattle_angstrom else "",
        ]
        return "-".join(part for part in parts if part) or "ideal"


class Variants(StrictModel):
    """Which variants of each cell to make."""

    ideal: bool = True
    """The cell on ideal sites, as the start of a relaxation."""
    variants: tuple[Variant, ...] = ()
    """Changed cells: ``[{rattle_angstrom: 0.06, copies: 2}, {strain: 0.02, shear: 0.02}]``."""
    spin_starts: SpinStarts = "parallel"
    """Moments that cells with two or more magnetic atoms (Cr, Mn, Fe, Co, Ni) start from:
    ``both`` makes each cell twice, parallel and antiparallel."""

    def all(self) -> tuple[Variant, ...]:
        """All variants, the ideal cell first if it is wanted."""
        return ((Variant(),) if self.ideal else ()) + self.variants


def make_variants(cell: Atoms, wanted: Variants, *, prefix: str = "") -> Iterator[Atoms]:
    """Make the wanted variants of a cell on ideal sites.

    Parameters
    ----------
    cell
        On ideal sites, with ``info["group"]``: the name of the decoration, which the variants
        share.
    wanted
        What to make.
    prefix
        Stands in the names between the group and the change, such as ``a3.2000-``.

    Yields
    ------
    Atoms
        With ``info["name"]`` (group, change and number; unique) and ``info["state"]`` (``ideal``
        or ``noneq``). Displacements are seeded by the name: a cell can be made again by itself.
    """
    for antiparallel in (False, True) if _two_starts(cell, wanted) else (False,):
        for variant in wanted.all():
            copies = variant.copies if variant.rattle_angstrom else 1
            for k in range(copies):
                number = f"-{k}" if copies > 1 else ""
                turned = "-antiparallel" if antiparallel else ""
                name = f"{cell.info['group']}-{prefix}{variant.label}{number}"
                atoms = _changed(cell, variant, name)  # the same displacements for both starts
                atoms.info["name"] = name + turned
                set_start_moments(atoms, antiparallel=antiparallel)
                yield atoms


def count_variants(cell: Atoms, wanted: Variants) -> int:
    """Count what `make_variants` makes of a cell."""
    per_start = sum(v.copies if v.rattle_angstrom else 1 for v in wanted.all())
    return per_start * (2 if _two_starts(cell, wanted) else 1)


def _two_starts(cell: Atoms, wanted: Variants) -> bool:
    return wanted.spin_starts == "both" and n_magnetic(cell) > 1


def _changed(cell: Atoms, variant: Variant, name: str) -> Atoms:
    atoms = cell.copy()
    atoms.info["state"] = "ideal" if variant.label == "ideal" else "noneq"
    if variant.strain or variant.shear:
        deformation = np.eye(3) * (1 + variant.strain)
        deformation[0, 1] += variant.shear
        atoms.set_cell(atoms.cell.array @ deformation, scale_atoms=True)
    if variant.rattle_angstrom:
        rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
        atoms.positions += rng.normal(scale=variant.rattle_angstrom, size=(len(atoms), 3))
    return atoms
