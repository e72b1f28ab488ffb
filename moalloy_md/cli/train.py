"""``moalloy train``: fit a MACE model."""

from pathlib import Path
from typing import Annotated

import typer


def train_command(
    config: Annotated[
        Path,
        typer.Argument(
            metavar="CONFIG",
            help="YAML file: data, what to start from (scratch, a foundation, a fine-tuned model), how.",
        ),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Run directory; goes before `out` in CONFIG.")
    ] = None,
    committee: Annotated[
        int | None,
        typer.Option(min=1, help="Models to train that differ in their seed; before CONFIG."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a model; the same command again goes on with a training that was killed.

    From random weights, from a foundation (fine-tuning), or from a fine-tuned model with cells of
    new elements (refining). The run directory gets model.model, manifest.json, train.log and history.jsonl, and with a
    test set in CONFIG the folder test.
    """
    from moalloy_md.workflows.fit import train_shown

    train_shown(config, out, committee=committee, as_json=as_json)
