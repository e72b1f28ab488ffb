"""Vacancies and interstitials against a reference crystal, by Wigner-Seitz cells."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from moalloy_md.analysis.ovito_support import load_ovito
from moalloy_md.analysis.topics.base import (
    Column,
    Measure,
    TopicSettings,
    bcc_edge,
    second_shell_cutoff,
    set_look,
)
from moalloy_md.analysis.topics.clusters import cluster_sizes
from moalloy_md.analysis.trajectory import Frame
from moalloy_md.errors import DataError

_VACANCY_COLOUR, _INTERSTITIAL_COLOUR = (0.12, 0.37, 0.55), (0.75, 0.20, 0.12)
_FIRST = "first"


class DefectSettings(TopicSettings):
    """Vacancies and interstitials."""

    kind: Literal["defects"] = "defects"
    reference: Path | None = None
    """Crystal whose sites are meant: a file with one frame, or `first` for the first frame of the
    run (whose own defects are then not seen). There is no default."""
    cutoff_angstrom: float | None = Field(default=None, gt=0.0)
    """Defects that are nearer than this belong to one cluster, Å; halfway between the second and
    third shells of bcc unless said."""


@dataclass(kw_only=True)
class Defects(Measure):
    """Point defects and their clusters.

    A site whose Wigner-Seitz cell holds no atom is a vacancy; one that holds n > 1 atoms counts
    n − 1 interstitials. The frame is scaled to the cell of the reference before, so that thermal
    expansion makes no defects.
    """

    settings: DefectSettings
    first_frame: tuple[Path, int] | None = None
    _modifier: Any = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Load the reference.

        Raises
        ------
        DataError
            If there is none, or it cannot be read.
        """
        if self.settings.reference is None:
            raise DataError(
                "defects: expected a reference crystal, found none: give --reference FILE with the "
                "perfect crystal, or --reference first for the first frame of the run"
            )
        ovito = load_ovito()
        modifier = ovito.modifiers.WignerSeitzAnalysisModifier()
        modifier.affine_mapping = modifier.AffineMapping.ToReference
        file, index = self._reference_frame()
        if not file.is_file():
            raise DataError(f"{file}: expected a reference crystal, found no such file")
        try:
            modifier.reference = ovito.pipeline.FileSource()
            modifier.reference.load(str(file))
            n_sites = modifier.reference.compute(index).particles.count
        except (RuntimeError, AttributeError) as error:
            raise DataError(
                f"{file}: expected a reference crystal that OVITO can read, found one that it "
                f"refuses ({' '.join(str(error).split())})"
            ) from error
        modifier.reference_frame = index
        self.n_sites = int(n_sites)
        self._modifier = modifier

    def _reference_frame(self) -> tuple[Path, int]:
        if str(self.settings.reference) == _FIRST and self.first_frame is not None:
            return self.first_frame
        return Path(str(self.settings.reference)), 0

    def see(self, frame: Frame) -> dict[str, float]:
        """Count vacancies, interstitials and their clusters."""
        frame.data.apply(self._modifier)  # from here on the particles are the reference's sites
        found = frame.data.attributes
        occupancy = np.array(frame.data.particles["Occupancy"])
        cutoff = self.settings.cutoff_angstrom or second_shell_cutoff(bcc_edge(frame))
        row = {
            "vacancies": float(found["WignerSeitz.vacancy_count"]),
            "interstitials": float(found["WignerSeitz.interstitial_count"]),
            "vacancy_fraction": found["WignerSeitz.vacancy_count"] / self.n_sites,
        }
        self.columns = {
            "vacancies": Column("vacancies", "", "point defects"),
            "interstitials": Column("interstitials", "", "point defects"),
            "vacancy_fraction": Column("vacancies per site"),
        }
        for name, chosen in (("vacancy", occupancy == 0), ("interstitial", occupancy > 1)):
            sizes = cluster_sizes(frame, chosen, cutoff=cutoff)
            row[f"{name}_clusters"] = float((sizes > 1).sum())
            row[f"{name}_largest"] = float(sizes.max(initial=0))
            self.columns[f"{name}_clusters"] = Column(f"{name} clusters of two and more")
            self.columns[f"{name}_largest"] = Column(
                f"largest {name} cluster", "sites", "largest cluster (sites)"
            )
        return row

    def colour(self, frame: Frame) -> None:
        """Draw the defects alone: vacancies blue, interstitials red."""
        particles = frame.data.particles_
        occupancy = np.array(particles["Occupancy"])
        colours = np.where((occupancy == 0)[:, None], _VACANCY_COLOUR, _INTERSTITIAL_COLOUR)
        set_look(frame, colours, 1.3)
        particles.delete_elements(occupancy == 1)
