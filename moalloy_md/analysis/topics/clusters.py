"""Clusters of solute atoms, and the same helper for clusters of point defects."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from moalloy_md.analysis.ovito_support import load_ovito
from moalloy_md.analysis.topics.base import (
    HOST_COLOUR,
    HOST_RADIUS_ANGSTROM,
    Column,
    Measure,
    TopicSettings,
    bcc_edge,
    counts,
    mask,
    second_shell_cutoff,
    set_look,
)
from moalloy_md.analysis.trajectory import Frame
from moalloy_md.elements import ChemicalSymbol
from moalloy_md.errors import DataError

#: Sizes that are counted one by one; larger ones together.
COUNTED_SIZES = 6


class ClusterSettings(TopicSettings):
    """Clusters of solute atoms."""

    kind: Literal["clusters"] = "clusters"
    solutes: tuple[ChemicalSymbol, ...] | None = None
    """Elements that cluster; all but the most frequent one unless said."""
    cutoff_angstrom: float | None = Field(default=None, gt=0.0)
    """Solutes that are nearer than this belong together, Å; halfway between the second and third
    shells of bcc unless said."""


@dataclass(kw_only=True)
class Clusters(Measure):
    """Number and size of clusters: solutes that are connected by steps shorter than the cutoff."""

    settings: ClusterSettings

    def see(self, frame: Frame) -> dict[str, float]:
        """Return how many clusters there are, and of which sizes."""
        chosen = self._chosen(frame)
        cutoff = self.settings.cutoff_angstrom or second_shell_cutoff(bcc_edge(frame))
        sizes = cluster_sizes(frame, chosen, cutoff=cutoff)
        self.columns = {
            "n_solutes": Column("solute atoms"),
            "n_clusters": Column("clusters of two and more", "", "clusters"),
            "largest": Column("largest cluster", "atoms", "largest cluster (atoms)"),
            "clustered": Column("part of the solutes in clusters", "", "part in clusters"),
            **{f"size_{k}": Column(f"clusters of {k}") for k in range(1, COUNTED_SIZES + 1)},
            "larger": Column(f"clusters of more than {COUNTED_SIZES}"),
        }
        n = int(chosen.sum())
        return {
            "n_solutes": float(n),
            "n_clusters": float((sizes > 1).sum()),
            "largest": float(sizes[0]),
            "clustered": float(sizes[sizes > 1].sum() / n),
            **{f"size_{k}": float((sizes == k).sum()) for k in range(1, COUNTED_SIZES + 1)},
            "larger": float((sizes > COUNTED_SIZES).sum()),
        }

    def _chosen(self, frame: Frame) -> NDArray[np.bool_]:
        present = counts(frame)
        solutes = self.settings.solutes or tuple(list(present)[1:])
        missing = [symbol for symbol in solutes if symbol not in present]
        if missing or not solutes:
            raise DataError(
                f"{frame.address.file}: expected solute atoms"
                + (f" of {', '.join(missing)}" if missing else "")
                + f", found {', '.join(present)} alone: give --solutes, or there is nothing to cluster"
            )
        chosen = np.zeros(frame.n_atoms, dtype=np.bool_)
        for symbol in solutes:
            chosen |= mask(frame, symbol)
        return chosen

    def colour(self, frame: Frame) -> None:
        """Draw solutes of the largest clusters darkest, single ones light, the host in grey."""
        labels = np.array(frame.data.particles["Cluster"])
        sizes = np.bincount(labels)
        own = np.where(labels > 0, sizes[labels], 0)
        share = np.log(np.maximum(own, 1)) / max(np.log(sizes[1:].max(initial=2)), 1e-9)
        light, dark = np.array([0.93, 0.75, 0.55]), np.array([0.60, 0.12, 0.10])
        colours = np.where(
            own[:, None] > 0, light + share[:, None] * (dark - light), np.array(HOST_COLOUR)
        )
        set_look(frame, colours, np.where(own > 0, 1.25, HOST_RADIUS_ANGSTROM * 0.6))


def cluster_sizes(frame: Frame, chosen: NDArray[np.bool_], *, cutoff: float) -> NDArray[np.int64]:
    """Sizes of the clusters of chosen particles, largest first, ``(n_clusters,)``.

    Parameters
    ----------
    frame
        Gets the properties ``Selection`` and ``Cluster`` (0 for those that were not chosen).
    chosen
        ``(n_atoms,)``.
    cutoff
        Who is nearer than this belongs together, Å.
    """
    frame.data.particles_.create_property("Selection", data=chosen.astype(np.int8))
    if not chosen.any():
        return np.zeros(0, dtype=np.int64)
    frame.data.apply(
        load_ovito().modifiers.ClusterAnalysisModifier(
            cutoff=cutoff, only_selected=True, sort_by_size=True
        )
    )
    labels = np.array(frame.data.particles["Cluster"])  # 0 for those that were not chosen
    sizes: NDArray[np.int64] = np.sort(np.bincount(labels)[1:])[::-1].astype(np.int64)
    return sizes
