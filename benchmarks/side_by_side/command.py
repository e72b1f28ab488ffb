"""How every benchmark starts: its options on the command line, an error as its sentence."""

import sys
from collections.abc import Callable
from typing import Any

import typer

from moalloy_md.errors import MoAlloyError


def numbers(option: str, text: str) -> list[int]:
    """Return the positive numbers of an option that takes several, with commas between.

    Raises
    ------
    MoAlloyError
        If something else is among them.
    """
    words = text.split(",")
    if not all(word.isdigit() and int(word) > 0 for word in words):
        raise MoAlloyError(f"{option}: expected numbers with commas between, found {text}")
    return [int(word) for word in words]


def run_command(main: Callable[..., Any]) -> None:
    """Call `main` with the command line's options; end with status 1 and a sentence on an error."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except (MoAlloyError, ValueError) as error:
        sys.exit(f"error: {error}")
