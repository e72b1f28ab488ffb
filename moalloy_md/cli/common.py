"""What several commands share: options, settings from options or a file, progress bars."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
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
ResubmitOption = Annotated[
    bool,
    typer.Option(
        "--resubmit",
        help="On SLURM: submit also what was submitted before and of which SLURM says nothing.",
    ),
]

Config = TypeVar("Config", bound=StrictModel)


#: Options that have another name than the field that they set.
_OPTIONS = {
    "lattice_parameter_angstrom": "--a0-angstrom",
    "proxies": "--proxy",
    "relaxed_below_ev_per_angstrom": "--relaxed-below",
    "variants": "--rattle, --strain or --shear",
}


def settings_from(
    options: Mapping[str, Any],
    config: Path | None,
    model: type[Config],
    *,
    source: str,
    names: Mapping[str, str] = MappingProxyType(_OPTIONS),
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
        What to call the command in errors.
    names
        Options with another name than their field, by field.

    Raises
    ------
    ConfigError
        If both were given, or a setting is wrong.
    """
    given = {name: value for name, value in options.items() if value is not None}
    called = {name: names.get(name, f"--{name.replace('_', '-')}") for name in options}
    if config is None:
        return validate(given, model, source=source, options=called)
    if given:
        raise ConfigError(
            f"expected either --config or options, found --config {config} and options beside it "
            f"({', '.join(called[name] for name in given)}). Leave one out"
        )
    return load_config(config, model)


def only_with_slurm(*, resubmit: bool, slurm: bool) -> bool:
    """Return --resubmit; refuse it where nothing is submitted."""
    if resubmit and not slurm:
        raise ConfigError(
            "--resubmit: expected jobs of SLURM, found a command that submits none. Give --slurm too "
            "(of a study: --executor slurm), or leave --resubmit out"
        )
    return resubmit


def bar(title: str, total: int | None) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """Return what wraps an iteration into a progress bar on standard error."""
    screen = Console(stderr=True)
    return lambda items: track(items, title, total=total, console=screen, transient=True)


def count(n: int, noun: str) -> str:
    """Say a number of things: 1 error, 2 errors."""
    return f"{n} {noun}{'' if n == 1 else 's'}"
