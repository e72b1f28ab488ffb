"""Configuration files: typos are named with their cure, wrong values with what was found."""

from typing import Annotated, Literal

import pytest
from pydantic import Field, field_validator

from moalloy_md.config import StrictModel, load_config, validate
from moalloy_md.errors import ConfigError
from moalloy_md.potentials.train_config import TrainConfig
from moalloy_md.workflows.quickstart.config import QuickstartConfig


class Inner(StrictModel):
    kind: Literal["a"] = "a"
    temperature_k: float = 300.0


class One(StrictModel):
    kind: Literal["one"]


class Two(StrictModel):
    kind: Literal["two"]


class Outer(StrictModel):
    inner: Inner = Inner()
    other: Inner | None = None
    steps: int = 10
    mode: Literal["slow"] | float | dict[str, float] = "slow"
    axis: tuple[int, int] = (1, 1)
    part: Annotated[One | Two, Field(discriminator="kind")] = One(kind="one")
    even: dict[str, int] = Field(default_factory=dict)

    @field_validator("even")
    @classmethod
    def _even(cls, value: dict[str, int]) -> dict[str, int]:
        if any(number % 2 for number in value.values()):
            raise ValueError("expected even numbers")
        return value


def load(tmp_path, text, model=Outer):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return load_config(path, model)


def test_reads_nested_values(tmp_path):
    config = load(tmp_path, "steps: 3\ninner: {temperature_k: 5}\n")
    assert config == Outer(steps=3, inner=Inner(temperature_k=5.0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step: 3", "unknown key 'step': did you mean 'steps'?"),
        ("inner: {temprature_k: 5}", "unknown key 'inner.temprature_k': did you mean 'temper"),
        ("other: {temperature: 5}", "unknown key 'other.temperature': did you mean 'temper"),
        ("zzz: 3", "unknown key 'zzz': known keys: axis, even, inner, mode, other, part, steps"),
        ("steps: many", "steps: expected a whole number, found 'many'$"),
        ("steps: 1.5", "steps: expected a whole number, found 1.5$"),
        ("steps: [1, 2]", r"steps: expected a whole number, found the list \[1, 2\]$"),
        ("inner: 3", "inner: expected 'key: value' lines, found 3$"),
        ("inner: {kind: b}", "inner.kind: expected 'a', found 'b'$"),
        ("mode: fast", "mode: expected 'slow' or a number or 'key: value' lines, found 'fast'$"),
        ("mode: {a: x}", "mode.a: expected a number, found 'x'$"),
        (
            "inner: {temperature_k: .inf}",
            "inner.temperature_k: expected a finite number, found inf$",
        ),
        ("mode: {a: .nan}", "mode.a: expected a finite number, found nan$"),
        ("axis: [1]", "axis: expected more entries, found 1$"),
        ("axis: [1, 2, 3]", "axis: expected 2 or fewer entries, found 3$"),
        ("part: {}", "part: expected its kind, one of one, two, found none: add kind$"),
        ("part: {kind: tow}", "part: expected its kind to be one of one, two, found 'tow': did"),
        ("even: {x: 3}", "even: expected even numbers, found the keys x$"),
        ("", "expected 'key: value' lines, found an empty file"),
        ("- 1", "expected 'key: value' lines, found the list"),
        (
            "b: 1\na: 1\nb: 2",
            r"config\.yaml, line 3: expected each key once, found 'b' a second time",
        ),
        ("a: {x: 1,\n x: 2}", r"config\.yaml, line 2: expected each key once, found 'x'"),
        ("a: [", r"config\.yaml, line 1, column 5: expected YAML, found a mistake"),
        ("3", "expected 'key: value' lines, found 3$"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        load_config(tmp_path / "nowhere.yaml", Outer)


def test_bytes_are_not_taken_for_text(tmp_path):
    (tmp_path / "picture.yaml").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(ConfigError, match=r"picture\.yaml: expected YAML, which is text"):
        load_config(tmp_path / "picture.yaml", Outer)


def test_long_values_are_cut():
    with pytest.raises(ConfigError) as caught:
        validate({"steps": list(range(1000))}, Outer, source="here")
    assert str(caught.value).endswith("found the list [0, 1, 2, 3, 4, 5, 6, 7, ...]")


def test_options_are_called_by_their_names():
    options = {"steps": "--steps", "other": "--other"}
    with pytest.raises(ConfigError, match=r"^here: --steps: expected a whole number, found 'x'$"):
        validate({"steps": "x"}, Outer, source="here", options=options)
    with pytest.raises(ConfigError, match=r"^here: --other: expected to be left out here"):
        validate({"other": 1, "kind": "one"}, One, source="here", options=options)


def test_several_mistakes_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        validate({"step": 1, "innr": {}}, Outer, source="here")
    assert "'steps'" in str(caught.value)
    assert "'inner'" in str(caught.value)


@pytest.mark.parametrize("model", [TrainConfig, QuickstartConfig])
def test_every_field_is_documented(model):
    def undocumented(part, path):
        for name, field in part.model_fields.items():
            if not field.description:
                yield f"{path}.{name}"
            if isinstance(field.annotation, type) and issubclass(field.annotation, StrictModel):
                yield from undocumented(field.annotation, f"{path}.{name}")

    assert list(undocumented(model, model.__name__)) == []
