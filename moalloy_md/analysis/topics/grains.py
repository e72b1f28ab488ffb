"""Grains: crystals of one orientation each, by OVITO's grain segmentation."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from moalloy_md.analysis.crystal import PTM_RMSD_CUTOFF
from moalloy_md.analysis.ovito_support import load_ovito
from moalloy_md.analysis.topics.base import Column, Measure, TopicSettings
from moalloy_md.analysis.trajectory import Frame


class GrainSettings(TopicSettings):
    """Grains and the atoms between them."""

    kind: Literal["grains"] = "grains"
    rmsd_cutoff: float = Field(default=PTM_RMSD_CUTOFF, gt=0.0, le=1.0)
    """As for `structure`."""
    min_grain_atoms: int = Field(default=100, ge=1)
    """A smaller crystal is no grain."""


@dataclass(kw_only=True)
class Grains(Measure):
    """Number and size of the grains, and the part of the atoms that belong to none."""

    settings: GrainSettings

    def see(self, frame: Frame) -> dict[str, float]:
        """Return the number of grains, mean and largest size, and the part outside of grains."""
        modifiers = load_ovito().modifiers
        frame.data.apply(
            modifiers.PolyhedralTemplateMatchingModifier(
                rmsd_cutoff=self.settings.rmsd_cutoff, output_orientation=True
            )
        )
        frame.data.apply(
            modifiers.GrainSegmentationModifier(
                min_grain_size=self.settings.min_grain_atoms, orphan_adoption=False
            )
        )
        labels = np.array(frame.data.particles["Grain"])
        sizes = np.bincount(labels)[1:]  # 0 is no grain
        self.columns = {
            "n_grains": Column("grains", "", "grains"),
            "mean_size": Column("mean size", "atoms"),
            "largest": Column("largest", "atoms"),
            "outside": Column("part of the atoms in no grain", "", "part in no grain"),
        }
        return {
            "n_grains": float(len(sizes)),
            "mean_size": float(sizes.mean()) if len(sizes) else 0.0,
            "largest": float(sizes.max(initial=0)),
            "outside": float((labels == 0).mean()),
        }

    def colour(self, frame: Frame) -> None:
        """Keep OVITO's colours: one a grain."""
        frame.data.particles_.create_property("Radius", data=[1.1] * frame.n_atoms)
