"""Voronoi volumes: how much room each element takes."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from moalloy_md.analysis.ovito_support import load_ovito
from moalloy_md.analysis.topics.base import Column, Measure, TopicSettings, counts, mask, set_look
from moalloy_md.analysis.trajectory import Frame

_PROPERTY = "Atomic Volume"


class VoronoiSettings(TopicSettings):
    """The volume of each atom's Voronoi cell."""

    kind: Literal["voronoi"] = "voronoi"


@dataclass(kw_only=True)
class Voronoi(Measure):
    """Mean and standard deviation of the Voronoi volumes of each element, Å³.

    All atoms count alike, without radii, so the volumes fill the cell.
    """

    settings: VoronoiSettings

    def see(self, frame: Frame) -> dict[str, float]:
        """Return mean and standard deviation for each element."""
        frame.data.apply(load_ovito().modifiers.VoronoiAnalysisModifier())
        volumes = np.array(frame.data.particles[_PROPERTY])
        row = {}
        for symbol in counts(frame):
            own = volumes[mask(frame, symbol)]
            self.columns[f"volume_{symbol}"] = Column(
                f"volume of {symbol}", "Å³", "mean Voronoi volume (Å³)"
            )
            self.columns[f"spread_{symbol}"] = Column(f"spread of {symbol}", "Å³")
            row[f"volume_{symbol}"] = float(own.mean())
            row[f"spread_{symbol}"] = float(own.std())
        return row

    def colour(self, frame: Frame) -> None:
        """Colour by volume: blue is small, red is large, within two standard deviations."""
        volumes = np.array(frame.data.particles[_PROPERTY])
        spread = max(2.0 * float(volumes.std()), 1e-9)
        x = np.clip((volumes - volumes.mean()) / spread, -1.0, 1.0)[:, None]
        blue, white, red = (np.array(c) for c in ((0.1, 0.3, 0.7), (0.93,) * 3, (0.75, 0.2, 0.1)))
        set_look(frame, np.where(x < 0, white + x * (white - blue), white + x * (red - white)), 1.1)
