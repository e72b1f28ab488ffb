"""``moalloy analyze``: one command a topic; each ends in one call of the workflow."""

from pathlib import Path
from typing import Annotated, Any

import typer

from moalloy_md.cli.common import ConfigOption, JsonOption, settings_from

app = typer.Typer(
    no_args_is_help=True,
    help="Measure trajectories with OVITO: tables with error bars, plots for publication, pictures.",
)

RunArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="Run folder, folder of dumps, or a trajectory file (LAMMPS dump, extended XYZ).",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the results; RUN/analysis/TOPIC, or beside the file, if not given."
    ),
]
EveryOption = Annotated[int | None, typer.Option(help="Take each so-many-th frame.")]
FirstOption = Annotated[
    int | None, typer.Option(help="Leave earlier frames of a run folder out: a time step.")
]
ElementsOption = Annotated[
    str | None,
    typer.Option(help="Mo,W,...: elements of atom types 1, 2, ..., where dumps do not name them."),
]
PictureOption = Annotated[
    bool | None,
    typer.Option("--picture/--no-picture", help="Whether to draw the last frame."),
]
RmsdOption = Annotated[
    float | None, typer.Option(help="How far an atom may deviate: 0.1, 0.15 near melting.")
]
ClusterCutoffOption = Annotated[
    float | None,
    typer.Option(help="Who is nearer belongs together, Å: between shells 2 and 3 of bcc."),
]


def _common(
    every: int | None, first_step: int | None, elements: str | None, *, picture: bool | None
) -> dict[str, Any]:
    return {
        "every": every,
        "first_step": first_step,
        "elements": elements and tuple(part.strip() for part in elements.split(",")),
        "picture": picture,
    }


def _run(
    topic: str,
    run: Path,
    given: dict[str, Any],
    *,
    out: Path | None,
    config: Path | None,
    as_json: bool,
) -> None:
    from moalloy_md.workflows.analyze import TOPICS
    from moalloy_md.workflows.analyze_shown import analyze_shown

    settings = settings_from(given, config, TOPICS[topic][0], source=f"moalloy analyze {topic}")
    analyze_shown(settings, run, out=out, as_json=as_json)


