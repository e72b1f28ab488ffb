"""``moalloy evaluate``: errors of a model on a dataset."""

from pathlib import Path
from typing import Annotated

import typer

from moalloy_md.config import Device, Engine


def evaluate_command(
    *,
    model: Annotated[
        Path,
        typer.Option(
            help="The .model file (loading it runs code in it: trust its maker); for --engine "
            "native a bundle or its model.safetensors."
        ),
    ],
    data: Annotated[Path, typer.Option(help="Labelled cells: extended XYZ.")],
    out: Annotated[
        Path, typer.Option(help="Folder to make: metrics.json, predictions.extxyz, parity.png.")
    ],
    engine: Annotated[
        Engine, typer.Option(help="Who computes: mace-torch, or the native engine.")
    ] = "mace",
    device: Annotated[Device, typer.Option(help="Where to compute.")] = "auto",
    batch_size: Annotated[int, typer.Option(min=1, help="Cells evaluated together.")] = 8,
    head: Annotated[
        str | None, typer.Option(help="Head of the model, where it has several.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print metrics as JSON instead of a table.")
    ] = False,
) -> None:
    """Compare a model with DFT: energy and force errors, predictions and a parity plot."""
    from moalloy_md.workflows.fit import evaluate_shown

    evaluate_shown(
        model=model,
        data=data,
        out=out,
        engine=engine,
        device=device,
        batch_size=batch_size,
        head=head,
        as_json=as_json,
    )
