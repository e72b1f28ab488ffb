"""``moalloy analyze``: one command a topic; each ends in one call of the workflow."""

import inspect
from collections.abc import Callable
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


def _topic_command(own: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Make a command of a topic: with its own options, and those that all topics have.

    `own` has the topic's name, its options, and the text of its help; it returns what they set.
    """
    topic = own.__name__

    def command(
        run: RunArgument,
        *,
        every: EveryOption = None,
        first_step: FirstOption = None,
        elements: ElementsOption = None,
        picture: PictureOption = None,
        out: OutOption = None,
        config: ConfigOption = None,
        as_json: JsonOption = False,
        **chosen: Any,
    ) -> None:
        from moalloy_md.workflows.analyze.shown import analyze_shown
        from moalloy_md.workflows.analyze.workflow import TOPICS

        given = own(**chosen) | {
            "every": every,
            "first_step": first_step,
            "elements": _listed(elements),
            "picture": picture,
        }
        settings = settings_from(
            given, config, TOPICS[topic][0], source=f"moalloy analyze {topic}", names={}
        )
        analyze_shown(settings, run, out=out, as_json=as_json)

    # Typer reads options from the signature
    run, *common, _ = inspect.signature(command).parameters.values()
    options = [run, *inspect.signature(own).parameters.values(), *common]
    command.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    command.__annotations__ = {option.name: option.annotation for option in options}
    command.__doc__ = own.__doc__
    app.command(topic)(command)
    return own


def _listed(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(","))


@_topic_command
def structure(*, rmsd_cutoff: RmsdOption = None) -> dict[str, Any]:
    """Fractions of bcc, fcc, hcp and other atoms by polyhedral template matching."""
    return {"rmsd_cutoff": rmsd_cutoff}


@_topic_command
def defects(
    *,
    reference: Annotated[
        Path | None,
        typer.Option(help="File with the perfect crystal; 'first' for the first frame of the run."),
    ] = None,
    cutoff_angstrom: ClusterCutoffOption = None,
) -> dict[str, Any]:
    """Vacancies, interstitials and clusters of them, by Wigner-Seitz cells of a reference crystal."""
    return {"reference": reference, "cutoff_angstrom": cutoff_angstrom}


@_topic_command
def sro(
    *,
    shells: Annotated[int | None, typer.Option(help="Neighbour shells: 3.")] = None,
    lattice: Annotated[str | None, typer.Option(help="bcc (if not given) or fcc.")] = None,
    lattice_parameter_angstrom: Annotated[
        float | None, typer.Option(help="Edge of the cubic cell, Å: of the frame's density.")
    ] = None,
) -> dict[str, Any]:
    """Short-range order: Warren-Cowley parameters of each pair of elements, shell by shell."""
    return {
        "shells": shells,
        "lattice": lattice,
        "lattice_parameter_angstrom": lattice_parameter_angstrom,
    }


@_topic_command
def clusters(
    *,
    solutes: Annotated[
        str | None, typer.Option(help="W,Re,...: all but the most frequent element if not given.")
    ] = None,
    cutoff_angstrom: ClusterCutoffOption = None,
) -> dict[str, Any]:
    """Clusters of solute atoms: how many, of which sizes."""
    return {"solutes": _listed(solutes), "cutoff_angstrom": cutoff_angstrom}


@_topic_command
def voronoi() -> dict[str, Any]:
    """Volume of the Voronoi cells of each element."""
    return {}


@_topic_command
def dislocations(
    *,
    trial_circuit_length: Annotated[
        int | None, typer.Option(help="Longest Burgers circuit that is tried, steps: 14.")
    ] = None,
) -> dict[str, Any]:
    """Dislocation lines of a bcc crystal: lengths by Burgers vector, and density."""
    return {"trial_circuit_length": trial_circuit_length}


@_topic_command
def grains(
    *,
    rmsd_cutoff: RmsdOption = None,
    min_grain_atoms: Annotated[
        int | None, typer.Option(help="A smaller crystal is no grain: 100.")
    ] = None,
) -> dict[str, Any]:
    """Grains: how many, how large, and which part of the atoms lies between them."""
    return {"rmsd_cutoff": rmsd_cutoff, "min_grain_atoms": min_grain_atoms}


@_topic_command
def rdf(
    *,
    cutoff_angstrom: Annotated[float | None, typer.Option(help="Largest distance, Å: 8.")] = None,
    bins: Annotated[int | None, typer.Option(help="Bins from zero to the cutoff: 200.")] = None,
    partial: Annotated[
        bool | None, typer.Option("--partial/--total", help="By pairs of elements, or all alike.")
    ] = None,
) -> dict[str, Any]:
    """Radial distribution functions of the pairs of elements."""
    return {"cutoff_angstrom": cutoff_angstrom, "bins": bins, "partial": partial}


@_topic_command
def msd(
    *,
    windows: Annotated[
        int | None, typer.Option(help="Windows that each start anew, for the error: 5.")
    ] = None,
    timestep_ps: Annotated[
        float | None, typer.Option(help="Time step, ps; only for dumps without times.")
    ] = None,
) -> dict[str, Any]:
    """Mean squared displacement and diffusion coefficient of each element."""
    return {"windows": windows, "timestep_ps": timestep_ps}


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
    from moalloy_md.workflows.analyze.shown import compare_shown

    compare_shown(runs, out=out, as_json=as_json)
