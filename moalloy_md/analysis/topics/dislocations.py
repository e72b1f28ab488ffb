"""Dislocations: lines and Burgers vectors by OVITO's dislocation extraction."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from moalloy_md.analysis.ovito_support import load_ovito
from moalloy_md.analysis.topics.base import HOST_COLOUR, Column, Measure, TopicSettings, set_look
from moalloy_md.analysis.trajectory import Frame

_PREFIX = "DislocationAnalysis.length."
_PER_M2 = 1e20  # 1/Å² in 1/m²
#: Burgers vectors that bcc crystals have; others are summed.
_FAMILIES = ("1/2<111>", "<100>", "<110>")


class DislocationSettings(TopicSettings):
    """Dislocation lines in a bcc crystal."""

    kind: Literal["dislocations"] = "dislocations"
    trial_circuit_length: int = Field(default=14, ge=4, le=60)
    """Longest Burgers circuit that is tried, in atomic steps; OVITO's own is 14."""


@dataclass(kw_only=True)
class Dislocations(Measure):
    """Length of the dislocation lines by Burgers vector, and their density.

    A. Stukowski, V. V. Bulatov, A. Arsenlis, Modelling Simul. Mater. Sci. Eng. 20 (2012) 085007.
    """

    settings: DislocationSettings

    def see(self, frame: Frame) -> dict[str, float]:
        """Return lengths (Å), number of lines, density (1/m²)."""
        modifiers = load_ovito().modifiers
        extraction = modifiers.DislocationAnalysisModifier(
            input_crystal_structure=modifiers.DislocationAnalysisModifier.Lattice.BCC,
            trial_circuit_length=self.settings.trial_circuit_length,
        )
        frame.data.apply(extraction)
        found = frame.data.attributes
        total = float(found["DislocationAnalysis.total_line_length"])
        lengths = {name: float(found.get(_PREFIX + name, 0.0)) for name in _FAMILIES}
        lengths["other"] = total - sum(lengths.values())
        self.columns = {
            "n_lines": Column("lines", ""),
            "length": Column("total length", "Å", "line length (Å)"),
            "density": Column("density", "1/m²"),
            **{f"length_{n}": Column(n, "Å", "line length (Å)") for n in lengths},
        }
        return {
            "n_lines": float(len(frame.data.dislocations.lines)),
            "length": total,
            "density": total / frame.data.cell.volume * _PER_M2,
            **{f"length_{name}": length for name, length in lengths.items()},
        }

    def colour(self, frame: Frame) -> None:
        """Draw the lines and the atoms without a bcc neighbourhood."""
        for name in list(frame.data.surfaces.keys()):
            frame.data.surfaces[name].vis.enabled = False  # they would hide the lines
        particles = frame.data.particles_
        is_bcc = np.array(particles["Structure Type"]) == 3
        set_look(frame, np.tile(HOST_COLOUR, (frame.n_atoms, 1)), 0.5)  # OVITO's is white
        particles.delete_elements(is_bcc)
