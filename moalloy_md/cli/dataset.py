"""``moalloy dataset``: split DFT datasets."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from moalloy_md.config import validate
from moalloy_md.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Prepare datasets of labelled DFT cells.")


class ProtocolName(StrEnum):
    """Names of the split protocols."""

    IID = "iid"
    LODO_STRICT = "lodo-strict"
    LODO_RELAXED = "lodo-relaxed"


@app.callback()
def _dataset() -> None:
    """Prepare datasets of labelled DFT cells (extended XYZ)."""


@app.command()
def split(
    data: Annotated[Path, typer.Argument(metavar="DATA.extxyz", help="Dataset to split.")],
    *,
    out: Annotated[
        Path, typer.Option(help="Folder to make: {train,valid,test}.extxyz and split.json.")
    ],
    protocol: Annotated[
        ProtocolName | None,
        typer.Option(
            help="iid: random groups. lodo-strict: test is every cell that contains the held-out "
            "dopant. lodo-relaxed: test is every cell with no other dopant than it."
        ),
    ] = None,
    held_out: Annotated[
        str | None, typer.Option(help="Dopant to hold out, such as W (lodo only).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Chooses the random order. (default 0)")] = None,
    test_fraction: Annotated[
        float | None, typer.Option(help="Part of all frames that tests (iid only). (default 0.1)")
    ] = None,
    valid_fraction: Annotated[
        float | None, typer.Option(help="Part of the other frames that validates. (default 0.1)")
    ] = None,
    frame_wise: Annotated[
        bool | None,
        typer.Option(
            "--frame-wise", help="Draw single frames and tear groups apart: test errors flatter."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file with these options instead of the options.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the counts as JSON instead of a table.")
    ] = False,
) -> None:
    """Split a dataset into train, valid and test, without leaks between them."""
    from moalloy_md.datasets.split_folder import split_file

    options = {
        "protocol": None if protocol is None else protocol.value,
        "held_out": held_out,
        "seed": seed,
        "test_fraction": test_fraction,
        "valid_fraction": valid_fraction,
        "frame_wise": frame_wise,
    }
    given = {name: value for name, value in options.items() if value is not None}
    screen = Console(stderr=True)
    summary = split_file(
        data,
        _protocol(given, config),
        out,
        watch=lambda frames: track(frames, f"Reading {data.name}", console=screen, transient=True),
    )
    if as_json:
        typer.echo(json.dumps({**summary, "out": str(out)}, indent=2))
    else:
        _print_summary(summary, out)


def _protocol(given: dict[str, Any], config: Path | None) -> Any:
    """Take the protocol from the options or from a file, never from both."""
    from moalloy_md.config import load_config
    from moalloy_md.datasets.split import SplitConfig, protocol_class

    if config is not None:
        if given:
            raise ConfigError(
                f"expected either --config or options, found --config {config} and "
                f"{', '.join('--' + name.replace('_', '-') for name in given)}. Leave one out"
            )
        return load_config(config, SplitConfig).split
    if "protocol" not in given:
        raise ConfigError("expected --protocol iid, lodo-strict or lodo-relaxed, found none")
    return validate(
        given, protocol_class(given["protocol"]), source=f"--protocol {given['protocol']}"
    )


def _print_summary(summary: dict[str, Any], out: Path) -> None:
    console = Console()
    table = Table("part", title=f"{summary['protocol']}, seed {summary['seed']}")
    for name in ("frames", "groups", "atoms"):
        table.add_column(name, justify="right")
    table.add_column("frames with dopant")
    for part, counts in summary["counts"].items():
        dopants = ", ".join(f"{x} {n}" for x, n in counts["frames_with_dopant"].items())
        numbers = (str(counts[name]) for name in ("frames", "groups", "atoms"))
        table.add_row(part, *numbers, dopants or "none")
    console.print(table)
    for remark in _remarks(summary):
        console.print(remark, highlight=False, markup=False)
    console.print(f"Written to {out}", highlight=False, markup=False)


def _remarks(summary: dict[str, Any]) -> list[str]:
    """Sentences for what a user should know about a split before trusting its test error."""
    remarks = []
    held_out = summary["held_out"]
    if summary["protocols_coincide"]:
        remarks.append(
            f"No frame has {held_out} beside another dopant: lodo-strict and lodo-relaxed "
            "coincide here."
        )
    unseen = [x for x in summary["elements_not_in_train"] if x != held_out]
    if unseen:
        remarks.append(f"Train does not contain {', '.join(unseen)}, which valid or test do.")
    if summary["frame_wise"]:
        remarks.append(
            f"Leaked: {100 * summary['leaked_fraction']:.1f} % of the test frames have a frame of "
            "their group in train."
        )
    if summary["repeated_fraction"] > 0:
        remarks.append(
            f"Repeated: {100 * summary['repeated_fraction']:.1f} % of the test frames are also in "
            "train, as identical copies."
        )
    if summary["n_frames_without_group"] > 0:
        remarks.append(
            f"{summary['n_frames_without_group']} frames name no group: each was taken for a "
            "group of its own. If they come from one relaxation or trajectory, the test error "
            "will flatter."
        )
    return remarks
