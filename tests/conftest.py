"""Fixtures that several folders share."""

import os
from pathlib import Path

import pytest


def pytest_configure():
    """Several processes of pytest (-n) with all threads each would only wait for each other."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def torch_plugin():
    """Path of the TorchScript plugin, compiled if it is not in the user's cache yet."""
    from moalloy_md.lammps.plugin import build_torch_plugin

    return build_torch_plugin()


@pytest.fixture(scope="session")
def shared():
    """Folder with the published DFT data and the NumPy reference; only where it exists."""
    folder = os.environ.get("MOALLOY_SHARED")
    if not folder:
        pytest.skip("MOALLOY_SHARED is not set: the folder of published DFT data is not here")
    return Path(folder)


@pytest.fixture(scope="module")
def one_thread():
    """Sums in one order, and no threads that wait for each other, in what the tests of a file start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def one_torch_thread():
    """Start nothing that pays for large cells only: threads, and compiling what was profiled."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.jit.optimized_execution(False):
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def scripted(tmp_path_factory):
    """Return a function that gives a model with random weights and its TorchScript file."""
    import copy
    import json

    from support.models import random_model

    from moalloy_md.potentials.quiet import quiet_mace
    from moalloy_md.potentials.torchscript import script

    folder, known = tmp_path_factory.mktemp("models"), {}

    def make(**options):
        key = json.dumps(options, sort_keys=True)
        if key not in known:
            model = random_model(**options)
            file = folder / f"model-{len(known)}.pt"
            with quiet_mace():
                reference = model.atomic_energies_fn.atomic_energies[0].double()
                script(copy.deepcopy(model), head=0, reference_energies=reference).save(str(file))
            known[key] = (model, file)
        return known[key]

    return make


@pytest.fixture(scope="session")
def emt_data(tmp_path_factory):
    """Folder with train, valid and test sets of a few cells of Ni with Cu and Al."""
    from ase.io import write
    from support.trainings import cells

    folder = tmp_path_factory.mktemp("emt")
    for name, n, seed in (("train", 6, 1), ("valid", 2, 2), ("test", 3, 3)):
        write(folder / f"{name}.extxyz", cells(n, seed))
    return folder


@pytest.fixture(scope="session")
def emt_training(emt_data, tmp_path_factory):
    """One training of three epochs on these, on one thread: its folder, its result, its progress."""
    from support.trainings import configuration

    from moalloy_md.potentials.train import train

    out, seen = tmp_path_factory.mktemp("run") / "out", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        result = train(configuration(emt_data), out, watch=seen.append)
    return out, result, seen
