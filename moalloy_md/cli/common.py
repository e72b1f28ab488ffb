"""What several commands share: options, settings from options or a file, progress bars."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.progress import track

from moalloy_md.config import StrictModel, load_config, validate
from moalloy_md.errors import ConfigError

ConfigOption = Annotated[
    Path | None, typer.Option(help="YAML file with these settings instead of the options.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]

Config = TypeVar("Config", bound=StrictModel)


def settings_from(
    options: Mapping[str, Any], config: Path | None, model: type[Config], *, source: str
) -> Config:
    """Take the settings from the options or from a file, never from both.

    Parameters
    ----------
    options
        By the names of the model's fields; None where an option was not given.
    config
        The YAML file, if one was given.
    model
        What to make.
    source
        What to call the options in errors.

    Raises
    ------
    ConfigError
        If both were given, or a setting is wrong.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if config is None:
        return validate(given, model, source=source)
    if given:
        raise ConfigError(
            f"expected either --config or options, found --config {config} and options that set "
            f"{', '.join(given)}. Leave one out"
        )
    return load_config(config, model)


def bar(title: str, total: int | None) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """Return what wraps an iteration into a progress bar on standard error."""
    screen = Console(stderr=True)
    return lambda items: track(items, title, total=total, console=screen, transient=True)


def count(n: int, noun: str) -> str:
    """Say a number of things: 1 error, 2 errors."""
    return f"{n} {noun}{'' if n == 1 else 's'}"
