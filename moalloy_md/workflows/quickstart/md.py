"""The quickstart's MD: doped Mo at constant temperature and pressure, and what it says."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from moalloy_md.bundle import Bundle
from moalloy_md.elements import HOST
from moalloy_md.rundir import RunDirectory
from moalloy_md.workflows.quickstart.config import QuickstartConfig

if TYPE_CHECKING:
    from moalloy_md.analysis.statistics import Estimate

#: A crystal below its melting point that has less bcc than this has left its structure.
_MIN_BCC = 0.9

#: 128 atoms at 300 K have a standard deviation of the temperature of 7 %, its mean over some
#: picoseconds one of about 1 %.
_MAX_TEMPERATURE_DEVIATION = 0.1

#: Under this name the run directory's state keeps how many steps an extended MD is bound for.
_TARGET = "md_steps"

#: How often the MD is made half as long again where it is too short for an error bar.
_MAX_EXTENSIONS = 3


def simulate(
    config: QuickstartConfig, bundle: Bundle, run: RunDirectory, console: Console
) -> dict[str, int]:
    """Run the MD until it can carry an error bar; return how many atoms of each element it has."""
    from moalloy_md.analysis.statistics import SeriesTooShortError
    from moalloy_md.lammps.single_point import write_structure
    from moalloy_md.structures.host import MO_EDGE_ANGSTROM
    from moalloy_md.structures.solid_solution import solid_solution

    atoms = solid_solution(
        dopants={config.dopant: config.dopant_fraction},
        repeat=(config.repeat, config.repeat, config.repeat),
        lattice_parameter_angstrom=MO_EDGE_ANGSTROM["bcc"],  # of the bundled cells
        seed=config.seed,
    )
    elements = [HOST, config.dopant]
    folder = run.path / "md"
    folder.mkdir(exist_ok=True)
    write_structure(atoms, folder / "structure.data", elements=elements)
    # a killed extension goes on to where it was bound, not to where the MD was first bound
    steps = run.result(_TARGET) or config.md_steps
    for extension in range(_MAX_EXTENSIONS + 1):
        _run_md(
            config, steps=steps, elements=elements, bundle=bundle, folder=folder, console=console
        )
        try:
            _lattice_parameter(folder, len(atoms))
            break
        except SeriesTooShortError as error:
            if extension == _MAX_EXTENSIONS:
                raise
            steps = steps * 3 // 2
            run.finish_step(_TARGET, steps)
            console.print(
                f"{error}\nThe MD goes on to {steps} steps", markup=False, highlight=False
            )
    return {element: int((atoms.symbols == element).sum()) for element in elements}


def _run_md(
    config: QuickstartConfig,
    *,
    steps: int,
    elements: list[str],
    bundle: Bundle,
    folder: Path,
    console: Console,
) -> None:
    from moalloy_md.lammps.inputs import input_file
    from moalloy_md.lammps.run import run_lammps

    columns = (TextColumn("step {task.completed} of {task.total}"), BarColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("md", total=steps)
        run_lammps(
            input_file("in.npt"),
            run_dir=folder,
            variables={
                "bundle": bundle.path,
                "steps": steps,
                "structure": "structure.data",
                "elements": " ".join(elements),
                "temperature_k": config.temperature_k,
                "timestep_ps": config.timestep_ps,
                "seed": config.seed + 1,  # LAMMPS takes no 0
            },
            threads=config.threads,
            on_step=lambda step, _total: bar.update(task, completed=step),
        )


def _lattice_parameter(folder: Path, n_atoms: int) -> "Estimate":
    from moalloy_md.analysis.crystal import bcc_lattice_parameter
    from moalloy_md.lammps.logs import read_run

    return bcc_lattice_parameter(read_run(folder).column("Volume"), n_atoms=n_atoms)


def analyse(
    config: QuickstartConfig, composition: dict[str, int], out: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the numbers of the MD, and the series behind them."""
    from moalloy_md.analysis.crystal import crystal_series
    from moalloy_md.analysis.ovito_support import OvitoError
    from moalloy_md.lammps.frames import frame_files
    from moalloy_md.lammps.logs import read_run

    thermo = read_run(out / "md")
    n_atoms = sum(composition.values())
    lattice = _lattice_parameter(out / "md", n_atoms)
    first = int(thermo.steps[lattice.n_discarded])
    try:
        crystal = crystal_series(frame_files(out / "md", first_step=first))
        bcc_fraction = float(crystal.bcc.mean())
    except OvitoError:
        bcc_fraction = None  # `warnings_about` says so
    md = {
        "lattice_parameter_angstrom": asdict(lattice),
        "bcc_fraction": bcc_fraction,
        "mean_temperature_k": float(thermo.column("Temp")[lattice.n_discarded :].mean()),
        "steps": int(thermo.steps[-1]),
        "timestep_ps": config.timestep_ps,
        "temperature_k": config.temperature_k,
        "n_atoms": n_atoms,
        "composition": " ".join(f"{element}{n}" for element, n in composition.items()),
    }
    series = {
        "time_ps": thermo.column("Time"),
        "temperature_k": thermo.column("Temp"),
        "lattice_parameter": (2.0 * thermo.column("Volume") / n_atoms) ** (1.0 / 3.0),
        "target_k": config.temperature_k,
        "estimate": lattice,
    }
    return md, series


def warnings_about(md: dict[str, Any]) -> list[str]:
    """Say what makes the MD's numbers worthless."""
    found = []
    if md["bcc_fraction"] is None:
        found.append("OVITO cannot be loaded here, so the crystal structure was not looked at.")
    elif md["bcc_fraction"] < _MIN_BCC:
        found.append(
            f"only {100 * md['bcc_fraction']:.0f} % of the atoms are still bcc: the crystal did "
            "not survive, and its lattice parameter means nothing."
        )
    mean, target = md["mean_temperature_k"], md["temperature_k"]
    if abs(mean - target) > _MAX_TEMPERATURE_DEVIATION * target:
        found.append(f"the mean temperature was {mean:.0f} K instead of {target:.0f} K.")
    return found
