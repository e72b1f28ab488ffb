"""How every benchmark starts: its options on the command line, an error as its sentence."""

import sys
from collections.abc import Callable
from typing import Any

import typer

from moalloy_md.errors import MoAlloyError


def run_command(main: Callable[..., Any]) -> None:
    """Call `main` with the command line's options; end with status 1 and a sentence on an error."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except (MoAlloyError, ValueError) as error:
        sys.exit(f"error: {error}")
