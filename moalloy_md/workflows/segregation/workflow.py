"""``moalloy simulate segregation``: where dopants go, and how much of them, at a temperature."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from moalloy_md.analysis.segregation import boundary_energy
from moalloy_md.bundle import Bundle, open_bundle
from moalloy_md.config import DType
from moalloy_md.errors import ConfigError, DataError
from moalloy_md.rundir import RunDirectory, now, open_run, sha256
from moalloy_md.structures.lammps_data import is_turned_for_lammps
from moalloy_md.units import GPA_PER_EV_A3
from moalloy_md.workflows.bundle_calculator import (
    bundle_calculator,
    engine_of,
    model_sha256,
    seconds_per_evaluation,
)
from moalloy_md.workflows.properties.crystal import bcc_crystal
from moalloy_md.workflows.relaxations import count_done, relax_all
from moalloy_md.workflows.segregation.config import SegregationConfig
from moalloy_md.workflows.segregation.energies import Cells, Clusters
from moalloy_md.workflows.segregation.host import (
    Host,
    build_host,
    read_host,
    relax_host,
    write_host,
)
from moalloy_md.workflows.segregation.large_host import (
    HostRelaxation,
    minimisation_settings,
    refuse_another_minimisation,
)
from moalloy_md.workflows.segregation.mcmd import Hybrid
from moalloy_md.workflows.segregation.results import collect, write_results
from moalloy_md.workflows.segregation.sites import ChosenSites, centred, choose_sites
from moalloy_md.workflows.simulate.config import BundlePotential
from moalloy_md.workflows.simulate.plan import Outcome

KIND = "simulate segregation"
HOST_FILE = "host.extxyz"
CELLS = "cells"

#: Evaluations that a relaxation took, over the boundaries of docs/segregation.
_EVALUATIONS = 25


def segregation(
    config: SegregationConfig,
    *,
    out: Path,
    ranks: int = 1,
    console: Console | None = None,
) -> tuple[dict[str, Any], Outcome | None]:
    """Find where dopants segregate to; the same call goes on after a kill.

    Parameters
    ----------
    config
        Host, dopants, sites, temperatures.
    out
        Run directory: ``segregation.json``, CSV tables, plots, the relaxed host, all relaxed cells. More
        dopants, temperatures, contents, sizes or Monte Carlo runs in the same folder cost what is
        new.
    ranks
        Cells relaxed at once, and MPI ranks of LAMMPS.
    console
        Where progress is shown; standard error if None.

    Returns
    -------
    dict
        The content of ``segregation.json``.
    Outcome or None
        How the Monte Carlo runs stand; None where there are none.

    Raises
    ------
    ConfigError
        If there is no bundle, or the settings do not fit the host.
    ModelError
        If the bundle is none or lacks an element.
    DataError
        If there is no boundary, or no bulk between the boundaries.
    RunDirectoryError
        If `out` holds something else, or another host or model, or a host minimised otherwise.
    MoAlloyError
        If the host or a cell cannot be relaxed.
    """
    from moalloy_md.report.segregation_plots import write_plots

    console = console or Console(stderr=True)
    work = Work(config, Path(out).absolute(), ranks, console)
    work.check()
    hybrid = None
    if config.mcmd is not None:
        hybrid = Hybrid(config, work.host, work.chosen)
    found = relax_all(work.plan.tasks(), processes=ranks, console=console, **work.relaxing)
    energies = work.plan.read(found)
    outcome, runs = (
        (None, []) if hybrid is None else hybrid.run(out=work.out, ranks=ranks, console=console)
    )
    results = collect(
        config,
        work.host,
        work.chosen,
        energies,
        about=work.about,
        is_large=work.is_large,
        hybrid=hybrid,
        runs=runs,
    )
    write_results(results, work.out)
    write_plots(results, work.host, work.chosen, work.out)
    is_whole = outcome is None or not (outcome.failed or outcome.waiting)
    work.run.update_manifest(
        settings=config.model_dump(mode="json") if is_whole else None,
        finished=now() if is_whole else None,
    )
    return results, outcome


def show_forecast(config: SegregationConfig, *, out: Path, ranks: int, console: Console) -> float:
    """Show what is to be done and what it would cost; nothing is left in `out` that was not there.

    A host that is not relaxed yet is taken as it is built: its sites are as many, or nearly so.

    Returns
    -------
    float
        Hours of relaxations that are left.

    Raises
    ------
    MoAlloyError
        As `segregation`.
    """
    work = Work(config, Path(out).absolute(), ranks, console, is_forecast=True)
    work.check()
    tasks = work.plan.tasks()
    sizes = {len(task.atoms): task.atoms for task in tasks}
    calculator = work.calculator(threads=1, precision=config.precision)
    seconds = {n: seconds_per_evaluation(atoms, calculator) for n, atoms in sizes.items()}
    done = count_done(tasks, **work.relaxing)
    hours = sum(seconds[len(task.atoms)] for task in tasks) * _EVALUATIONS / 3600 / ranks
    hours *= 1 - done / len(tasks)
    console.print(
        f"{work.host.name}: {len(work.host.atoms)} atoms, {len(work.chosen.sites)} sites, "
        f"{len(config.dopants)} dopants: {len(tasks)} relaxations of {min(sizes)} to {max(sizes)} "
        f"atoms, {done} done. About {hours:.2f} hours on {ranks} core(s)"
        + ("." if work.has_host else ", after the host, which is not relaxed yet."),
        highlight=False,
    )
    if config.mcmd is not None:
        Hybrid(config, work.host, work.chosen).show_costs(
            out=work.out, ranks=ranks, console=console
        )
    return hours


@dataclass(frozen=True)
class Work:
    """The parts of a simulation that follow from its settings, each made once and when it is needed."""

    config: SegregationConfig
    out: Path
    ranks: int
    console: Console
    is_forecast: bool = False
    """Whether a host that is not relaxed yet is taken as it is built, and nothing is written."""

    def check(self) -> None:
        """Refuse what can be refused before any work; errors as `segregation`."""
        self.bundle.check((self.config.element, *self.config.dopants))
        self.unrelaxed  # noqa: B018  a boundary that cannot be built
        # without the lock: a job may be at work there
        recorded = (RunDirectory(self.out).result("host") or {}).get("minimisation")
        refuse_another_minimisation(recorded, self._minimisation, out=self.out)
        if self.config.mcmd is not None and self.is_large:
            raise ConfigError(
                f"mcmd: expected a host of up to {self.config.spheres.above_atoms} atoms, whose sites "
                f"are all known, found {len(self.unrelaxed.atoms)}: leave mcmd out, or run "
                "lammps_inputs/in.mcmd by hand"
            )
        host = self.config.host
        is_for_lammps = self.is_large or self.config.mcmd is not None
        if is_for_lammps and host.kind == "file" and not is_turned_for_lammps(self.unrelaxed.atoms):
            raise DataError(
                f"{host.path}: expected a cell whose first vector lies along x and whose second lies in "
                "the xy plane, as LAMMPS needs it for Monte Carlo and large hosts, found another. Turn "
                "it with ASE: atoms.set_cell(atoms.cell.standard_form()[0], scale_atoms=True)"
            )
        if self.config.spheres.anneal is not None and not self.is_large:
            raise ConfigError(
                f"spheres.anneal: expected a host of more than {self.config.spheres.above_atoms} atoms "
                f"(spheres.above_atoms), found {len(self.unrelaxed.atoms)}: leave anneal out, or anneal "
                "it with lammps_inputs/in.anneal by hand and give it as host: {kind: file}"
            )

    @property
    def potential(self) -> BundlePotential:
        """What the settings say of the model."""
        potential = self.config.potential
        if potential is None or potential.kind != "bundle":
            raise ConfigError(
                "expected a bundle, found none: give --bundle DIR, or potential in the --config file"
            )
        return potential

    @cached_property
    def bundle(self) -> Bundle:
        """The model."""
        return open_bundle(self.potential.bundle)

    @cached_property
    def run(self) -> RunDirectory:
        """The run directory."""
        config = self.config
        host = config.host.model_dump(mode="json")
        if config.host.kind == "file":
            host["path"] = sha256(config.host.path) if config.host.path.is_file() else None
        engine = engine_of(self.bundle)
        identity = {
            "model_sha256": model_sha256(self.bundle, engine),
            "host": host,
            "seed": config.seed,
            "fmax_ev_per_angstrom": config.fmax_ev_per_angstrom,
        }
        if config.spheres.anneal is not None:
            identity["anneal"] = config.spheres.anneal.model_dump(mode="json")
        return open_run(
            self.out, kind=KIND, config=identity, packages=("ase", "spglib", "ovito", "lammps")
        )

    def calculator(self, *, threads: int | None = None, precision: DType = "float64") -> Any:
        """Return a new calculator of the model."""
        return bundle_calculator(
            self.bundle.path,
            engine=engine_of(self.bundle),
            threads=threads or self.ranks,
            precision=precision,
        )

    @property
    def relaxing(self) -> dict[str, Any]:
        """How cells are relaxed."""
        return {
            "bundle": self.bundle.path,
            "folder": self.out / CELLS,
            "fmax_ev_per_angstrom": self.config.fmax_ev_per_angstrom,
            "max_steps": self.config.max_steps,
            "precision": self.config.precision,
        }

    @cached_property
    def crystal(self) -> dict[str, float]:
        """The host's crystal: ``edge_angstrom`` and ``energy_ev_per_atom`` at the model's minimum."""
        bcc = bcc_crystal(self.config.element, self.calculator(threads=1))
        return {
            "edge_angstrom": round(float(bcc.cell.lengths()[0]), 6),
            "energy_ev_per_atom": float(bcc.get_potential_energy() / len(bcc)),
        }

    @cached_property
    def unrelaxed(self) -> Host:
        """The host as it is built."""
        return build_host(self.config.host, edge_angstrom=self.crystal["edge_angstrom"])

    @property
    def is_large(self) -> bool:
        """Whether spheres about the sites are relaxed instead of the whole host."""
        return len(self.unrelaxed.atoms) > self.config.spheres.above_atoms

    @property
    def has_host(self) -> bool:
        """Whether the run directory holds the relaxed host; it is not made for the question."""
        return (self.out / HOST_FILE).exists() and self.run.result("host") is not None

    @cached_property
    def host(self) -> Host:
        """The relaxed host, from the run directory if it is there; for a forecast maybe unrelaxed."""
        file = self.out / HOST_FILE
        if self.is_forecast and not self.has_host:
            return centred(self.unrelaxed, self.config.sites)
        if self.run.result("host") is None:
            self.console.print(
                f"relaxing the host {self.unrelaxed.name}, {len(self.unrelaxed.atoms)} atoms",
                highlight=False, markup=False,
            )  # fmt: skip
            host, force = self._relaxed()
            write_host(host, file)
            self.run.finish_step(
                "host",
                {
                    "energy_ev": self._energy(host),
                    "max_force_ev_per_angstrom": force,
                    "minimisation": self._minimisation,
                },
            )
        return centred(read_host(self.unrelaxed, file), self.config.sites)

    @property
    def _minimisation(self) -> dict[str, Any]:
        return minimisation_settings(self.config.spheres, is_large=self.is_large)

    def _relaxed(self) -> tuple[Host, float]:
        """Relax the host; also the largest force that is left, eV/Å."""
        fmax, spheres = self.config.fmax_ev_per_angstrom, self.config.spheres
        if not self.is_large:
            return relax_host(self.unrelaxed, self.calculator(), fmax_ev_per_angstrom=fmax), fmax
        relaxation = HostRelaxation(self.potential, self.out, self.ranks, self.console)
        host = self.unrelaxed
        if spheres.anneal is not None:
            host = relaxation.anneal(
                host, spheres.anneal, timestep_ps=self.config.timestep_ps, seed=self.config.seed
            )
        return relaxation.minimise(
            host,
            fmax_ev_per_angstrom=spheres.host_fmax_ev_per_angstrom,
            max_steps=spheres.host_max_steps,
        )

    def _energy(self, host: Host) -> float:
        host.atoms.calc = self.calculator()
        return float(host.atoms.get_potential_energy())

    @cached_property
    def chosen(self) -> ChosenSites:
        """The sites that are tried."""
        return choose_sites(
            self.host,
            self.config.sites,
            is_large=self.is_large,
            seed=self.config.seed,
            pressures_gpa=self._pressures(),
            least_middle_angstrom=float(self.bundle.manifest["r_max_angstrom"]),
        )

    def _pressures(self) -> NDArray[np.float64] | None:
        """Minus a third of the trace of each atom's stress over a crystal's volume, GPa."""
        calculator = self.calculator()
        if "stresses" not in calculator.implemented_properties:
            return None
        atoms = self.host.atoms.copy()
        atoms.calc = calculator
        share = atoms.get_volume() / (self.host.edge_angstrom**3 / 2)
        stresses = atoms.get_stresses()
        pressures: NDArray[np.float64] = -stresses[:, :3].mean(axis=1) * share * GPA_PER_EV_A3
        return pressures

    @cached_property
    def plan(self) -> Cells | Clusters:
        """The cells that are relaxed."""
        config = self.config
        if self.is_large:
            manifest = self.bundle.manifest
            return Clusters(
                self.host,
                self.chosen,
                config.dopants,
                settings=config.spheres,
                reach_angstrom=float(manifest["r_max_angstrom"]) * int(manifest["n_layers"]),
            )
        return Cells(
            self.host,
            self.chosen,
            config.dopants,
            sizes_angstrom=config.sizes_angstrom,
            check_alike=config.sites.check_alike,
        )

    @property
    def _host_step(self) -> dict[str, Any]:
        return dict(self.run.result("host") or {})

    @property
    def about(self) -> dict[str, Any]:
        """What is known of host and model."""
        host, energy = self.host, self._host_step["energy_ev"]
        per_atom = self.crystal["energy_ev_per_atom"]
        area = host.area_angstrom2
        gamma = None
        if area is not None:
            gamma = boundary_energy(
                energy,
                n_atoms=len(host.atoms),
                bulk_energy_ev_per_atom=per_atom,
                area_angstrom2=area,
                n_boundaries=host.n_boundaries,
            )
        return {
            "host": {
                "kind": self.config.host.kind,
                "name": host.name,
                "element": self.config.element,
                "n_atoms": len(host.atoms),
                "lattice_parameter_angstrom": host.edge_angstrom,
                "planes_angstrom": list(host.planes_angstrom),
                "height_angstrom": host.height_angstrom,
                "area_angstrom2": area,
                "n_boundaries": host.n_boundaries,
                "boundary_energy_j_per_m2": gamma,
                "is_sampled": self.is_large,
                "max_force_ev_per_angstrom": self._host_step.get("max_force_ev_per_angstrom"),
            },
            "bundle": str(self.bundle.path),
        }
