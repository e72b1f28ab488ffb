"""Small valid model.safetensors files with random numbers, for tests to spoil.

The numbers make no sensible potential: they are for whoever reads the file, not for the physics.
The bytes are written by hand, so that a test can write what no library would.
"""

import copy
import itertools
import json
import re
import struct
from dataclasses import dataclass, field

import numpy as np
import pytest

from moalloy_md import _engine

SAFETENSORS_DTYPES = {"float64": "F64", "float32": "F32", "int32": "I32", "int64": "I64"}
N_BESSEL, N_CHANNELS, N_HIDDEN = 3, 4, 2


@dataclass
class NativeFile:
    """What a file holds, to be changed at will before it is written."""

    model: dict
    tensors: dict[str, np.ndarray]
    metadata: dict = field(
        default_factory=lambda: {"format": "moalloy-mace", "format_version": "1"}
    )

    def copy(self):
        return copy.deepcopy(self)

    def header_and_data(self):
        """Return the header as the object that becomes JSON, and the bytes behind it."""
        header = {"__metadata__": self.metadata | {"model": json.dumps(self.model)}}
        data = b""
        for name, array in self.tensors.items():
            raw = array.tobytes()
            header[name] = {
                "dtype": SAFETENSORS_DTYPES[str(array.dtype)],
                "shape": list(array.shape),
                "data_offsets": [len(data), len(data) + len(raw)],
            }
            data += raw
        return header, data

    def to_bytes(self):
        return pack(*self.header_and_data())

    def write(self, path):
        path.write_bytes(self.to_bytes())
        return path


def pack(header, data):
    """Bytes of a safetensors file; `header` is an object for JSON, or text, or bytes."""
    if not isinstance(header, str | bytes):
        header = json.dumps(header)
    if isinstance(header, str):
        header = header.encode()
    return struct.pack("<Q", len(header)) + header + data


def random_file(
    *,
    seed=0,
    l_max=1,
    l_hidden=1,
    n_layers=2,
    correlation=2,
    dtype="float32",
    residual=(False, True),
    density=(False, False),
    agnesi=False,
    zbl=False,
):
    """Make a valid file of 2 elements, 4 channels and 3 Bessel functions."""
    rng = np.random.default_rng(seed)
    weight = np.dtype(dtype)
    atomic_numbers = [23, 74]
    n_elements, k = len(atomic_numbers), N_CHANNELS
    tensors = {}

    def put(name, *shape, of=weight, positive=False):
        values = rng.normal(size=shape)
        tensors[name] = (np.abs(values) + 0.5 if positive else values).astype(of)

    put("energies_0", n_elements, of=np.float64)
    put("embedding", n_elements, k)
    put("bessel", N_BESSEL, of=np.float64)
    if agnesi:
        put("agnesi.radii", n_elements, of=np.float64, positive=True)
    if zbl:
        put("zbl.radii", n_elements, of=np.float64, positive=True)
        put("zbl.terms", 4, of=np.float64)
    layers = []
    for t in range(n_layers):
        l_in, l_out = l_hidden if t > 0 else 0, l_hidden if t + 1 < n_layers else 0
        layer = _layer(l_in, l_out, l_max, correlation, residual[t], density[t])
        layers.append(layer)
        _put_layer(put, tensors, f"layers.{t}", layer, l_max, n_elements)
    readouts = [{"layer": t, "hidden": 0} for t in range(n_layers - 1)]
    readouts.append({"layer": n_layers - 1, "hidden": N_HIDDEN if n_layers > 1 else 0})
    for i, readout in enumerate(readouts):
        hidden = readout["hidden"]
        put(f"readout.{i}.weights", *((k, hidden) if hidden else (k,)))
        if hidden:
            put(f"readout.{i}.output", hidden)
    model = {
        "atomic_numbers": atomic_numbers,
        "dtype": dtype,
        "head": "Default",
        "channels": k,
        "l_max": l_max,
        "r_max": 5.0,
        "cutoff_power": 5,
        "bessel_prefactor": 0.63,
        "cutoff_before_network": True,
        "activation_constant": 1.679,
        "readout_constant": 1.679,
        "scale": 0.8,
        "shift": -0.1,
        "agnesi": {"a": 1.0805, "q": 0.9183, "p": 4.5791} if agnesi else None,
        "zbl": {"exponent": 0.3, "length": 0.24, "cutoff_power": 5} if zbl else None,
        "layers": layers,
        "readouts": readouts,
    }
    return NativeFile(model, tensors)


def _layer(l_in, l_out, l_max, correlation, residual, density):
    degrees = range(l_max + 1)
    paths = [
        [l1, l2, l3]
        for l3, l1, l2 in itertools.product(degrees, range(l_in + 1), degrees)
        if abs(l1 - l2) <= l3 <= l1 + l2 and (l1 + l2 + l3) % 2 == 0
    ]
    return {
        "residual": residual,
        "density": density,
        "l_in": l_in,
        "paths": paths,
        "widths": [N_BESSEL, 5, N_CHANNELS * len(paths)],
        "degrees": list(range(l_out + 1)),
        "correlation": correlation,
    }


def _put_layer(put, tensors, name, layer, l_max, n_elements):
    k, widths = N_CHANNELS, layer["widths"]
    l_in, l_out = layer["l_in"], layer["degrees"][-1]
    for degree in range(l_in + 1):
        put(f"{name}.up.{degree}", k, k)
    for p, path in enumerate(layer["paths"]):
        put(f"{name}.path.{p}.coupling", *(2 * degree + 1 for degree in path), of=np.float64)
        put(f"{name}.path.{p}.linear", k, k)
    for q, shape in enumerate(itertools.pairwise(widths)):
        put(f"{name}.network.{q}", *shape)
    if layer["density"]:
        put(f"{name}.density", widths[0])
    for degree in range((min(l_in, l_out) if layer["residual"] else l_max) + 1):
        put(f"{name}.skip.{degree}", n_elements, k, k)
    for degree in layer["degrees"]:
        prefix = f"{name}.product.{degree}"
        for order in range(1, layer["correlation"] + 1):
            if degree > order * l_max:  # no such coupling
                continue
            rows = itertools.combinations_with_replacement(range((l_max + 1) ** 2), order)
            indices = np.array(list(rows), np.int32)[::2]
            tensors[f"{prefix}.{order}.indices"] = indices
            put(f"{prefix}.{order}.coefficients", len(indices), 2 * degree + 1, 2, of=np.float64)
            put(f"{prefix}.{order}.weights", n_elements, 2, k)
        put(f"{prefix}.linear", k, k)


def refusal(path):
    """Return the sentence with which a file is refused, having checked its form."""
    with pytest.raises(RuntimeError) as caught:
        _engine.load_model(str(path))
    sentence = str(caught.value)
    form = re.escape(f"{path}: expected ") + r".+, found .+\. [A-Z].+"
    assert re.fullmatch(form, sentence), sentence
    return sentence.removeprefix(f"{path}: ")


def is_read(path):
    """Whether a file is read; if not, it is refused in a sentence."""
    try:
        _engine.load_model(str(path))
    except RuntimeError:
        refusal(path)
        return False
    return True
