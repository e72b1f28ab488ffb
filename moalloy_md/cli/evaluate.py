"""``moalloy evaluate``: errors of a model on a dataset."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from moalloy_md.cli.common import ConfigOption, JsonOption, settings_from
from moalloy_md.config import Device, Engine
from moalloy_md.errors import ConfigError


def evaluate_command(
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="The .model file (loading it runs code in it: trust its maker), or the name of a "
            "foundation; for --engine native a bundle or its model.safetensors. Several, or the "
            "folder of a committee, are evaluated as a committee."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DATA.extxyz", help="Labelled cells: extended XYZ.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to make: metrics.json, predictions.extxyz, parity.png."),
    ] = None,
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
        Engine | None, typer.Option(help="Who computes: mace-torch (mace), or the native engine.")
    ] = None,
    device: Annotated[Device | None, typer.Option(help="Where to compute. (auto)")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Cells evaluated together. (8)")
    ] = None,
    head: Annotated[
        str | None, typer.Option(help="Head of the model, where it has several.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a model with DFT: energy and force errors, predictions and a parity plot."""
    from moalloy_md.potentials.evaluate_config import EvaluateConfig
    from moalloy_md.workflows.fit import evaluate_shown

    options: dict[str, Any] = {
        "model": model or None,
        "data": data,
        "out": out,
        "train": train,
        "proxies": _proxies(proxy or ()),
        "engine": engine,
        "device": device,
        "batch_size": batch_size,
        "head": head,
    }
    settings = settings_from(options, config, EvaluateConfig, source="moalloy evaluate")
    evaluate_shown(settings, as_json=as_json)


def _proxies(given: Sequence[str]) -> dict[str, str] | str | None:
    pairs = [pair.split("=") for pair in given if pair != "auto"]
    for pair in pairs:
        if len(pair) != 2:
            raise ConfigError(
                f"--proxy: expected auto, or a pair such as Al=V, found {'='.join(pair)!r}"
            )
    if not given:
        return None
    return {new: known for new, known in pairs} or "auto"  # noqa: C416  says which is which
