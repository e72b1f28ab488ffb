"""Models for the tests of the native engine: each is built and written once."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def one_torch_thread():
    """Keep torch's threads from waiting for each other on a busy machine: the cells are small."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass
class NativeModel:
    """A torch model and the file that the engine reads."""

    model: Any
    path: Path
    known: dict = field(default_factory=dict)

    def calculator(self, precision=None):
        """Return the engine's calculator on one thread, the same for the same precision."""
        from moalloy_md.potentials.native import NativeCalculator

        if precision not in self.known:
            self.known[precision] = NativeCalculator(self.path, precision=precision, threads=1)
        return self.known[precision]


@pytest.fixture(scope="session")
def native_models(tmp_path_factory):
    """Return a function that gives a `NativeModel` with random weights.

    Its options are those of `random_model`, and `reduced` for `reduce_contractions`, `head` for
    the position of the head to write, and `file` for the precision of the file.
    """
    from support.models import random_model, reduce_contractions

    from moalloy_md.potentials.native_model import write_native

    folder, built, written = tmp_path_factory.mktemp("native"), {}, {}

    def build(*, reduced=False, **options):
        key = json.dumps([reduced, options], sort_keys=True)
        if key not in built:
            built[key] = random_model(**options)
            if reduced:
                reduce_contractions(built[key])
        return key, built[key]

    def make(*, head=0, file="float64", **options):
        key, model = build(**options)
        if (key, head, file) not in written:
            path = folder / f"model-{len(written)}.safetensors"
            energies = np.atleast_2d(model.atomic_energies_fn.atomic_energies.double().numpy())
            write_native(model, path, head=head, dtype=file, reference_energies=energies[head])
            written[key, head, file] = NativeModel(model, path)
        return written[key, head, file]

    return make
