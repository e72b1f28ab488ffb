"""``moalloy dataset``: its commands, and the one that splits."""

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from moalloy_md.cli.common import ConfigOption, JsonOption, bar, settings_from
from moalloy_md.cli.dataset_check import check_command
from moalloy_md.cli.dataset_describe import describe_command
from moalloy_md.cli.dataset_import import import_command
from moalloy_md.cli.dataset_label import label_command
from moalloy_md.errors import ConfigError

if TYPE_CHECKING:
    from moalloy_md.datasets.split import SplitConfig

app = typer.Typer(no_args_is_help=True, help="Prepare datasets of labelled DFT cells.")


class ProtocolName(StrEnum):
    """Names of the split protocols."""

    IID = "iid"
    LODO_STRICT = "lodo-strict"
    LODO_RELAXED = "lodo-relaxed"


app.command("import")(import_command)
app.command("check")(check_command)
app.command("describe")(describe_command)
app.command("label")(label_command)


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
    repeats: Annotated[
        int | None,
        typer.Option(min=1, help="Draw several splits, each with the next seed: OUT/00, 01 ..."),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Split a dataset into train, valid and test, without leaks between them."""
    from moalloy_md.datasets.extxyz_count import count_frames
    from moalloy_md.datasets.split_folder import split_file, split_file_repeatedly

    options = {
        "protocol": None if protocol is None else protocol.value,
        "held_out": held_out,
        "seed": seed,
        "test_fraction": test_fraction,
        "valid_fraction": valid_fraction,
        "frame_wise": frame_wise,
        "repeats": repeats,
    }
    wanted = _split_config(options, config)
    reading = bar(f"Reading {data.name}", count_frames(data))
    if wanted.repeats == 1:
        summary = split_file(data, wanted.split, out, watch=reading)
        summaries = [{**summary, "out": str(out)}]
    else:
        summaries = split_file_repeatedly(
            data,
            wanted.split,
            out,
            repeats=wanted.repeats,
            watch=reading,
            watch_writing=bar("Writing the splits", wanted.repeats),
        )
    if as_json:
        typer.echo(json.dumps(summaries[0] if wanted.repeats == 1 else summaries, indent=2))
    else:
        for summary in summaries:
            _print_summary(summary, Path(summary["out"]))
        if len(summaries) > 1 and summaries[0]["held_out"] is not None:
            typer.echo("The test set is the same in all of them: only valid is drawn anew.")


def _split_config(options: dict[str, Any], config: Path | None) -> "SplitConfig":
    from moalloy_md.datasets.split import SplitConfig, protocol_class

    if config is not None:
        return settings_from(options, config, SplitConfig, source="split")
    name, repeats = options["protocol"], options.pop("repeats")
    if name is None:
        raise ConfigError("expected --protocol iid, lodo-strict or lodo-relaxed, found none")
    protocol = settings_from(options, None, protocol_class(name), source=f"--protocol {name}")
    return SplitConfig(split=protocol, repeats=repeats or 1)


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
