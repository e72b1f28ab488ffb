"""Strong scaling that pair_style mace/native should have on a cluster, from what scaling.py measured.

    python benchmarks/predict_scaling.py benchmarks/results/scaling-….json

Prints the table of docs/scaling.md, which says what the model is and what it leaves out.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer
from side_by_side.command import run_command

from moalloy_md.errors import MoAlloyError

_LATTICE_PARAMETER_ANGSTROM = 3.165
_SKIN_ANGSTROM = 1.0  # of in.scaling
_POSITION_BYTES = 3 * 8  # of a ghost in LAMMPS's own messages: positions out, forces back
_EXCHANGES = 4  # in a step: positions, features, adjoints, forces
_NODES = (1, 4, 16, 64, 250, 1000)
_CELLS = {"10⁶": 80, "10⁸": 368}  # along each edge: 1.02 and 99.7 million atoms
_FEW_ATOMS = 100  # of a rank: a tenth of the smallest part that was measured


@dataclass(frozen=True)
class Cluster:
    """What is assumed of the machine.

    Attributes
    ----------
    cores
        Of a node; each has a rank, as fast as the core that was measured.
    latency_us
        Of a message between nodes.
    bandwidth_gb_per_s
        Of a node into the network.
    timestep_fs
        For ns/day.
    """

    cores: int = 128
    latency_us: float = 2.0
    bandwidth_gb_per_s: float = 25.0
    timestep_fs: float = 1.0


@dataclass(frozen=True)
class Measured:
    """What one core needs, by scaling.py.

    Attributes
    ----------
    us_per_atom
        Everything in a step, with all cores of that machine busy: µs times ranks per atom.
    us_per_ghost
        Packing and copying features and adjoints within a rank.
    message_bytes_per_ghost
        Both ways, features and adjoints.
    r_max
        Å.
    kilobytes_per_atom
        Of the engine, without LAMMPS.
    """

    us_per_atom: float
    us_per_ghost: float
    message_bytes_per_ghost: float
    r_max: float
    kilobytes_per_atom: float

    @classmethod
    def read(cls, path: Path) -> "Measured":
        """Read the record of scaling.py: its largest cell, on the most ranks and on one."""
        record = json.loads(path.read_text())
        cases: list[dict[str, Any]] = record["cases"]
        atoms = max(case["atoms"] for case in cases)
        largest = sorted((c for c in cases if c["atoms"] == atoms), key=lambda c: c["ranks"])
        alone, busy = largest[0], largest[-1]
        if alone["ranks"] != 1:
            raise MoAlloyError(f"{path}: expected {atoms} atoms on one rank too, found none")
        ghosts = alone["facts"]["ghosts_per_rank"]
        share = median(parts["messages"] for parts in alone["parts"])
        return cls(
            us_per_atom=busy["rank_us_per_atom"],
            us_per_ghost=share * alone["rank_us_per_atom"] * atoms / ghosts,
            message_bytes_per_ghost=1e6 * alone["facts"]["message_megabytes_per_rank"] / ghosts,
            r_max=record["r_max"],
            kilobytes_per_atom=busy["facts"]["kilobytes_per_atom"],
        )


@dataclass(frozen=True)
class Prediction:
    """One row: times in ms a step."""

    nodes: int
    atoms_per_rank: float
    ghosts_per_rank: float
    largest_over_mean: float
    compute_ms: float
    copies_ms: float
    network_ms: float
    messages_mb_per_rank: float
    gb_per_node: float

    @property
    def step_ms(self) -> float:
        """All of a step."""
        return self.compute_ms + self.copies_ms + self.network_ms


Grid = tuple[int, int, int]


def grids(n: int) -> Iterator[Grid]:
    """Yield all ways to write `n` as a product of three."""
    for x in (k for k in range(1, n + 1) if n % k == 0):
        for y in (k for k in range(1, n // x + 1) if (n // x) % k == 0):
            yield x, y, n // x // y


def best_grid(n: int, edges: np.ndarray) -> Grid:
    """Return the one whose parts of a box with these edges have the least surface, as LAMMPS does."""

    def surface(grid: Grid) -> float:
        a, b, c = edges / grid
        return float(a * b + b * c + c * a)

    return min(grids(n), key=surface)


def ghosts(part: np.ndarray, reach: float) -> float:
    """Atoms in the layer of a width `reach` (Å) around a part with these edges (Å)."""
    density = 2 / _LATTICE_PARAMETER_ANGSTROM**3
    return float(density * (np.prod(part + 2 * reach) - np.prod(part)))


def largest_part(cells: int, grid: Grid) -> int:
    """Atoms in the fullest part of a perfect bcc crystal: planes do not split."""
    counts = []
    for n in grid:
        # corner and centre planes in each slab; a quarter off, so that no plane lies on a face
        corner, centre = (
            np.bincount(((np.arange(cells) + offset) * n / cells).astype(int), minlength=n)
            for offset in (0.25, 0.75)
        )
        counts.append(set(zip(corner.tolist(), centre.tolist(), strict=True)))
    return max(
        math.prod(a for a, _ in planes) + math.prod(b for _, b in planes)
        for planes in product(*counts)
    )


def predict(cells: int, nodes: int, measured: Measured, cluster: Cluster) -> Prediction:
    """Predict one step of a cubic bcc crystal on a number of nodes.

    Time = atoms of the fullest rank · cost of an atom + ghosts · cost of a copy + messages ·
    latency + bytes that leave a node / bandwidth + two sums over all nodes.
    """
    edges = np.full(3, cells * _LATTICE_PARAMETER_ANGSTROM)
    node_grid = best_grid(nodes, edges)
    node = edges / node_grid
    core_grid = best_grid(cluster.cores, node)
    part = node / core_grid
    grid = tuple(a * b for a, b in zip(node_grid, core_grid, strict=True))
    reach = measured.r_max + _SKIN_ANGSTROM
    n_atoms, n_ranks = 2 * cells**3, nodes * cluster.cores
    mean, n_ghosts = n_atoms / n_ranks, ghosts(part, reach)
    largest = max(largest_part(cells, grid), mean)
    bytes_per_ghost = measured.message_bytes_per_ghost + 2 * _POSITION_BYTES
    network_us = 0.0
    if nodes > 1:
        hops = sum(2 * math.ceil(reach / edge) for edge in part)
        sums = 2 * math.ceil(math.log2(nodes))
        network_us = (_EXCHANGES * hops + sums) * cluster.latency_us
        network_us += ghosts(node, reach) * bytes_per_ghost / (1e3 * cluster.bandwidth_gb_per_s)
    # LAMMPS: 150 bytes of an atom or ghost, and a listed neighbour in 4
    listed = 2 / _LATTICE_PARAMETER_ANGSTROM**3 * 4 / 3 * math.pi * reach**3
    per_rank = mean * (measured.kilobytes_per_atom * 1e3 + 4 * listed) + 150 * (mean + n_ghosts)
    return Prediction(
        nodes=nodes,
        atoms_per_rank=mean,
        ghosts_per_rank=n_ghosts,
        largest_over_mean=largest / mean,
        compute_ms=1e-3 * largest * measured.us_per_atom,
        copies_ms=1e-3
        * n_ghosts
        * measured.us_per_ghost
        * bytes_per_ghost
        / measured.message_bytes_per_ghost,
        network_ms=1e-3 * network_us,
        messages_mb_per_rank=1e-6 * n_ghosts * bytes_per_ghost,
        gb_per_node=1e-9 * per_rank * cluster.cores,
    )


def table(name: str, measured: Measured, cluster: Cluster) -> str:
    """Return the Markdown table of one size."""
    columns = (
        f"{name} atoms, nodes",
        "atoms a rank",
        "ghosts a rank",
        "fullest / mean",
        "compute ms",
        "copies ms",
        "network ms",
        "ms a step",
        "ns a day",
        "efficiency",
        "MB a rank and step",
        "GB a node",
    )
    lines = [f"| {' | '.join(columns)} |", "|" + "--:|" * len(columns)]
    rows = [predict(_CELLS[name], nodes, measured, cluster) for nodes in _NODES]
    for row in rows:
        mark = " *" if row.atoms_per_rank < _FEW_ATOMS else ""
        efficiency = rows[0].step_ms / (row.step_ms * row.nodes / rows[0].nodes)
        lines.append(
            f"| {row.nodes}{mark} | {row.atoms_per_rank:,.0f} | {row.ghosts_per_rank:,.0f} "
            f"| {row.largest_over_mean:.2f} | {_figures(row.compute_ms, 3)} "
            f"| {_figures(row.copies_ms, 2)} | {_figures(row.network_ms, 2)} "
            f"| {_figures(row.step_ms, 3)} "
            f"| {_figures(86.4 * cluster.timestep_fs / row.step_ms, 3)} | {efficiency:.2f} "
            f"| {_figures(row.messages_mb_per_rank, 2)} | {_figures(row.gb_per_node, 2)} |"
        )
    return "\n".join(lines)


def _figures(value: float, digits: int) -> str:
    """Round to so many digits, without powers of ten: 16,300."""
    return f"{float(f'{value:.{digits}g}'):,g}"


def main(
    measured: Annotated[Path, typer.Argument(help="JSON that scaling.py wrote.", exists=True)],
    *,
    cores: Annotated[int, typer.Option(min=1, help="Of a node.")] = Cluster.cores,
    latency_us: Annotated[float, typer.Option(help="Between nodes, µs.")] = Cluster.latency_us,
    bandwidth_gb_per_s: Annotated[
        float, typer.Option(help="Of a node into the network, GB/s.")
    ] = Cluster.bandwidth_gb_per_s,
    timestep_fs: Annotated[float, typer.Option(help="For ns a day, fs.")] = Cluster.timestep_fs,
    us_per_atom: Annotated[
        float | None, typer.Option(help="Of your own core, µs, instead of the measured one.")
    ] = None,
) -> None:
    """Print a table of predicted strong scaling for 10⁶ and 10⁸ atoms."""
    found = Measured.read(measured)
    if us_per_atom is not None:
        found = Measured(**{**vars(found), "us_per_atom": us_per_atom})
    cluster = Cluster(cores, latency_us, bandwidth_gb_per_s, timestep_fs)
    values = [
        f"{field.name} {getattr(group, field.name):.4g}"
        for group in (found, cluster)
        for field in fields(group)
    ]
    print(f"From {measured.name}: {', '.join(values)}.\n")
    print("\n\n".join(table(name, found, cluster) for name in _CELLS))


if __name__ == "__main__":
    run_command(main)
