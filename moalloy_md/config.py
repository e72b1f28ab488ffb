"""Configuration: what a user can set, with units, defaults and documentation in one place.

Every model refuses unknown keys and names the nearest known one. The docstring under a field is
its reference documentation.
"""

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from moalloy_md.errors import ConfigError


class StrictModel(BaseModel):
    """Base of all configuration: frozen, docstrings as descriptions; unknown keys, inf and nan refused."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )


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
        content = yaml.load(path.read_text(), _OneOfEachKey)  # noqa: S506  a safe loader
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). Check the path") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: expected YAML, which is text, found bytes that are none. Check the path"
        ) from error
    except _KeyTwiceError as error:
        raise ConfigError(
            f"{path}, line {error.line}: expected each key once, found {error.key!r} a second time. "
            "Keep one of them"
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f", line {mark.line + 1}, column {mark.column + 1}"
        found = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ConfigError(
            f"{path}{place}: expected YAML, found a mistake in it there or just before ({found})"
        ) from error
    if not isinstance(content, dict):
        found = "an empty file" if content is None else _shown(content)
        raise ConfigError(f"{path}: expected 'key: value' lines, found {found}")
    return validate(content, model, source=str(path))


class _KeyTwiceError(Exception):
    def __init__(self, key: str, line: int) -> None:
        super().__init__(key)
        self.key, self.line = key, line


class _OneOfEachKey(yaml.SafeLoader):
    """YAML whose mappings have each key once: PyYAML would take the last one without a word."""

    def construct_mapping(  # the signature is PyYAML's
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002
    ) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise _KeyTwiceError(key.value, key.start_mark.line + 1)
                seen.add(key.value)
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return found


def validate(
    content: dict[str, Any],
    model: type[Config],
    *,
    source: str,
    options: Mapping[str, str] = MappingProxyType({}),
) -> Config:
    """Make a configuration from a mapping.

    Parameters
    ----------
    content
        By the names of the model's fields.
    model
        The configuration class.
    source
        Where `content` came from, for errors.
    options
        Options of the command line that set the fields, by field: what errors call these.

    Raises
    ------
    ConfigError
        As `load_config` does.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = _explain(error.errors(), model, options)
        raise ConfigError(f"{source}: " + "\n".join(lines)) from error


#: What pydantic expected, in our words, by the type of its problem.
_EXPECTED = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of {ge} or more",
    "less_than": "a number below {lt}",
    "less_than_equal": "a number of {le} or less",
    "finite_number": "a finite number",
    "literal_error": "{expected}",
    "too_short": "{min_length} or more entries",
    "too_long": "{max_length} or fewer entries",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    "string_type": "text",
    "path_type": "a path",
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), "'key: value' lines"),
}


def _explain(
    problems: Iterable[Any], model: type[BaseModel], options: Mapping[str, str]
) -> list[str]:
    """One sentence a place: the alternatives that pydantic tried for one value are joined."""
    sentences: dict[str, str] = {}
    wanted: dict[str, tuple[list[str], str]] = {}
    for number, problem in enumerate(problems):
        path = _path(problem["loc"], options)
        if problem["type"] not in _EXPECTED:
            sentences[f"{path} {number}"] = _sentence(problem, path, model, options)
            continue
        limits = {key: _shown(value) for key, value in problem.get("ctx", {}).items()}
        limits["expected"] = str(problem.get("ctx", {}).get("expected"))
        expected, found = wanted.setdefault(path, ([], _found(problem)))
        expected.append(_EXPECTED[problem["type"]].format(**limits))
        either = " or ".join(dict.fromkeys(expected))
        sentences[path] = f"{path}: expected {either}, found {found}"
    return [
        sentence
        for path, sentence in sentences.items()
        # of alternatives, that which was meant has its mistake further down
        if path not in wanted or not any(other.startswith(f"{path}.") for other in sentences)
    ]


def _path(loc: tuple[Any, ...], options: Mapping[str, str]) -> str:
    """Keys down to a value; what pydantic puts between for unions and keys of mappings is left out."""
    parts = [str(part) for part in loc if "[" not in str(part)]
    if len(parts) > 1 and parts[-1] in _SCALARS:
        parts.pop()
    if parts and parts[0] in options:
        parts[0] = options[parts[0]]
        parts = parts[:1] if len(parts) == 2 and isinstance(loc[-1], int) else parts
    return ".".join(parts)


