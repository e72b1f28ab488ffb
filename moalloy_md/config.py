"""Configuration: what a user can set, with units, defaults and documentation in one place.

Every model refuses unknown keys and names the nearest known one. The docstring under a field is
its reference documentation.
"""

import difflib
import types
import typing
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from moalloy_md.errors import ConfigError


class StrictModel(BaseModel):
    """Base of all configuration: frozen, unknown keys refused, docstrings as descriptions."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


Config = TypeVar("Config", bound=StrictModel)


def load_config(path: Path, model: type[Config]) -> Config:
    """Read a YAML file into a configuration.

    Parameters
    ----------
    path
        YAML file with one mapping at its top level. Relative paths in it are taken from the
        folder in which the command runs.
    model
        The configuration class.

    Raises
    ------
    ConfigError
        If the file is missing or is no YAML mapping, a key is unknown (the nearest known key is
        named), or a value is out of range.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected YAML, found: {error}") from error
    if not isinstance(content, dict):
        found = "an empty file" if content is None else f"a {type(content).__name__}"
        raise ConfigError(f"{path}: expected 'key: value' lines, found {found}")
    return validate(content, model, source=str(path))


def validate(content: dict[str, Any], model: type[Config], *, source: str) -> Config:
    """Make a configuration from a mapping; `source` says where it came from in errors."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [_explain(problem, model) for problem in error.errors()]
        raise ConfigError(f"{source}: " + "\n".join(lines)) from error


def _explain(problem: Any, model: type[BaseModel]) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "union_tag_invalid":
        tag, known = problem["ctx"]["tag"], problem["ctx"]["expected_tags"].replace("'", "")
        near = difflib.get_close_matches(tag, known.split(", "), n=1)
        hint = f": did you mean {near[0]}?" if near else ""
        field = problem["ctx"]["discriminator"].strip("'")
        field = "kind" if field.endswith("()") else field  # a function that knows a default kind
        return f"{path}: expected its {field} to be one of {known}, found {tag!r}{hint}"
    if problem["type"] == "missing":
        return f"{path}: expected a value, found none"
    if problem["type"] != "extra_forbidden":
        message = str(problem["msg"]).removeprefix("Value error, ")
        if ", found " not in message and path:  # our own sentences mostly say it
            message = f"{message}, found {problem['input']!r}"
        return f"{path}: {message}" if path else message
    known = _known_keys(model, problem["loc"][:-1])
    near = difflib.get_close_matches(str(problem["loc"][-1]), known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(sorted(known))}"
    return f"unknown key {path!r}: {hint}"


def _known_keys(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Keys that are allowed at `path`, into which pydantic also puts the tags of unions."""
    candidates = [model]
    for part in path:
        inner = [
            found
            for candidate in candidates
            if part in candidate.model_fields
            for found in _models_in(candidate.model_fields[part].annotation)
        ]
        tagged = [m for m in candidates if "kind" in m.model_fields and _kind(m) == part]
        candidates = inner or tagged or candidates
    return [key for candidate in candidates for key in candidate.model_fields]


def _kind(model: type[BaseModel]) -> Any:
    return model.model_fields["kind"].default


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    containers = (typing.Union, types.UnionType, typing.Annotated, tuple, list, dict)
    if typing.get_origin(annotation) in containers:
        return [m for part in typing.get_args(annotation) for m in _models_in(part)]
    return []


Device = Literal["auto", "cpu", "cuda"]
DType = Literal["float32", "float64"]
NativeFile = Literal["auto", "required", "off"]
#: Who evaluates a model: mace-torch, or the native engine of this package.
Engine = Literal["mace", "native"]
