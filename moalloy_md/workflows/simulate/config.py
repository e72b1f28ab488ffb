"""Settings that all simulations of ``moalloy simulate`` share."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from moalloy_md.config import StrictModel
from moalloy_md.elements import ChemicalSymbol
from moalloy_md.workflows.job_queue import Slurm


class BundlePotential(StrictModel):
    """A MACE model, or a committee of several."""

    kind: Literal["bundle"] = "bundle"
    """Tag: this kind."""
    bundle: Path
    """Folder that ``moalloy export`` wrote."""
    committee: tuple[Path, ...] = ()
    """Further bundles, trained alike from other seeds (``moalloy train --committee``): the atoms move
    by the mean of all, and how much they differ says where the model does not know."""
    style: Literal["mace/native", "mace"] = "mace/native"
    """Pair style: the native engine, or TorchScript, which knows no committees."""

    def with_whole_paths(self) -> "BundlePotential":
        """Return the same with paths that are valid from every folder."""
        committee = tuple(path.absolute() for path in self.committee)
        return self.model_copy(update={"bundle": self.bundle.absolute(), "committee": committee})


class LammpsPotential(StrictModel):
    """A potential of LAMMPS, such as EAM or SNAP, for a quick try."""

    kind: Literal["lammps"]
    """Tag: this kind."""
    style: str
    """Pair style, such as ``eam/alloy`` or ``snap``."""
    files: tuple[Path, ...] = Field(min_length=1)
    """What ``pair_coeff`` reads. Names without a folder are looked for among the potentials that come
    with LAMMPS: ``W_zhou.eam.alloy``."""
    elements: tuple[ChemicalSymbol, ...] = Field(min_length=1)
    """Elements that the files know."""


PotentialConfig = Annotated[BundlePotential | LammpsPotential, Field(discriminator="kind")]


class Watch(StrictModel):
    """What is looked at while a simulation runs, and when something is said."""

    close_fraction: float = Field(default=0.55, gt=0, lt=1)
    """A run ends when two atoms are closer than this part of the sum of their covalent radii, frame by
    frame: 1.69 Å for Mo-Mo. In Mo at 3000 K it stays above 0.68."""
    temperature_fraction: float = Field(default=0.05, gt=0)
    """A mean temperature that is farther from the thermostat's than this part of it is told."""
    energy_drift_fraction: float = Field(default=0.1, gt=0)
    """A conserved energy that drifts over a run by more than this part of k_B T per atom, and by more than
    three of its standard errors, is told. LAMMPS's barostat lets it wander by a few per cent whatever the time
    step; ``in.nve`` is sharper."""
    label_above_ev_per_angstrom: float = Field(default=0.3, gt=0)
    """Committee: frames in which the models differ by more about an atom's force are saved for labelling."""
    stop_above_ev_per_angstrom: float | None = Field(default=None, gt=0)
    """Committee: a run ends where they differ by more than this; never where null."""
    max_saved_frames: int = Field(default=50, ge=1)
    """Frames that a run saves at most: those with the largest deviations."""


class SimulationConfig(StrictModel):
    """Settings of every topic of ``moalloy simulate``."""

    potential: PotentialConfig | None = None
    """What moves the atoms; ``--bundle DIR`` stands for ``{kind: bundle, bundle: DIR}``."""
    timestep_ps: float = Field(default=0.002, gt=0, le=0.005)
    """Time step, ps. 0.002 suits Mo; 0.001 is safe up to melting."""
    thermo_interval: int = Field(default=10, ge=1)
    """Steps between lines of the log."""
    dump_interval: int = Field(default=200, ge=1)
    """Steps between frames."""
    restart_interval: int = Field(default=1000, ge=1)
    """Steps between restarts: what a kill can cost."""
    seed: int = Field(default=1, ge=0)
    """Of the dopants' sites and of the starting velocities."""
    threads: int = Field(default=1, ge=1)
    """OpenMP threads of each rank. Ranks are as fast."""
    watch: Watch = Watch()
    """What is looked at while it runs."""
    slurm: Slurm = Slurm()
    """How work is submitted to SLURM, each job on one node; ``cpus`` are ranks times threads."""

    @field_validator("dump_interval")
    @classmethod
    def _dumps_fall_on_lines(cls, value: int, info: object) -> int:
        interval = getattr(info, "data", {}).get("thermo_interval", 1)
        if value % interval:
            raise ValueError(
                f"expected a multiple of thermo_interval ({interval}), found {value}: each frame "
                "needs its line in the log"
            )
        return value