def _sentence(problem: Any, path: str, model: type[BaseModel], options: Mapping[str, str]) -> str:
    """Say what pydantic says at more length, and what our own validators say."""
    kind, loc = problem["type"], problem["loc"]
    if kind.startswith("union_tag"):
        return _about_kind(problem, path, model)
    if kind == "missing" and loc and isinstance(loc[-1], int):  # a list of fixed length
        place = _path(loc[:-1], options)
        return f"{place}: expected more entries, found {loc[-1]}"
    if kind == "missing":
        return f"{path}: expected a value, found none"
    if kind == "extra_forbidden" and path in options.values():
        return f"{path}: expected to be left out here, found it given"
    if kind == "extra_forbidden":
        known_keys = [key for found in _models_at(model, loc[:-1]) for key in found.model_fields]
        near = difflib.get_close_matches(str(loc[-1]), known_keys, n=1)
        listed = f"known keys: {', '.join(sorted(known_keys))}"
        return f"unknown key {path!r}: {f'did you mean {near[0]!r}?' if near else listed}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    if ", found " not in message and path:  # our own sentences mostly say it
        message = f"{message}, found {_found(problem)}"
    return f"{path}: {message}" if path else message


def _about_kind(problem: Any, path: str, model: type[BaseModel]) -> str:
    if problem["type"] == "union_tag_not_found":
        models = _models_at(model, problem["loc"])
        known = ", ".join(dict.fromkeys(kind for found in models for kind in _kinds(found)))
        return f"{path}: expected its kind, one of {known}, found none: add kind"
    tag, known = problem["ctx"]["tag"], problem["ctx"]["expected_tags"].replace("'", "")
    near = difflib.get_close_matches(tag, known.split(", "), n=1)
    hint = f": did you mean {near[0]}?" if near else ""
    field = problem["ctx"]["discriminator"].strip("'")
    field = "kind" if field.endswith("()") else field  # a function that knows a default kind
    return f"{path}: expected its {field} to be one of {known}, found {tag!r}{hint}"


def _found(problem: Any) -> str:
    if "actual_length" in problem.get("ctx", {}):
        return str(problem["ctx"]["actual_length"])
    return _shown(problem["input"])


def _shown(value: Any) -> str:
    """Show a value as a user would write it, and of a long one the beginning."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "nothing"}[value]
    if isinstance(value, int | float):
        return f"{value:.10g}" if isinstance(value, float) else str(value)
    if isinstance(value, list | tuple):
        shown = [str(part) for part in value[:_SHOWN_ENTRIES]]
        shown += ["..."] if len(value) > _SHOWN_ENTRIES else []
        return f"the list [{', '.join(shown)}]"
    if isinstance(value, Mapping):
        return (
            f"the keys {', '.join(map(str, list(value)[:_SHOWN_ENTRIES]))}" if value else "nothing"
        )
    return repr(str(value)[:_SHOWN_CHARACTERS])


_SHOWN_ENTRIES, _SHOWN_CHARACTERS = 8, 80
#: What pydantic calls the alternatives of a union.
_SCALARS = frozenset({"bool", "float", "int", "path", "str"})


def _models_at(model: type[BaseModel], path: tuple[Any, ...]) -> list[type[BaseModel]]:
    """Models that may stand at `path`, into which pydantic also puts the tags of unions."""
    candidates = [model]
    for part in path:
        inner = [
            found
            for candidate in candidates
            if part in candidate.model_fields
            for found in _models_in(candidate.model_fields[part].annotation)
        ]
        tagged = [m for m in candidates if part in _kinds(m)]
        candidates = inner or tagged or candidates
    return candidates


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    """Tags of a model of a tagged union; none if it is not of one."""
    field = model.model_fields.get("kind")
    return () if field is None else typing.get_args(field.annotation) or (field.default,)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    containers = (typing.Union, types.UnionType, typing.Annotated, tuple, list, dict)
    if typing.get_origin(annotation) in containers:
        return [m for part in typing.get_args(annotation) for m in _models_in(part)]
    return []


def _different_and_warm(temperatures_k: tuple[float, ...]) -> tuple[float, ...]:
    cold = [t for t in temperatures_k if t <= 0]
    if cold:
        raise ValueError(f"expected temperatures above 0 K, found {cold[0]:g}")
    # as they are written in the names of runs
    if len({f"{t:g}" for t in temperatures_k}) < len(temperatures_k):
        raise ValueError(f"expected different temperatures, found {list(temperatures_k)}")
    return tuple(sorted(temperatures_k))


#: One or more temperatures, K, that differ; ascending.
TemperaturesK = Annotated[
    tuple[float, ...], Field(min_length=1), AfterValidator(_different_and_warm)
]
Device = Literal["auto", "cpu", "cuda"]
DType = Literal["float32", "float64"]
NativeFile = Literal["auto", "required", "off"]
#: Who evaluates a model: mace-torch, or the native engine of this package.
Engine = Literal["mace", "native"]
