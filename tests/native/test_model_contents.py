"""A model.safetensors whose header and tensors make no model is refused in a sentence."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_native_file import is_read, random_file, refusal

SMALL = random_file()
RICH = random_file(l_max=2, density=(True, True), agnesi=True, zbl=True)  # all that a file can hold

quick = settings(max_examples=200, deadline=None)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Path to write a file to; one for all examples of a property."""
    return tmp_path_factory.mktemp("native") / "model.safetensors"


def top(**changes):
    return lambda model: model.update(changes)


def layer(number, **changes):
    return lambda model: model["layers"][number].update(changes)


MODELS = {
    "no element": (top(atomic_numbers=[]), "at least one element"),
    "element twice": (top(atomic_numbers=[74, 74]), "each element once .*, found 74 twice"),
    "element 119": (top(atomic_numbers=[23, 119]), r"atomic_numbers\[1\] .* 1 to 118, found 119"),
    "another element more": (top(atomic_numbers=[23, 42, 74]), r"energies_0 as F64 \(3\)"),
    "dtype": (top(dtype="float16"), "dtype as float32 or float64, found 'float16'"),
    "other dtype": (top(dtype="float64"), r"embedding as F64 \(2, 4\), found F32 \(2, 4\)"),
    "no channels": (top(channels=0), "channels as an integer from 1 to 4096, found 0"),
    "many channels": (top(channels=4097), "channels as an integer from 1 to 4096, found 4097"),
    "l_max": (top(l_max=4), "l_max as an integer from 0 to 3, found 4"),
    "r_max": (top(r_max=0.0), "r_max as a positive number, found 0"),
    "cutoff_power": (top(cutoff_power=2**31), "cutoff_power as an integer from 1 to 100"),
    "scale": (
        top(scale=float("nan")),
        "a JSON value at byte .* of the metadata 'model', found 'Na",
    ),
    "agnesi": (top(agnesi={"a": 1.0, "q": 1.0, "p": -4.0}), "agnesi.p as a positive number"),
    "zbl without tensors": (
        top(zbl={"exponent": 0.3, "length": 0.2, "cutoff_power": 5}),
        "tensor zbl.radii, found none",
    ),
    "no layer": (top(layers=[]), "1 or 2 layers, found 0"),
    "three layers": (top(layers=[{}] * 3), "1 or 2 layers, found 3"),
    "first layer with vectors": (layer(0, l_in=1), r"layers\[0\].l_in = 0"),
    "layers that do not fit": (layer(1, l_in=0), r"layers\[1\].l_in = 1, .*, found 0"),
    "last layer with vectors": (layer(1, degrees=[0, 1]), r"degrees as \[0\]"),
    "degrees with a gap": (layer(0, degrees=[0, 2]), r"degrees as 0, 1, .*\[1\] = 2"),
    "no degree": (layer(1, degrees=[]), "at least one degree"),
    "correlation": (layer(0, correlation=4), "correlation as an integer from 1 to 3, found 4"),
    "no path": (layer(0, paths=[]), "at least one path"),
    "path of two": (layer(0, paths=[[0, 0]]), r"\[l1, l2, l3\], found a list of 2"),
    "path beyond the features": (layer(0, paths=[[1, 1, 0]]), "l1 <= l_in .*, found .1, 1, 0."),
    "path beyond the harmonics": (layer(1, paths=[[1, 2, 1]]), "l3 <= l_max, found .1, 2, 1."),
    "message beyond the harmonics": (layer(1, paths=[[1, 1, 2]]), "l3 <= l_max, found .1, 1, 2."),
    "triangle": (layer(0, paths=[[0, 0, 1]]), "triangle rule to even parity, found .0, 0, 1."),
    "parity": (layer(1, paths=[[1, 1, 1]]), "triangle rule to even parity, found .1, 1, 1."),
    "paths out of order": (
        layer(1, paths=[[0, 0, 0], [0, 1, 1], [1, 1, 0], [1, 0, 1]]),
        "ascending in .* found .1, 1, 0. out of order",
    ),
    "path twice": (layer(0, paths=[[0, 0, 0]] * 2), "found .0, 0, 0. out of order"),
    "widths": (
        layer(0, widths=[3, 5, 9]),
        r"end with paths \* channels = 8, found 3 that end .* 9",
    ),
    "one width": (layer(0, widths=[8]), "found 1 that end with 8"),
    "other Bessel functions": (layer(1, widths=[4, 5, 16]), r"Bessel functions of layers\[0\], 3"),
    "density": (layer(0, density=True), "tensor layers.0.density, found none"),
    "residual": (layer(0, residual=True), "tensors that .* calls for, found 'layers.0.skip.1'"),
    "no readout": (top(readouts=[]), "a readout of the last layer, found 0 readouts"),
    "readout of the first alone": (
        top(readouts=[{"layer": 0, "hidden": 0}]),
        "a readout of the last layer, found 1",
    ),
    "readouts out of order": (
        top(readouts=[{"layer": 1, "hidden": 0}, {"layer": 0, "hidden": 0}]),
        "layer 0 after layer 1",
    ),
    "readout of no layer": (top(readouts=[{"layer": 2, "hidden": 0}]), "from 0 to 1, found 2"),
}


