"""Both pair styles, for tests that are written once for them."""

from functools import partial

import pytest


@pytest.fixture(scope="session")
def random_potentials(tmp_path_factory):
    """Random models, and their files for both styles."""
    from support.styles import RandomPotentials

    return RandomPotentials(tmp_path_factory.mktemp("potentials"))


@pytest.fixture(params=["mace", "mace/native"])
def style(request, monkeypatch):
    """Name of a pair style, or names of several; lmp is given their plugins and no others."""
    from moalloy_md.lammps import installation
    from moalloy_md.lammps.plugin import build_native_plugin

    names = (request.param,) if isinstance(request.param, str) else request.param
    folders = []
    if "mace" in names:
        folders.append(request.getfixturevalue("torch_plugin").parent)
    if "mace/native" in names:
        folders.append(build_native_plugin().parent)
    monkeypatch.setattr(installation, "plugin_path", lambda: ":".join(map(str, folders)))
    return request.param


@pytest.fixture
def random_potential(style, random_potentials):
    """Return a function from options of `random_model` to the model in the style's file."""
    return partial(random_potentials, style)
