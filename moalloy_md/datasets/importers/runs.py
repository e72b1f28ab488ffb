"""What every importer gives: runs, each of one or more labelled steps."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from moalloy_md.datasets.extxyz import Place
from moalloy_md.datasets.importers.config import ImportConfig
from moalloy_md.errors import DataError
from moalloy_md.structures.cell_info import CellInfo
from moalloy_md.units import GPA_PER_EV_A3

#: 1 kbar (0.1 GPa) in eV/Å³.
EV_A3_PER_KBAR = 0.1 / GPA_PER_EV_A3

RunKind = Literal["cells", "relaxation", "md"]

#: Which end of a relaxation a separate cell is.
Role = Literal["start", "end"]


@dataclass(frozen=True)
class Importing:
    """What every importer is given beside its file.

    Attributes
    ----------
    config
        Settings.
    remark
        Takes a sentence that the user should read: what was left out, and why.
    tally
        How often something happened in the file at hand that is worth one sentence in all.
    """

    config: ImportConfig
    remark: Callable[[str], None]
    tally: Counter[str] = field(default_factory=Counter)

    def refuse(self, error: DataError) -> None:
        """Stop at bad data, or leave it out if the user asked for that.

        Raises
        ------
        DataError
            `error`, unless ``config.skip_bad``.
        """
        if not self.config.skip_bad:
            raise error
        self.remark(f"left out: {error}")


@dataclass(frozen=True, eq=False)
class Step:
    """One labelled cell of a run.

    Attributes
    ----------
    atoms
        With ``REF_energy``, ``REF_forces``, perhaps ``REF_stress``, and in ``info`` what is known
        of the DFT settings. ``host``, ``group``, ``state`` and ``name`` where the source has them.
    place
        What to call the step in errors.
    index
        Number of the step in its run, from 0; steps that were left out are counted.
    free
        Components of the forces that the run let move, ``(n_atoms, 3)``; None: all.
    role
        Which end of a relaxation a separate cell is, where the source tells.
    own_group
        Group of a separate cell that names none and whose atoms fit no lattice.
    """

    atoms: Atoms
    place: Place
    index: int
    free: NDArray[np.bool_] | None = None
    role: Role | None = None
    own_group: str | None = None


@dataclass(frozen=True, eq=False)
class Run:
    """A relaxation, a trajectory in the order of time, or a collection of separate cells.

    Attributes
    ----------
    name
        Names group and frames; unique among the files that are imported together.
    kind
        ``relaxation`` (one step: a single point), ``md`` or ``cells``.
    steps
        Read as they are asked for.
    cell
        What is known of the cell that the run began with, where it is known.
    """

    name: str
    kind: RunKind
    steps: Iterator[Step]
    cell: CellInfo | None = None


def voigt_from_vasp(kbar: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stress in ASE's convention from the one that VASP prints.

    Parameters
    ----------
    kbar
        ``(6,)`` in the order xx yy zz xy yz zx, kbar, compression positive (the ``in kB`` line).

    Returns
    -------
    numpy.ndarray
        ``(6,)`` Voigt xx yy zz yz xz xy, eV/Å³, tension positive.
    """
    stress: NDArray[np.float64] = -kbar[[0, 1, 2, 4, 5, 3]] * EV_A3_PER_KBAR
    return stress