@pytest.mark.parametrize("kind", MODELS)
def test_contradictory_model(kind, file):
    change, expected = MODELS[kind]
    spoilt = SMALL.copy()
    change(spoilt.model)
    assert re.search(expected, refusal(spoilt.write(file)))


def places(value):
    """Every list or object in a JSON value, with every key."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


N_PLACES = len(list(places(RICH.model)))


@quick
@given(number=st.integers(0, N_PLACES - 1))
def test_any_field_missing(file, number):
    spoilt = RICH.copy()
    where, key = list(places(spoilt.model))[number]
    del where[key]
    assert refusal(spoilt.write(file))


@quick
@given(
    number=st.integers(0, N_PLACES - 1),
    value=st.sampled_from([None, "x", {}, {"x": 1}, [], [[]], -1, -0.5, 2**31, 2**64, 1e300]),
)
def test_any_field_of_another_kind(file, number, value):
    """Numbers, a head and the like may be others; whatever has structure may not."""
    spoilt = RICH.copy()
    where, key = list(places(spoilt.model))[number]
    same_kind = isinstance(where[key], float) and isinstance(value, int | float)
    same_kind |= isinstance(where[key], str) and isinstance(value, str)
    where[key] = value
    spoilt.write(file)
    if is_read(file):
        assert same_kind


@quick
@given(number=st.integers(0, N_PLACES - 1))
def test_any_unknown_field(file, number):
    spoilt = RICH.copy()
    objects = [where for where, _ in places(spoilt.model) if isinstance(where, dict)]
    objects[number % len(objects)]["unknown"] = 1
    sentence = refusal(spoilt.write(file))
    assert "only fields that this version of moalloy_md knows, found" in sentence
    assert "'unknown'" in sentence


tensor_names = st.sampled_from(list(RICH.tensors))


@quick
@given(name=tensor_names)
def test_any_tensor_missing(file, name):
    spoilt = RICH.copy()
    del spoilt.tensors[name]
    assert f"tensor {name}, found none of this name" in refusal(spoilt.write(file))


@quick
@given(name=st.text().filter(lambda name: name not in {*RICH.tensors, "__metadata__"}))
def test_any_unknown_tensor(file, name):
    spoilt = RICH.copy()
    spoilt.tensors[name] = np.ones(2)
    assert "only the tensors that the header's model calls for" in refusal(spoilt.write(file))


@quick
@given(name=tensor_names, data=st.data())
def test_any_tensor_of_another_shape(file, name, data):
    spoilt = RICH.copy()
    tensor = spoilt.tensors[name]
    axis = data.draw(st.integers(0, tensor.ndim - 1))
    spoilt.tensors[name] = data.draw(
        st.sampled_from(
            [
                tensor[..., None],
                tensor[None],
                tensor.take([], axis),
                np.concatenate([tensor, tensor.take([-1], axis)], axis),
                tensor.astype(np.float32 if tensor.dtype != np.float32 else np.float64),
            ]
        )
    )
    # which one of the three tensors of some monomials is wrong, no reader can know
    assert f"tensor {name.rpartition('.')[0]}" in refusal(spoilt.write(file))


@quick
@given(name=tensor_names, data=st.data())
def test_any_number_not_finite(file, name, data):
    spoilt = RICH.copy()
    tensor = spoilt.tensors[name]
    at = data.draw(st.integers(0, tensor.size - 1))
    if tensor.dtype == np.int32:
        tensor.flat[at] = data.draw(st.sampled_from([-1, 9, 2**31 - 1, -(2**31)]))
        expected = f"ascending indices from 0 to 8 in each row of tensor {name}"
    else:
        tensor.flat[at] = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
        expected = f"finite numbers in tensor {name}, found {tensor.flat[at]} as number {at}"
    assert expected in refusal(spoilt.write(file))


@pytest.mark.parametrize("radius", [0.0, -1.3])
@pytest.mark.parametrize("name", ["zbl.radii", "agnesi.radii"])
def test_radii_are_positive(name, radius, file):
    spoilt = RICH.copy()
    spoilt.tensors[name][1] = radius
    assert f"positive radii in tensor {name}" in refusal(spoilt.write(file))


def test_monomials_stand_in_order_and_once(file):
    name = "layers.0.product.1.2.indices"
    for rows in ([1, 0], [0, 0]):
        spoilt = RICH.copy()
        spoilt.tensors[name][:2] = spoilt.tensors[name][rows]
        assert f"ascending rows in tensor {name}, found row 1" in refusal(spoilt.write(file))
    spoilt = RICH.copy()
    spoilt.tensors[name][-1] = [8, 7]
    assert f"in each row of tensor {name}" in refusal(spoilt.write(file))
