"""Simulations as the command line shows them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from moalloy_md.workflows.simulate.config import SimulationConfig
from moalloy_md.workflows.simulate.plan import Outcome
from moalloy_md.workflows.simulate.workflow import Topic, plan_costs, show_outcome

Results = TypeVar("Results")


def simulation_shown(
    about: Topic,
    config: SimulationConfig,
    run: Callable[..., tuple[Outcome, Results | None]],
    *,
    as_dict: Callable[[Results], dict[str, Any]],
    show: Callable[[Results, Console], None],
    out: Path,
    ranks: int,
    slurm: bool,
    only: str | None,
    resubmit: bool,
    dry_run: bool,
    as_json: bool,
) -> Outcome | None:
    """Simulate, submit or forecast, and print what came out.

    Parameters
    ----------
    about, config
        What is simulated.
    run
        The topic's workflow, such as `moalloy_md.workflows.thermal.workflow.thermal`.
    as_dict, show
        What is printed of its results: as JSON, and to people.
    out, ranks, slurm, only, resubmit, dry_run, as_json
        As on the command line.

    Returns
    -------
    Outcome or None
        How the runs stand; None after a dry run.

    Raises
    ------
    MoAlloyError
        As `moalloy_md.workflows.simulate.workflow.simulate`.
    """
    console = Console(stderr=True)
    if dry_run:
        plan_costs(about, config, out=out, ranks=ranks, console=console)
        return None
    found, results = run(
        config,
        out=out,
        ranks=ranks,
        executor="slurm" if slurm else "here",
        only=only,
        resubmit=resubmit,
        console=console,
    )
    if results is not None and as_json:
        print(json.dumps(as_dict(results), indent=2))  # noqa: T201  asked for
    elif results is not None:
        show(results, Console())
    show_outcome(found, console)
    return found
