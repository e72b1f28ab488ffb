"""``moalloy train``: fit a MACE model."""

from pathlib import Path
from typing import Annotated

import typer


def train_command(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="YAML file: data, network, optimisation.")
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Run directory; goes before `out` in CONFIG.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train a model; the same command again goes on with a training that was killed.

    The run directory gets model.model, manifest.json, train.log and history.jsonl, and with a
    test set in CONFIG the folder test.
    """
    from moalloy_md.workflows.fit import train_shown

    train_shown(config, out, as_json=as_json)
