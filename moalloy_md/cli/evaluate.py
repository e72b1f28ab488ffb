"""``moalloy evaluate``: errors of a model on a dataset."""

from pathlib import Path
from typing import Annotated

import typer

from moalloy_md.config import Device, Engine


def evaluate_command(
    *,
    model: Annotated[
        list[str],
        typer.Option(
            help="The .model file (loading it runs code in it: trust its maker), or the name of a "
            "foundation; for --engine native a bundle or its model.safetensors. Several, or the "
            "folder of a committee, are evaluated as a committee."
        ),
    ],
    data: Annotated[Path, typer.Option(help="Labelled cells: extended XYZ.")],
    out: Annotated[
        Path, typer.Option(help="Folder to make: metrics.json, predictions.extxyz, parity.png.")
    ],
    train: Annotated[
        Path | None,
        typer.Option(
            help="Training set: aligns the references of the elements for a second column of "
            "energy errors, and completes the energies of dilute alloys."
        ),
    ] = None,
    proxy: Annotated[
        list[str] | None,
        typer.Option(
            help="Let a known element stand in for one that the model lacks: Al=V, or auto for the "
            "nearest in the periodic table. May be repeated."
        ),
    ] = None,
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
        train=train,
        proxies=proxy,
        engine=engine,
        device=device,
        batch_size=batch_size,
        head=head,
        as_json=as_json,
    )
