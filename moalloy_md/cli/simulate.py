"""``moalloy simulate``: simulations in LAMMPS that restart themselves, watched, with error bars."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from moalloy_md.cli.common import JsonOption, ResubmitOption, only_with_slurm
from moalloy_md.errors import ConfigError

if TYPE_CHECKING:
    from moalloy_md.workflows.simulate.config import SimulationConfig
    from moalloy_md.workflows.simulate.plan import Outcome

Config = TypeVar("Config", bound="SimulationConfig")

app = typer.Typer(
    no_args_is_help=True,
    help="Simulate doped crystals in LAMMPS: a plan of runs that go on after a kill.",
)


OutOption = Annotated[Path, typer.Option(help="Folder to make, or to go on with.")]
BundleOption = Annotated[
    Path | None,
    typer.Option(help="Bundle with the model. Other potentials and committees: --config."),
]
ModelOption = Annotated[Path | None, typer.Option("--bundle", help="Bundle with the model.")]
SettingsOption = Annotated[
    Path | None,
    typer.Option("--config", help="YAML file with the settings of this topic: docs/options.md."),
]
RanksOption = Annotated[int, typer.Option("--np", min=1, help="MPI ranks of a run.")]
ProcessesOption = Annotated[int, typer.Option("--np", min=1, help="Cells relaxed at once.")]
SlurmOption = Annotated[bool, typer.Option("--slurm", help="Submit the work to SLURM and return.")]
OnlyOption = Annotated[str | None, typer.Option(help="Name of a run, or the beginning of several.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what it would cost, and do nothing.")
]


@app.command("thermal")
def thermal_command(
    *,
    out: OutOption,
    bundle: BundleOption = None,
    config: SettingsOption = None,
    np: RanksOption = 1,
    slurm: SlurmOption = False,
    resubmit: ResubmitOption = False,
    only: OnlyOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Heat pure and doped crystals: expansion, heat capacity, vibration, structure, stability.

    Leaves thermal.json, CSV tables and plots. Killed, the same command goes on; with more steps,
    temperatures or compositions in the file it adds what is missing. Exits with status 1 if a run
    failed.
    """
    from moalloy_md.config import load_config
    from moalloy_md.workflows.simulate.shown import simulation_shown
    from moalloy_md.workflows.thermal.config import ThermalConfig
    from moalloy_md.workflows.thermal.results import as_dict, show_results
    from moalloy_md.workflows.thermal.workflow import TOPIC, thermal

    settings = ThermalConfig() if config is None else load_config(config, ThermalConfig)
    settings = _with_bundle(settings, bundle, config)
    _end(
        simulation_shown(
            TOPIC, settings, thermal, as_dict=as_dict, show=show_results, out=out, ranks=np, slurm=slurm,
            only=only, resubmit=only_with_slurm(resubmit=resubmit, slurm=slurm), dry_run=dry_run, as_json=as_json,
        )
    )  # fmt: skip


@app.command("sro")
def sro_command(
    *,
    config: Annotated[
        Path, typer.Option("--config", help="YAML file with the settings: docs/sro.md.")
    ],
    out: OutOption,
    bundle: BundleOption = None,
    np: RanksOption = 1,
    slurm: SlurmOption = False,
    resubmit: ResubmitOption = False,
    only: OnlyOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Short-range order by Monte Carlo swaps within molecular dynamics, from two starts.

    Leaves sro.json, CSV tables and plots. Killed, the same command goes on; with more steps,
    temperatures or compositions in the file it adds what is missing. Exits with status 1 if a run
    failed.
    """
    from moalloy_md.config import load_config
    from moalloy_md.workflows.simulate.shown import simulation_shown
    from moalloy_md.workflows.sro.config import SroConfig
    from moalloy_md.workflows.sro.results import as_dict, show_results
    from moalloy_md.workflows.sro.workflow import TOPIC, sro

    settings = _with_bundle(load_config(config, SroConfig), bundle, config)
    _end(
        simulation_shown(
            TOPIC, settings, sro, as_dict=as_dict, show=show_results, out=out, ranks=np, slurm=slurm,
            only=only, resubmit=only_with_slurm(resubmit=resubmit, slurm=slurm), dry_run=dry_run, as_json=as_json,
        )
    )  # fmt: skip


@app.command("interaction")
def interaction_command(
    *,
    out: OutOption,
    bundle: ModelOption = None,
    config: SettingsOption = None,
    np: ProcessesOption = 1,
    slurm: SlurmOption = False,
    resubmit: ResubmitOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Binding energies of dopants by neighbour shell: pairs, vacancies, triplets; beside DFT.

    Leaves interaction.json, CSV tables and plots. Killed, the same command goes on; with more
    dopants or shells in the file it adds what is missing.
    """
    from moalloy_md.config import load_config
    from moalloy_md.workflows.interaction.config import InteractionConfig
    from moalloy_md.workflows.interaction.shown import interaction_shown

    settings = InteractionConfig() if config is None else load_config(config, InteractionConfig)
    if bundle is not None:
        if settings.bundle is not None:
            raise ConfigError(f"expected either --bundle or bundle in {config}, found both")
        settings = settings.model_copy(update={"bundle": bundle})
    interaction_shown(
        settings,
        out=out,
        processes=np,
        slurm=slurm,
        resubmit=only_with_slurm(resubmit=resubmit, slurm=slurm),
        dry_run=dry_run,
        as_json=as_json,
    )


@app.command("segregation")
def segregation_command(
    *,
    config: Annotated[
        Path, typer.Option("--config", help="YAML file with the settings: docs/segregation.md.")
    ],
    out: OutOption,
    bundle: ModelOption = None,
    np: Annotated[
        int, typer.Option("--np", min=1, help="Cells relaxed at once, and MPI ranks of a run.")
    ] = 1,
    slurm: SlurmOption = False,
    resubmit: ResubmitOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Segregation to grain boundaries, surfaces and voids: energies by site, isotherm, Monte Carlo.

    Leaves segregation.json, CSV tables and plots. Killed, the same command goes on; with more
    dopants, temperatures or steps in the file it adds what is missing. Exits with status 1 if a
    Monte Carlo run failed.
    """
    from moalloy_md.config import load_config
    from moalloy_md.workflows.segregation.config import SegregationConfig
    from moalloy_md.workflows.segregation.shown import segregation_shown

    settings = _with_bundle(load_config(config, SegregationConfig), bundle, config)
    _end(
        segregation_shown(
            settings,
            out=out,
            ranks=np,
            slurm=slurm,
            resubmit=only_with_slurm(resubmit=resubmit, slurm=slurm),
            dry_run=dry_run,
            as_json=as_json,
        )
    )


def _end(outcome: "Outcome | None") -> None:
    """Exit with status 1 where a run failed."""
    if outcome is not None and outcome.failed:
        raise typer.Exit(1)


def _with_bundle(settings: Config, bundle: Path | None, config: Path | None) -> Config:
    """Put --bundle into settings that name no potential."""
    from moalloy_md.workflows.simulate.config import BundlePotential

    if bundle is None:
        return settings
    if settings.potential is not None:
        raise ConfigError(
            f"expected either --bundle or potential in {config}, found both. Leave one out"
        )
    return settings.model_copy(update={"potential": BundlePotential(bundle=bundle)})
