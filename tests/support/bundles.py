"""Bundles that were not measured by lmp: for tests of what reads them."""

import json

import numpy as np

from moalloy_md.bundle import FORMAT, KIND, NATIVE, TORCHSCRIPT
from moalloy_md.rundir import sha256


def fake_bundle(folder, elements=("Mo", "W"), *, native=b"", torchscript=b""):
    """Make a folder that opens as a bundle; the files are as given."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ((NATIVE, native), (TORCHSCRIPT, torchscript)):
        (folder / name).write_bytes(content)
    return seal(folder, elements)


def base_bundle(folder, elements=("Mo", "W"), *, head=0):
    """Put the base model into a bundle whose TorchScript file is none."""
    from ase.data import atomic_numbers

    from moalloy_md.potentials.base import load_base
    from moalloy_md.potentials.elements_subset import keep_elements
    from moalloy_md.potentials.native_model import write_native

    folder.mkdir(parents=True, exist_ok=True)
    model = load_base("small")
    keep_elements(model, sorted(atomic_numbers[symbol] for symbol in elements))
    energies = np.atleast_2d(model.atomic_energies_fn.atomic_energies.double().numpy())[head]
    write_native(model, folder / NATIVE, head=head, dtype="float32", reference_energies=energies)
    (folder / TORCHSCRIPT).write_bytes(b"none")
    return seal(folder, elements)


def seal(folder, elements):
    """Write the manifest of a folder that holds both files."""
    manifest = {
        "kind": KIND,
        "format": FORMAT,
        "elements": list(elements),
        "dtype": "float64",
        "n_layers": 2,
        "r_max_angstrom": 5.0,
        "files": {name: sha256(folder / name) for name in (NATIVE, TORCHSCRIPT)},
        "native": {"file": NATIVE, "reason": None},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
