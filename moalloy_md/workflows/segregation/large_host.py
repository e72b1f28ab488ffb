"""Large hosts are annealed and minimised by LAMMPS."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from moalloy_md.errors import RunDirectoryError
from moalloy_md.lammps.frames import frame_files, read_frame
from moalloy_md.lammps.inputs import input_file
from moalloy_md.lammps.run import OnRow, VariableValue, run_lammps
from moalloy_md.lammps.single_point import write_structure
from moalloy_md.rundir import replacing
from moalloy_md.workflows.progress_bar import progress_bar
from moalloy_md.workflows.segregation.config import Annealing, SphereSettings
from moalloy_md.workflows.segregation.host import Host
from moalloy_md.workflows.simulate.config import BundlePotential
from moalloy_md.workflows.simulate.potential import resolve_potential

ANNEAL, MINIMISE = "anneal", "minimise"
_STRUCTURE = "structure.data"

#: What LAMMPS may change of the cell, by a host's ``relax_cell``.
_BAROSTAT = {"no": "none", "normal": "z", "all": "iso"}
_SCALED = {"no": "fixed", "normal": "z", "all": "iso"}

#: Steps of an annealing between frames.
_FRAME_INTERVAL = 500


def minimisation_settings(spheres: SphereSettings, *, is_large: bool) -> dict[str, Any]:
    """Return the settings that a host is minimised with, once: they are kept beside its energy."""
    settings: dict[str, Any] = {"is_large": is_large}
    if is_large:
        settings |= spheres.model_dump(include={"host_fmax_ev_per_angstrom", "host_max_steps"})
    return settings


def refuse_another_minimisation(
    recorded: Mapping[str, Any] | None, settings: Mapping[str, Any], *, out: Path
) -> None:
    """Refuse settings that a host which is there already was not minimised with.

    Parameters
    ----------
    recorded
        What `minimisation_settings` returned for it; None of a version that did not write it down.
    settings
        What it returns now.
    out
        Run directory.

    Raises
    ------
    RunDirectoryError
        If they differ.
    """
    if recorded is None or recorded == settings:
        return
    if recorded["is_large"] != settings["is_large"]:
        sizes = {True: "a large one, by LAMMPS", False: "a whole cell of few atoms"}
        raise RunDirectoryError(
            f"{out}: its host was relaxed as {sizes[recorded['is_large']]}, and spheres.above_atoms now "
            f"makes it {sizes[settings['is_large']]}. Give the old value to go on, or choose another folder"
        )
    key = next(key for key in settings if recorded.get(key) != settings[key])
    raise RunDirectoryError(
        f"{out}: its host was minimised with spheres.{key} = {recorded.get(key)}, now asked to go on with "
        f"{settings[key]}. Give the old value to go on, or choose another folder to start anew"
    )


@dataclass(frozen=True)
class HostRelaxation:
    """Annealing and minimisation of a host by LAMMPS, in folders below a run directory.

    What a kill left goes on.

    Attributes
    ----------
    potential
        The model.
    out
        Run directory.
    ranks
        MPI ranks.
    console
        Where progress is shown.
    """

    potential: BundlePotential
    out: Path
    ranks: int
    console: Console = field(repr=False)

    def anneal(self, host: Host, settings: Annealing, *, timestep_ps: float, seed: int) -> Host:
        """Let the atoms find better places (``in.anneal``).

        Parameters
        ----------
        host
            As built.
        settings
            How hot, how long.
        timestep_ps
            Time step, ps.
        seed
            Of the starting velocities.

        Returns
        -------
        Host
            At the end of the cooling, not minimised.

        Raises
        ------
        LammpsError
            If LAMMPS fails.
        """
        folder = self.out / ANNEAL
        hold = round(settings.hold_ps / timestep_ps)
        steps = hold + round(settings.cooling_ps / timestep_ps)
        steps = -(-steps // _FRAME_INTERVAL) * _FRAME_INTERVAL  # the last frame is the result
        with progress_bar(self.console, "step {} of {}") as show:

            def on_row(row: Mapping[str, float]) -> None:
                show(int(row["Step"]), steps, f"{row['Temp']:.0f} K", is_end=False)

            self._run(
                "in.anneal",
                host,
                folder,
                on_row=on_row,
                variables={
                    "steps": steps,
                    "hold_steps": hold,
                    "temperature_k": settings.temperature_k,
                    "end_temperature_k": settings.end_temperature_k,
                    "barostat": _BAROSTAT[host.relax_cell],
                    "timestep_ps": timestep_ps,
                    "seed": seed + 1,  # LAMMPS takes no 0
                    "dump_interval": _FRAME_INTERVAL,
                },
            )
        return host.with_plain(read_frame(frame_files(folder, first_step=steps)[-1]))

    def minimise(
        self, host: Host, *, fmax_ev_per_angstrom: float, max_steps: int
    ) -> tuple[Host, float]:
        """Relax a host (``in.minimize``), its cell scaled to zero pressure where it may.

        Parameters
        ----------
        host
            As built, or annealed.
        fmax_ev_per_angstrom
            It ends where no force is larger, eV/Å.
        max_steps
            Iterations after which it ends in any case.

        Returns
        -------
        Host
            Minimised.
        float
            Largest force that is left, eV/Å.

        Raises
        ------
        LammpsError
            If LAMMPS fails.
        """
        folder, force = self.out / MINIMISE, float("inf")
        with progress_bar(self.console, "step {} of {}") as show:

            def on_row(row: Mapping[str, float]) -> None:
                nonlocal force
                force = row["Fmax"]
                show(int(row["Step"]), max_steps, f"{force:.3f} eV/Å", is_end=False)

            self._run(
                "in.minimize",
                host,
                folder,
                on_row=on_row,
                variables={
                    "steps": max_steps,
                    "force": fmax_ev_per_angstrom,
                    "cell": _SCALED[host.relax_cell],
                },
            )
        return host.with_plain(read_frame(folder / "minimized.dump")), force

    def _run(
        self,
        name: str,
        host: Host,
        folder: Path,
        *,
        variables: Mapping[str, VariableValue],
        on_row: OnRow,
    ) -> None:
        model = resolve_potential(self.potential)
        element = str(host.atoms.symbols[0])
        with replacing(folder / _STRUCTURE) as temporary:
            write_structure(host.atoms, temporary, elements=[element])
        run_lammps(
            input_file(name),
            run_dir=folder,
            variables={
                "structure": folder / _STRUCTURE,
                "elements": element,
                "style": model.style,
                "potential": model.files,
                **variables,
            },
            ranks=self.ranks,
            on_row=on_row,
        )
