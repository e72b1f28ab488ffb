"""Evaluate a model.safetensors with the NumPy reference, which knows nothing of our package."""

import importlib.util
import json

import numpy as np
from safetensors import safe_open


def read_file(path):
    """Return the header and the tensors of a file."""
    with safe_open(path, "numpy") as file:
        header = json.loads(file.metadata()["model"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return header, tensors


def load_reference(shared):
    """Import mace_reference.py from the shared folder."""
    path = shared / "mace_math" / "mace_reference.py"
    spec = importlib.util.spec_from_file_location("mace_reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def as_reference_input(header, tensors):
    """Turn a file into the dict that the reference's own `extract` makes of a torch model."""
    t = {name: array.astype(np.float64) for name, array in tensors.items() if array.dtype != "i4"}
    indices = {name: array for name, array in tensors.items() if array.dtype == "i4"}
    agnesi, zbl = header["agnesi"], header["zbl"]
    return {
        "zs": np.array(header["atomic_numbers"]),
        "r_max": header["r_max"],
        "p": header["cutoff_power"],
        "bessel_w": t["bessel"],
        "bessel_pref": header["bessel_prefactor"],
        "apply_cutoff": header["cutoff_before_network"],
        "agnesi": agnesi and {**agnesi, "rc": t["agnesi.radii"]},
        "zbl": zbl
        and {
            "c": t["zbl.terms"],
            "p": zbl["cutoff_power"],
            "a_exp": zbl["exponent"],
            "a_pref": zbl["length"] / 0.529,
            "rc": t["zbl.radii"],
            "Z": np.array(header["atomic_numbers"], dtype=float),
        },
        "lmax": header["l_max"],
        "E0": t["energies_0"],
        "scale": header["scale"],
        "shift": header["shift"],
        "embed": t["embedding"],
        "layers": [_layer(header, k, t, indices) for k in range(len(header["layers"]))],
        "readouts": [_readout(header, k, t) for k in range(len(header["readouts"]))],
    }


def _layer(header, k, t, indices):
    layer, name = header["layers"][k], f"layers.{k}"
    n_networks = len(layer["widths"]) - 1
    result = {
        "residual": layer["residual"],
        "density": layer["density"],
        "up": [t[f"{name}.up.{degree}"] for degree in range(layer["l_in"] + 1)],
        "paths": [(*path, t[f"{name}.path.{p}.coupling"]) for p, path in enumerate(layer["paths"])],
        "lin": [t[f"{name}.path.{p}.linear"] for p in range(len(layer["paths"]))],
        "mlp": [t[f"{name}.network.{q}"] for q in range(n_networks)],
        "act_c": header["activation_constant"],
        "dens_w": t.get(f"{name}.density"),
        "skip": {
            degree: t[f"{name}.skip.{degree}"]
            for degree in range(4)
            if f"{name}.skip.{degree}" in t
        },
        "contr": [],
        "prod": [t[f"{name}.product.{degree}.linear"] for degree in layer["degrees"]],
        "use_sc": layer["residual"],
    }
    for degree in layer["degrees"]:
        terms = []
        for order in range(1, layer["correlation"] + 1):
            place = f"{name}.product.{degree}.{order}"
            if f"{place}.indices" in indices:
                weights = np.einsum(
                    "qMk,ekc->ecqM", t[f"{place}.coefficients"], t[f"{place}.weights"]
                )
                terms.append((indices[f"{place}.indices"], weights))
        result["contr"].append((degree, terms))
    return result


def _readout(header, k, t):
    readout, weights = header["readouts"][k], t[f"readout.{k}.weights"]
    if readout["hidden"] == 0:
        return (readout["layer"], "lin", weights)
    output, constant = t[f"readout.{k}.output"], header["readout_constant"]
    return (readout["layer"], "mlp", weights, output, constant)


def evaluate(reference, path, atoms):
    """Return energy (eV), energies, forces (eV/Å) and stress (Voigt, eV/Å³) of a file."""
    header, tensors = read_file(path)
    numbers = header["atomic_numbers"]
    elements = np.array([numbers.index(z) for z in atoms.numbers])
    x, owner, senders, receivers = reference.ghosts(
        atoms.positions, atoms.cell.array, header["r_max"]
    )
    found = reference.evaluate(
        as_reference_input(header, tensors), elements, x, owner, senders, receivers
    )
    virial = 0.5 * (found["virial"] + found["virial"].T)
    voigt = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    found["stress"] = -np.array([virial[place] for place in voigt]) / atoms.get_volume()
    return found
