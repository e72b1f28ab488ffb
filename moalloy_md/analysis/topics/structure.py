"""Crystal structure: how many atoms are bcc, fcc, hcp, by polyhedral template matching."""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from moalloy_md.analysis.crystal import PTM_RMSD_CUTOFF, STRUCTURES, structure_fractions
from moalloy_md.analysis.ovito_support import load_ovito
from moalloy_md.analysis.topics.base import Column, Measure, TopicSettings
from moalloy_md.analysis.trajectory import Frame


class StructureSettings(TopicSettings):
    """Which atoms have a bcc, fcc or hcp neighbourhood."""

    kind: Literal["structure"] = "structure"
    rmsd_cutoff: float = Field(default=PTM_RMSD_CUTOFF, gt=0.0, le=1.0)
    """Largest deviation from the ideal neighbourhood, relative to the neighbour distance, at which
    an atom still counts as crystalline; 0.15 is usual near melting."""


@dataclass(kw_only=True)
class Structure(Measure):
    """Fractions by polyhedral template matching.

    P. M. Larsen, S. Schmidt, J. Schiøtz, Modelling Simul. Mater. Sci. Eng. 24 (2016) 055007.
    """

    settings: StructureSettings

    def see(self, frame: Frame) -> dict[str, float]:
        """Return the fractions of the atoms, 0 to 1."""
        self.columns = {name: Column(name, "", "fraction of the atoms") for name in STRUCTURES}
        matching = load_ovito().modifiers.PolyhedralTemplateMatchingModifier(
            rmsd_cutoff=self.settings.rmsd_cutoff
        )
        frame.data.apply(matching)
        return structure_fractions(frame.data)

    def colour(self, frame: Frame) -> None:
        """Keep OVITO's colours: bcc blue, fcc green, hcp red, other white."""
        frame.data.particles_.create_property("Radius", data=[1.1] * frame.n_atoms)
