"""DFT settings of a VASP run: what the dataset records of them, and what kind of run it is."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moalloy_md.datasets.importers.runs import RunKind

_FUNCTIONALS = {
    "PE": "PBE",
    "PS": "PBEsol",
    "91": "PW91",
    "RP": "RPBE",
    "CA": "LDA",
    "AM": "AM05",
    "BF": "BEEF-vdW",
    "MK": "optB86b",
    "BO": "optB88",
    "8": "PBE",  # LEXCH, as OUTCAR prints it
    "14": "PBEsol",
    "2": "LDA",
}
#: Functional that a POTCAR's family was made for, for runs that leave GGA unset.
_FAMILIES = {"PAW_PBE": "PBE", "PAW_GGA": "PW91", "PAW": "LDA"}


@dataclass
class VaspSettings:
    """INCAR tags in capitals (as text), POTCAR titles, and the k-point grid."""

    tags: dict[str, str] = field(default_factory=dict)
    potentials: list[str] = field(default_factory=list)
    divisions: tuple[int, int, int] | None = None

    def number(self, tag: str, default: float = 0.0) -> float:
        """Value of a tag as a number; `default` where it is absent or no number."""
        try:
            return float(self.tags.get(tag, default))
        except ValueError:
            return default

    def flag(self, tag: str) -> bool:
        """Whether a logical tag is true."""
        return self.tags.get(tag, "F").strip(". ").upper().startswith("T")

    @property
    def kind(self) -> RunKind:
        """What the run's steps are to each other."""
        if self.number("IBRION", -1) == 0 and self.number("NSW") > 1:
            return "md"
        # finite differences: displaced copies of one cell
        return "cells" if self.number("IBRION", -1) in {5, 6} else "relaxation"

    @property
    def functional(self) -> str | None:
        """Name of the exchange-correlation functional, with +U, +vdW or hybrid where used."""
        meta = self.tags.get("METAGGA", "").strip()
        if meta and meta not in {"--", "F", "NONE", "None"}:
            name: str | None = meta
        else:
            name = _FUNCTIONALS.get(self.tags.get("GGA", "").strip())
            if name is None and self.potentials:
                name = _FAMILIES.get(self.potentials[0].split()[0])
            if name is None:
                name = _FUNCTIONALS.get(self.tags.get("LEXCH", "").strip())
        if name is None:
            return None
        hybrid = " hybrid" if self.flag("LHFCALC") else ""
        hubbard = "+U" if self.flag("LDAU") else ""
        dispersion = "+vdW" if self.number("IVDW") else ""
        return f"{name}{hubbard}{dispersion}{hybrid}"

    def info(self, cell: NDArray[np.float64]) -> dict[str, Any]:
        """Entries for ``info`` of each frame: what `moalloy dataset check` compares.

        Parameters
        ----------
        cell
            Cell vectors of the first step, one a row, Å.
        """
        found: dict[str, Any] = {"dft_code": "VASP", "energy_kind": "free"}
        if self.functional:
            found["functional"] = self.functional
        cutoff = self.number("ENCUT") or self.number("ENMAX")
        if cutoff:
            found["cutoff_ev"] = cutoff
        if "ISPIN" in self.tags:
            found["spin"] = "polarised" if self.number("ISPIN") == 2 else "none"
        if "SIGMA" in self.tags and self.number("ISMEAR", 1) != -5:
            found["smearing_ev"] = self.number("SIGMA")
        if self.potentials:
            found["pseudopotentials"] = " ".join(map(_short_title, self.potentials))
        if self.divisions and min(self.divisions) > 0:
            spacing = np.linalg.norm(np.linalg.inv(cell), axis=0) * 2 * np.pi / self.divisions
            found["kpoint_spacing_per_angstrom"] = round(float(spacing.max()), 4)
        return found

    def symbols_of_potentials(self) -> list[str]:
        """Chemical symbol of each POTCAR, in order."""
        return [_short_title(title).split(":")[0].split("_")[0] for title in self.potentials]


def _short_title(title: str) -> str:
    """``PAW_PBE Mo_pv 04Feb2005`` as ``Mo_pv:04Feb2005``."""
    words = title.split()
    return ":".join(words[1:3]) if len(words) > 1 else title
