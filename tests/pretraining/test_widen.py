"""pretraining/widen.py: more channels, the same energies."""

import numpy as np
import pytest
from ase.build import bulk

from moalloy_md.potentials.base import load_base
from moalloy_md.potentials.predict import predict


@pytest.fixture
def widen(scripts):
    import widen

    return widen


@pytest.fixture(scope="module")
def small():
    return load_base("small")


def hot_alloy():
    atoms = bulk("Mo", "bcc", a=3.2, cubic=True).repeat(2)
    atoms.symbols[:3] = ["W", "Re", "Zr"]
    atoms.rattle(0.2, seed=1)
    return atoms


def test_energies_and_forces_stay(widen, small):
    wider = widen.widened(small, widen.o3.Irreps("128x0e"))
    atoms = hot_alloy()
    before, after = (predict(model, [atoms], batch_size=1) for model in (small, wider))
    assert after.energies_ev[0] == pytest.approx(before.energies_ev[0], abs=1e-4)
    np.testing.assert_allclose(after.forces[0], before.forces[0], rtol=0, atol=1e-5)


def test_copies_of_a_channel_are_not_alike(widen, small):
    """Or they would learn the same."""
    wider = widen.widened(small, widen.o3.Irreps("128x0e"))
    first, second = wider.interactions[1].linear_up.weight.detach().view(2, 64, 128)
    old = small.interactions[1].linear_up.weight.detach().view(64, 64).repeat(1, 2) / 2**0.5
    np.testing.assert_allclose((first + second) / 2, old, rtol=0, atol=1e-6)
    assert (first - second).std() > 0.5 * old.std()


@pytest.mark.parametrize("hidden", ["96x0e", "128x0e+128x1o"])
def test_other_shapes_are_refused(widen, small, hidden):
    with pytest.raises(ValueError, match="expected scalars, a multiple of 64, found"):
        widen.widened(small, widen.o3.Irreps(hidden))
