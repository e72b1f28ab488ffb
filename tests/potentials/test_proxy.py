"""Proxy elements: the nearest known one of the periodic table, and a model that knows more."""

import numpy as np
import pytest
from support.cells import doped_cell
from support.models import calculator, copy_of, random_model

from moalloy_md.elements import DOPANTS, NEW_DOPANTS
from moalloy_md.errors import ConfigError, ModelError
from moalloy_md.potentials.proxy import (
    nearest_known,
    period_and_group,
    proxies_for,
    with_proxies,
)


def test_periods_and_groups_are_those_of_the_periodic_table():
    """By hand, from a wall chart."""
    table = {
        1: (1, 1), 2: (1, 18), 3: (2, 1), 5: (2, 13), 10: (2, 18), 12: (3, 2), 13: (3, 13),
        22: (4, 4), 26: (4, 8), 30: (4, 12), 31: (4, 13), 39: (5, 3), 42: (5, 6), 47: (5, 11),
        56: (6, 2), 57: (6, 3), 64: (6, 3), 71: (6, 3), 72: (6, 4), 74: (6, 6), 80: (6, 12),
        81: (6, 13), 86: (6, 18), 92: (7, 3), 103: (7, 3), 104: (7, 4), 118: (7, 18),
    }  # fmt: skip
    assert {z: period_and_group(z) for z in table} == table


def test_default_proxies_of_the_new_dopants():
    """Against a table made by hand: of the paper's eleven, the nearest in group, then in period."""
    by_hand = {
        "Al": "Fe", "Zn": "Fe", "Cu": "Fe", "Ag": "Fe", "Au": "Re", "Hg": "Re", "Co": "Fe",
        "Ni": "Fe", "Hf": "Zr",
    }  # fmt: skip
    assert proxies_for(NEW_DOPANTS, ("Mo", *DOPANTS)) == by_hand


@pytest.mark.parametrize(
    ("element", "expected"),
    [("Hf", "Zr"), ("Cr", "W"), ("Nb", "Ta"), ("Sc", "Y"), ("Tc", "Re"), ("Mn", "Re")],
)
def test_the_same_group_goes_before_the_same_period(element, expected):
    assert nearest_known(element, ["Zr", "Ta", "W", "Re", "Y"]) == expected


def test_given_proxies_go_before_the_table_and_the_host_is_none():
    assert proxies_for(["Al", "Tc", "Mo"], ["Mo", "W", "Ti"], {"Al": "W"}) == {
        "Al": "W",
        "Tc": "W",  # Mo would be nearer
    }
    assert proxies_for(["Tc"], ["Mo", "W"], {"Tc": "Mo"}) == {"Tc": "Mo"}
    assert proxies_for(["Tc"], ["Mo"]) == {"Tc": "Mo"}


def test_proxies_that_cannot_be():
    with pytest.raises(ConfigError, match=r"for Al an element that the model knows .*found V"):
        proxies_for(["Al"], ["Mo", "W"], {"Al": "V"})
    with pytest.raises(ConfigError, match=r"that the model lacks, found W, which it knows"):
        proxies_for(["Al"], ["Mo", "W"], {"W": "Mo"})


def test_a_new_element_is_its_proxy_and_the_others_stay_what_they_were():
    model = random_model(elements=("V", "Mo", "Ta"), hidden="8x0e + 8x1o", zbl=False)
    more = copy_of(model)
    with_proxies(more, {"Al": "V", "W": "Ta"})
    assert more.atomic_numbers.tolist() == [13, 23, 42, 73, 74]
    old = doped_cell(("Mo", "V", "Ta"), n=2, seed=2)
    before, after = calculator(model), calculator(more)
    assert after.get_potential_energy(old) == pytest.approx(
        before.get_potential_energy(old), abs=1e-10
    )
    np.testing.assert_allclose(after.get_forces(old), before.get_forces(old), atol=1e-11)
    new = old.copy()
    new.symbols = [{"V": "Al", "Ta": "W"}.get(x, x) for x in old.symbols]
    assert after.get_potential_energy(new) == pytest.approx(
        before.get_potential_energy(old), abs=1e-10
    )


def test_proxy_that_the_model_lacks():
    with pytest.raises(ModelError, match=r"knows .Mo, W., found Hf"):
        with_proxies(random_model(elements=("Mo", "W"), hidden="4x0e"), {"Zr": "Hf"})