@app.command("structure")
def structure_command(
    run: RunArgument,
    *,
    rmsd_cutoff: RmsdOption = None,
    every: EveryOption = None,
    first_step: FirstOption = None,
    elements: ElementsOption = None,
    picture: PictureOption = None,
    out: OutOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fractions of bcc, fcc, hcp and other atoms by polyhedral template matching."""
    given = {"rmsd_cutoff": rmsd_cutoff, **_common(every, first_step, elements, picture=picture)}
    _run("structure", run, given, out=out, config=config, as_json=as_json)


@app.command("defects")
def defects_command(
    run: RunArgument,
    *,
    reference: Annotated[
        Path | None,
        typer.Option(help="File with the perfect crystal; 'first' for the first frame of the run."),
    ] = None,
    cutoff_angstrom: ClusterCutoffOption = None,
    every: EveryOption = None,
    first_step: FirstOption = None,
    elements: ElementsOption = None,
    picture: PictureOption = None,
    out: OutOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Vacancies, interstitials and clusters of them, by Wigner-Seitz cells of a reference crystal."""
    given = {
        "reference": reference,
        "cutoff_angstrom": cutoff_angstrom,
        **_common(every, first_step, elements, picture=picture),
    }
    _run("defects", run, given, out=out, config=config, as_json=as_json)


@app.command("sro")
def sro_command(
    run: RunArgument,
    *,
    shells: Annotated[int | None, typer.Option(help="Neighbour shells: 3.")] = None,
    lattice: Annotated[str | None, typer.Option(help="bcc (if not given) or fcc.")] = None,
    lattice_parameter_angstrom: Annotated[
        float | None, typer.Option(help="Edge of the cubic cell, Å: of the frame's density.")
    ] = None,
    every: EveryOption = None,
    first_step: FirstOption = None,
    elements: ElementsOption = None,
    picture: PictureOption = None,
    out: OutOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Short-range order: Warren-Cowley parameters of each pair of elements, shell by shell."""
    given = {
        "shells": shells,
        "lattice": lattice,
        "lattice_parameter_angstrom": lattice_parameter_angstrom,
        **_common(every, first_step, elements, picture=picture),
    }
    _run("sro", run, given, out=out, config=config, as_json=as_json)


@app.command("clusters")
def clusters_command(
    run: RunArgument,
    *,
    solutes: Annotated[
        str | None, typer.Option(help="W,Re,...: all but the most frequent element if not given.")
    ] = None,
    cutoff_angstrom: ClusterCutoffOption = None,
    every: EveryOption = None,
    first_step: FirstOption = None,
    elements: ElementsOption = None,
    picture: PictureOption = None,
    out: OutOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Clusters of solute atoms: how many, of which sizes."""
    given = {
        "solutes": solutes and tuple(part.strip() for part in solutes.split(",")),
        "cutoff_angstrom": cutoff_angstrom,
        **_common(every, first_step, elements, picture=picture),
    }
    _run("clusters", run, given, out=out, config=config, as_json=as_json)


@app.command("voronoi")
def voronoi_command(
    run: RunArgument,
    *,
    every: EveryOption = None,
    first_step: FirstOption = None,
    elements: ElementsOption = None,
    picture: PictureOption = None,
    out: OutOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Volume of the Voronoi cells of each element."""
    given = _common(every, first_step, elements, picture=picture)
    _run("voronoi", run, given, out=out, config=config, as_json=as_json)


@app.command("dislocations")
def dislocations_command(
    run: RunArgument,
    *,
    trial_circuit_length: Annotated[
        int | None, typer.Option(help="Longest Burgers circuit that is tried, steps: 14.")
    ] = None,
    every: EveryOption = None,
    first_step: FirstOption = None,
    elements: ElementsOption = None,
    picture: PictureOption = None,
    out: OutOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Dislocation lines of a bcc crystal: lengths by Burgers vector, and density."""
    given = {
        "trial_circuit_length": trial_circuit_length,
        **_common(every, first_step, elements, picture=picture),
    }
    _run("dislocations", run, given, out=out, config=config, as_json=as_json)


@app.command("grains")
def grains_command(
    run: RunArgument,
    *,
    rmsd_cutoff: RmsdOption = None,
    min_grain_atoms: Annotated[
        int | None, typer.Option(help="A smaller crystal is no grain: 100.")
    ] = None,
    every: EveryOption = None,
    first_step: FirstOption = None,
    elements: ElementsOption = None,
    picture: PictureOption = None,
    out: OutOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Grains: how many, how large, and which part of the atoms lies between them."""
    given = {
        "rmsd_cutoff": rmsd_cutoff,
        "min_grain_atoms": min_grain_atoms,
        **_common(every, first_step, elements, picture=picture),
    }
    _run("grains", run, given, out=out, config=config, as_json=as_json)


@app.command("rdf")
def rdf_command(
    run: RunArgument,
    *,
    cutoff_angstrom: Annotated[float | None, typer.Option(help="Largest distance, Å: 8.")] = None,
    bins: Annotated[int | None, typer.Option(help="Bins from zero to the cutoff: 200.")] = None,
    partial: Annotated[
        bool | None, typer.Option("--partial/--total", help="By pairs of elements, or all alike.")
    ] = None,
    every: EveryOption = None,
    first_step: FirstOption = None,
    elements: ElementsOption = None,
    picture: PictureOption = None,
    out: OutOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Radial distribution functions of the pairs of elements."""
    given = {
        "cutoff_angstrom": cutoff_angstrom,
        "bins": bins,
        "partial": partial,
        **_common(every, first_step, elements, picture=picture),
    }
    _run("rdf", run, given, out=out, config=config, as_json=as_json)


@app.command("msd")
def msd_command(
    run: RunArgument,
    *,
    windows: Annotated[
        int | None, typer.Option(help="Windows that each start anew, for the error: 5.")
    ] = None,
    timestep_ps: Annotated[
        float | None, typer.Option(help="Time step, ps; only for dumps without times.")
    ] = None,
    every: EveryOption = None,
    first_step: FirstOption = None,
    elements: ElementsOption = None,
    picture: PictureOption = None,
    out: OutOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Mean squared displacement and diffusion coefficient of each element."""
    given = {
        "windows": windows,
        "timestep_ps": timestep_ps,
        **_common(every, first_step, elements, picture=picture),
    }
    _run("msd", run, given, out=out, config=config, as_json=as_json)


@app.command("compare")
def compare_command(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Runs that were analysed; the first is compared to."),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder of the tables and plots.")] = Path("comparison"),
    as_json: JsonOption = False,
) -> None:
    """Lay analysed runs side by side: values with errors, and how far each is from the first."""
    from moalloy_md.workflows.analyze_shown import compare_shown

    compare_shown(runs, out=out, as_json=as_json)
