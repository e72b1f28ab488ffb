"""``moalloy``: one command, one short file a verb, no traceback for errors that a user can mend."""

import errno
import sys
from collections.abc import Callable
from typing import Any

import typer
from rich.console import Console

from moalloy_md import __version__
from moalloy_md.cli import (
    analyze,
    dataset,
    doctor,
    evaluate,
    export,
    plugin,
    properties,
    quickstart,
    simulate,
    structures,
    study,
    train,
)
from moalloy_md.errors import MoAlloyError
from moalloy_md.processes import exit_on_sigterm

app = typer.Typer(
    name="moalloy",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Fit MACE potentials to DFT cells of doped Mo, deploy them to LAMMPS, simulate, analyse.",
)


def _print_version(asked: bool) -> None:  # noqa: FBT001  typer calls it so
    if asked:
        typer.echo(f"moalloy_md {__version__}")
        raise typer.Exit


@app.callback()
def _moalloy(
    *,
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def _add(name: str, command: Callable[..., Any]) -> None:
    app.command(name)(command)


app.add_typer(plugin.app, name="plugin")
app.add_typer(structures.app, name="structures")
app.add_typer(dataset.app, name="dataset")
app.add_typer(study.app, name="study")
app.add_typer(analyze.app, name="analyze")
app.add_typer(simulate.app, name="simulate")
_add("doctor", doctor.doctor_command)
_add("quickstart", quickstart.quickstart_command)
_add("train", train.train_command)
_add("evaluate", evaluate.evaluate_command)
_add("export", export.export_command)
_add("properties", properties.properties_command)


_NO_ROOM = "Nothing half-written was kept: make room or write to another disk, and the same command goes on"

#: What to do, by the number of the system's error.
_MEND = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _NO_ROOM),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "Choose a place that you may write to and read"),
    errno.EROFS: "The disk can only be read: choose a place on another one",
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EEXIST),
        "A folder was expected there, and a file is: choose another name",
    ),
    errno.EISDIR: "A file was expected there, and a folder is: choose another name",
    errno.ENOENT: "Check the path",
    errno.ENAMETOOLONG: "Choose a shorter name",
}


def _sentence(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    mend = _MEND.get(error.errno or 0)
    return f"{where}{error.strerror}" + (f". {mend}" if mend else "")


def main() -> None:
    """Entry point of the ``moalloy`` script.

    An error that was raised on purpose is printed as its sentence, with exit status 1. SIGTERM
    and Ctrl-C end everything that was started, with status 143 and (by Typer) 130.
    """
    exit_on_sigterm()
    errors = Console(stderr=True)
    try:
        app()
    except MoAlloyError as error:
        errors.print("[bold red]error:[/] ", end="")
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        errors.print("[bold red]error:[/] ", end="")
        errors.print(_sentence(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
