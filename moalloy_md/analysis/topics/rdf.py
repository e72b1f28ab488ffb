"""Radial distribution functions of the pairs of elements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from moalloy_md.analysis.ovito_support import load_ovito
from moalloy_md.analysis.topics.base import Curve, Measure, Table, TopicSettings, counts
from moalloy_md.analysis.trajectory import Frame
from moalloy_md.errors import DataError

#: Blocks of frames whose means give the error.
_BLOCKS = 5


class RdfSettings(TopicSettings):
    """Radial distribution functions."""

    kind: Literal["rdf"] = "rdf"
    cutoff_angstrom: float = Field(default=8.0, gt=0.5, le=30.0)
    """Largest distance, Å."""
    bins: int = Field(default=200, ge=10, le=5000)
    """Bins from zero to the cutoff."""
    partial: bool = True
    """Whether each pair of elements has its own function, or all atoms count alike."""


@dataclass(kw_only=True)
class RadialDistributions(Measure):
    """Mean g(r) with errors from blocks of frames.

    ``g_ij(r) = n_ij(r) / (4 π r² dr ρ_j)``, with n_ij(r) the mean number of j atoms in a shell around
    an i atom. The standard error is that of the means of five blocks of successive frames; without
    as many frames there is none.
    """

    resumable: ClassVar[bool] = False

    settings: RdfSettings
    _sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0), init=False)
    _seen: list[int] = field(default_factory=lambda: [0] * _BLOCKS, init=False)
    _titles: list[str] = field(default_factory=list, init=False)
    _x: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0), init=False)

    def see(self, frame: Frame) -> dict[str, float]:
        """Add the frame to its block."""
        partial = self.settings.partial and len(counts(frame)) > 1
        frame.data.apply(
            load_ovito().modifiers.CoordinationAnalysisModifier(
                cutoff=self.settings.cutoff_angstrom,
                number_of_bins=self.settings.bins,
                partial=partial,
            )
        )
        table = frame.data.tables["coordination-rdf"]
        values = np.array(table.y, dtype=np.float64).reshape(self.settings.bins, -1)
        titles = list(table.y.component_names) if partial else ["all"]
        if not self._titles:
            self._titles = titles
            width = self.settings.cutoff_angstrom / self.settings.bins
            self._x = (width * (np.arange(self.settings.bins) + 0.5)).astype(np.float64)
            self._sums = np.zeros((_BLOCKS, *values.shape))
        if titles != self._titles:
            raise DataError(
                f"{frame.address.file}: expected the elements of the first frame "
                f"({', '.join(self._titles)}), found {', '.join(titles)}"
            )
        block = min(sum(self._seen) * _BLOCKS // max(self.n_frames, 1), _BLOCKS - 1)
        self._sums[block] += values
        self._seen[block] += 1
        return {}

    def tables(self, rows: Sequence[Mapping[str, float]]) -> dict[str, Table]:  # noqa: ARG002
        """Return g(r) of each pair."""
        n = np.array(self._seen)
        mean = self._sums.sum(axis=0) / n.sum()
        error = None
        if (n > 0).all():
            blocks = self._sums / n[:, None, None]
            error = blocks.std(axis=0, ddof=1) / np.sqrt(_BLOCKS)
        curves = [
            Curve(title, mean[:, k], None if error is None else error[:, k])
            for k, title in enumerate(self._titles)
        ]
        return {"rdf": Table("distance (Å)", "g(r)", self._x, curves)}
