"""What a reader must be able to see in the pictures of a thermal simulation."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.colors import to_hex

from moalloy_md.report import thermal_plots
from moalloy_md.workflows.thermal.results import Composition, ThermalResults

TEMPERATURES = (300.0, 400.0, 1200.0)


@pytest.fixture(autouse=True)
def figures(monkeypatch):
    monkeypatch.setattr(thermal_plots, "png", lambda figure: figure)


def known(value):
    return {"value": value, "error": 0.01 * abs(value)}


UNKNOWN = {"value": None, "note": "too short"}


def run(temperature_k, *, msd=True):
    u2 = known(3e-5 * temperature_k) if msd else UNKNOWN
    lindemann = known(0.002 * temperature_k**0.5) if msd else UNKNOWN
    return {
        "is_crystal": True,
        "rdf": None,
        "quantities": {
            "msd_angstrom2": u2,
            "msd_Mo_angstrom2": u2,
            "msd_Ti_angstrom2": u2,
            "lindemann": lindemann,
            "lattice_parameter_angstrom": known(3.17 + 1e-5 * temperature_k),
            "heat_capacity_fluctuations_kb": known(3.1),
        },
    }


def composition(name, runs, counts=None):
    return Composition(name, counts or {"Mo": 54}, runs, ramp=None, lattice=None, enthalpy=None)


def results(*compositions):
    return ThermalResults("Mo", compositions, {}, {}, crystal_rmsd_cutoff=0.15)


@pytest.fixture
def two():
    """Pure Mo, of which 400 K is too short, and doped Mo, which has no run at 400 K."""
    pure = composition("pure", {t: run(t, msd=t != 400) for t in TEMPERATURES})
    doped = composition("Ti2", {t: run(t) for t in (300.0, 1200.0)}, {"Mo": 53, "Ti": 1})
    return results(pure, doped)


def lines(axes):
    """Lines of the error bars by their label, as arrays of points."""
    return {c.get_label(): np.array(c.lines[0].get_data()).T for c in axes.containers}


@pytest.mark.parametrize("panel", [0, 1])
def test_lines_break_where_a_value_or_a_run_is_missing(two, panel):
    drawn = lines(thermal_plots.vibration_plot(two).axes[panel])
    assert len(drawn) == (3, 2)[panel]
    for name, points in drawn.items():
        assert np.isfinite(points[[0, 2], 1]).all(), name
        assert np.isnan(points[1, 1]), name


def test_differences_break_too(two):
    (points,) = lines(thermal_plots.expansion_plot(two).axes[1]).values()
    assert np.isnan(points[1, 1])
    assert np.isfinite(points[[0, 2], 1]).all()


def test_the_line_at_which_crystals_melt_is_explained(two):
    lower = thermal_plots.vibration_plot(two).axes[1]
    (text,) = lower.texts
    assert text.get_text().startswith("0.1: crystals melt")
    assert text.xy[1] == pytest.approx(0.1)


def test_no_composition_hides_another():
    """Equal values: points stand apart, and in the order and near the place of their temperatures."""
    upper = thermal_plots.heat_capacity_plot(
        results(*(composition(f"x{k}", {t: run(t) for t in TEMPERATURES}) for k in range(5)))
    ).axes[0]
    places = np.array([c.lines[0].get_xdata() for c in upper.containers])
    assert places.shape == (5, 3)
    assert (np.diff(places, axis=0) > 5).all()
    for left, right in pairwise(places.T):
        assert left.max() < right.min() - 5
    assert places.mean(axis=0) == pytest.approx(TEMPERATURES)


def test_heat_capacities_of_the_fluctuations_are_hollow_and_those_of_the_slope_are_not(two):
    class Fitted(Composition):
        def quantities(self, temperature_k):
            return super().quantities(temperature_k) | {"heat_capacity_kb": known(3.0)}

    fitted = Fitted("pure", {"Mo": 54}, two.compositions[0].runs, None, None, None)
    upper = thermal_plots.heat_capacity_plot(results(fitted)).axes[0]
    slope, fluctuations = (c.lines[0] for c in upper.containers)
    assert slope.get_linestyle() == "-"
    assert fluctuations.get_linestyle() == "None"
    assert to_hex(slope.get_markerfacecolor()) == to_hex(slope.get_color())
    assert to_hex(fluctuations.get_markerfacecolor()) == "#ffffff"


def test_the_first_composition_is_seen_about_the_points_of_an_equal_one():
    same = {t: run(t) for t in TEMPERATURES}
    upper = thermal_plots.expansion_plot(
        results(composition("pure", same), composition("W2", same))
    ).axes[0]
    first, second = (c.lines[0] for c in upper.containers)
    assert first.get_markerfacecolor() == "none"
    assert first.get_markersize() > 2 * second.get_markersize()
    assert first.get_zorder() > second.get_zorder()


def test_one_temperature_can_be_drawn():
    one = results(*(composition(name, {300.0: run(300.0)}) for name in ("pure", "W2")))
    drawn = lines(thermal_plots.vibration_plot(one).axes[0])
    assert [points[0, 1] for points in drawn.values()] == pytest.approx([3.0, 3.0])
