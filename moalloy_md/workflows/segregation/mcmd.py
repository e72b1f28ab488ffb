"""Hybrid Monte Carlo and molecular dynamics of a host with dopants: who sits where, at temperature.

Swaps change who an atom is and not its number, so that a number is a site as long as no atom leaves
its own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import find_mic
from numpy.typing import NDArray
from rich.console import Console

from moalloy_md.analysis.quantities import mean_of
from moalloy_md.analysis.segregation import count_in_bins, interfacial_excess, profile
from moalloy_md.errors import ConfigError
from moalloy_md.lammps.frames import frame_files, read_frame
from moalloy_md.lammps.logs import read_run
from moalloy_md.lammps.single_point import write_structure
from moalloy_md.rundir import replacing
from moalloy_md.units import ANGSTROM2_PER_NM2
from moalloy_md.workflows.segregation.config import HybridMonteCarlo, SegregationConfig
from moalloy_md.workflows.segregation.host import Host
from moalloy_md.workflows.segregation.sites import ChosenSites
from moalloy_md.workflows.simulate.config import SimulationConfig
from moalloy_md.workflows.simulate.plan import Outcome
from moalloy_md.workflows.simulate.run import SimulationRun, read_plan, results, seed_of
from moalloy_md.workflows.simulate.workflow import Topic, plan_costs, simulate

FOLDER = "mcmd"
#: An atom that is farther from where it started than this part of the cubic edge has left its site:
#: half the distance of nearest neighbours.
_LEFT = 0.5 * np.sqrt(3) / 2


class Hybrid:
    """The runs of a host: one for each dopant and temperature.

    Parameters
    ----------
    config
        Settings, with ``mcmd``.
    host, chosen
        The relaxed host, and its sites.

    Raises
    ------
    ConfigError
        If a cell would have no dopant, or the host is too large for its sites to be known.
    """

    def __init__(self, config: SegregationConfig, host: Host, chosen: ChosenSites) -> None:
        if config.mcmd is None:
            raise ConfigError("expected mcmd in the settings, found none")
        self._config, self._settings = config, config.mcmd
        self._host, self._chosen = host, chosen
        shape = host.repeats(config.mcmd.width_angstrom)
        #: The cell of the runs, without dopants.
        self.atoms: Atoms = host.atoms.repeat(shape)
        copies = int(np.prod(shape))
        #: For each atom: number of its site, and distance from the boundary.
        self.groups: NDArray[np.int64] = np.tile(chosen.groups, copies)
        self.distances: NDArray[np.float64] = np.tile(chosen.distances_angstrom, copies)
        self.n_dopants = round(self._settings.total_fraction * len(self.atoms))
        if self.n_dopants < 1:
            raise ConfigError(
                f"mcmd.total_fraction: expected a fraction that gives a dopant, found "
                f"{self._settings.total_fraction:g} of {len(self.atoms)} sites. Give at least "
                f"{1 / len(self.atoms):.2g}, or a larger width_angstrom"
            )

    @property
    def n_atoms(self) -> int:
        """Sites of a cell."""
        return len(self.atoms)

    @property
    def settings(self) -> HybridMonteCarlo:
        """What is simulated."""
        return self._settings

    def run(
        self, *, out: Path, ranks: int, console: Console
    ) -> tuple[Outcome, list[dict[str, Any]]]:
        """Do all runs that are not done; return how they stand, and the results of those that are.

        Errors are those of `moalloy_md.workflows.simulate.workflow.simulate`.
        """
        found = simulate(
            self._topic(), self._config, out=out / FOLDER, ranks=ranks, console=console
        )
        _, runs = read_plan(out / FOLDER)
        finished = [entry for run in runs if (entry := results(out / FOLDER, run)) is not None]
        return found, finished

    def show_costs(self, *, out: Path, ranks: int, console: Console) -> None:
        """Show what the runs would cost; errors as `moalloy_md.workflows.simulate.workflow.plan_costs`."""
        plan_costs(self._topic(), self._config, out=out / FOLDER, ranks=ranks, console=console)

    def _topic(self) -> Topic:
        return Topic(
            name="segregation-mcmd",
            config=SegregationConfig,
            identity=lambda _config: {
                "width_angstrom": self._settings.width_angstrom,
                "swap_every": self._settings.swap_every,
                "swaps": self._settings.swaps,
                "barostat": self._barostat,
            },
            elements=lambda config: {config.element, *self._dopants},
            plan=lambda _config, out: list(self._plan(out)),
            analyse=self.analyse,
        )

    @property
    def _dopants(self) -> tuple[str, ...]:
        return self._settings.dopants or self._config.dopants

    @property
    def _barostat(self) -> str:
        # through vacuum there is nothing to press against
        return self._settings.barostat if self._host.repeats_along_normal else "none"

    def _plan(self, out: Path) -> Iterator[SimulationRun]:
        settings = self._settings
        for dopant in self._dopants:
            elements = (self._config.element, dopant)
            label = f"{dopant}-{settings.total_fraction:g}"
            structure = f"structures/{label}.data"
            with replacing(out / structure) as temporary:
                write_structure(self._start(dopant, label), temporary, elements=list(elements))
            for temperature in settings.temperatures_k:
                name = f"{label}/{temperature:g}K"
                yield SimulationRun(
                    name=name,
                    input="in.mcmd",
                    steps=settings.steps,
                    structure=structure,
                    elements=elements,
                    n_atoms=len(self.atoms),
                    variables={
                        "temperature_k": temperature,
                        "seed": seed_of(name, self._config.seed),
                        "swap_every": settings.swap_every,
                        "swaps": settings.swaps,
                        "barostat": self._barostat,
                    },
                    about={
                        "host": self._config.element,
                        "dopant": dopant,
                        "temperature_k": temperature,
                        "n_dopants": self.n_dopants,
                    },
                    evaluations_per_step=1 + (settings.swaps + 1) / settings.swap_every,
                    analysis=self._analysis,
                )

    @property
    def _analysis(self) -> dict[str, Any]:
        """Settings that decide which sites are told apart, and how the profile is cut."""
        sites = self._config.sites.model_dump(
            include={
                "max_distance_angstrom", "width_angstrom", "tolerance_angstrom", "crystal_rmsd_cutoff"
            }
        )  # fmt: skip
        return {
            **{f"sites.{key}": value for key, value in sites.items()},
            "mcmd.bin_angstrom": self._settings.bin_angstrom,
        }

    def _start(self, dopant: str, label: str) -> Atoms:
        atoms = self.atoms.copy()
        rng = np.random.default_rng(seed_of(label, self._config.seed))
        atoms.symbols[rng.choice(len(atoms), self.n_dopants, replace=False)] = dopant
        return atoms

    def analyse(self, folder: Path, run: SimulationRun, config: SimulationConfig) -> dict[str, Any]:
        """Measure where the dopants were, over the frames of a finished run.

        Raises
        ------
        DataError
            If its frames or its log cannot be read.
        """
        frames = [read_frame(path) for path in frame_files(folder)]
        dopant = str(run.about["dopant"])
        held = np.array([[s == dopant for s in atoms.symbols] for atoms in frames])
        thermo = read_run(folder)
        tried, taken = (float(thermo.column(f"f_swap_1_2[{k}]")[-1]) for k in (1, 2))
        width = self._config.sites.width_angstrom
        found: dict[str, Any] = {
            "n_frames": len(frames),
            "swaps_tried": tried,
            "swaps_accepted": taken,
            "moved_fraction": self._moved(frames),
            "sites": {
                site.label: _filled(held[:, self.groups == number], f"site {site.label}")
                for number, site in enumerate(self._chosen.sites)
            },
            "boundary": _filled(held[:, self.distances <= width], "boundary"),
            "bulk": _filled(held[:, self.distances > self.bulk_beyond_angstrom], "bulk"),
        }
        if self._host.plane_fractions:
            found |= self._across(held)
        del config
        return found

    @property
    def bulk_beyond_angstrom(self) -> float:
        """Sites farther than this from the boundary count as bulk."""
        deepest = float(self.distances.max())
        return min(self._config.sites.max_distance_angstrom, 0.7 * deepest)

    @property
    def area_nm2(self) -> float:
        """Of all boundaries of the cell, nm²."""
        area = np.linalg.norm(np.cross(self.atoms.cell[0], self.atoms.cell[1]))
        return float(area) * self._host.n_boundaries / ANGSTROM2_PER_NM2

    @property
    def edges_angstrom(self) -> NDArray[np.float64]:
        """Of the profile's bins, Å."""
        height = self._host.height_angstrom
        n_bins = max(4, round(height / self._settings.bin_angstrom))
        return np.linspace(0.0, height, n_bins + 1)

    @property
    def _places(self) -> NDArray[np.float64]:
        """Height of each site, within the cell."""
        return np.asarray((self.atoms.positions @ self._host.normal) % self._host.height_angstrom)

    def in_bins(self, fractions: NDArray[np.float64]) -> list[float | None]:
        """Mean over the sites of each bin of the profile; None where there are none."""
        n = np.histogram(self._places, self.edges_angstrom)[0]
        total = np.histogram(self._places, self.edges_angstrom, weights=fractions)[0]
        return [float(x) / int(k) if k else None for x, k in zip(total, n, strict=True)]

    def _across(self, held: NDArray[np.bool_]) -> dict[str, Any]:
        """Profile along the normal, by the heights of the sites, and the excess."""
        edges, places = self.edges_angstrom, self._places
        counts = [count_in_bins(places, row, edges) for row in held]
        dopants, atoms = (np.array([pair[k] for pair in counts]) for k in (0, 1))
        content = profile(dopants, atoms, edges)
        # two bins by the distance of the sites, so that no plane is cut by the edge of a bin
        far = self.distances > self.bulk_beyond_angstrom
        excess = interfacial_excess(
            np.column_stack([held[:, ~far].sum(axis=1), held[:, far].sum(axis=1)]),
            np.tile([(~far).sum(), far.sum()], (len(held), 1)),
            is_bulk=[False, True],
            area_angstrom2=self.area_nm2,  # hence per nm²
            n_boundaries=1,
        )
        return {
            "excess_per_nm2": {**excess.as_dict(), "unit": "1/nm²"},
            "profile": {
                "edges_angstrom": edges.tolist(),
                "fraction": _json(content.fraction),
                "error": _json(content.error),
                "n_atoms": content.n_atoms.tolist(),
            },
        }

    def _moved(self, frames: list[Atoms]) -> float:
        """Part of the atoms that have left their sites at the end, the drift of the whole aside."""
        last = frames[-1]
        at_rest = self.atoms.get_scaled_positions(wrap=False) @ last.cell.array
        vectors, _ = find_mic(last.positions - at_rest, last.cell, pbc=True)
        # the median: grains may slide over one another, each then counts by its own
        vectors -= np.median(vectors, axis=0)
        return float(np.mean(np.linalg.norm(vectors, axis=1) > _LEFT * self._host.edge_angstrom))


def _filled(held: NDArray[np.bool_], label: str) -> dict[str, Any]:
    """Content of some sites over the frames, ``(n_frames, n_sites)``, with its error."""
    return {
        **mean_of(held.mean(axis=1), label=label, unit="atomic fraction").as_dict(),
        "n_sites": held.shape[1],
    }


def _json(values: NDArray[np.float64]) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]
