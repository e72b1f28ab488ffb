"""Configuration files: typos are named with their cure, wrong values with what was found."""

from typing import Literal

import pytest

from moalloy_md.config import StrictModel, load_config, validate
from moalloy_md.errors import ConfigError
from moalloy_md.potentials.train_config import TrainConfig
from moalloy_md.workflows.quickstart.config import QuickstartConfig


class Inner(StrictModel):
    kind: Literal["a"] = "a"
    temperature_k: float = 300.0


class Outer(StrictModel):
    inner: Inner = Inner()
    other: Inner | None = None
    steps: int = 10


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
        ("zzz: 3", "unknown key 'zzz': known keys: inner, other, steps"),
        ("steps: many", "steps: Input should be a valid integer.*found 'many'"),
        ("", "expected 'key: value' lines, found an empty file"),
        ("- 1", "expected 'key: value' lines, found a list"),
        ("a: [", "expected YAML, found"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        load_config(tmp_path / "nowhere.yaml", Outer)


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
