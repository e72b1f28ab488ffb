"""What a reader must be able to see in the pictures of a segregation simulation."""

import numpy as np
import pytest

from moalloy_md.report import segregation_mcmd_plots, segregation_plots
from moalloy_md.report.segregation_mcmd_plots import without_narrow_gaps

DOPANTS = ("W", "Re", "Ta", "Nb", "Ti")


@pytest.fixture(autouse=True)
def figures(monkeypatch):
    for module in (segregation_plots, segregation_mcmd_plots):
        monkeypatch.setattr(module, "png", lambda figure: figure)


def content(value, isotherm, error=None):
    return {"value": value, "error": error, "isotherm": isotherm, "n_sites": 10}


def run(**more):
    return {
        "dopant": "Zr",
        "temperature_k": 1200.0,
        "sites": {
            "1": content(0.4, 0.42),
            "2": content(0.02, 0.007, 0.002),
            "3": content(0.025, 0.007, 0.002),
            "4": content(0.0, 1e-4, 0.0),
        },
        "boundary": content(0.06, 0.062),
        "bulk": content(2e-4, 1e-4, 1e-4),
        "curve": {"temperatures_k": [300.0, 2000.0], "boundary_fraction": [0.06, 0.05]},
    } | more


@pytest.fixture
def results():
    distances = (0.0, 1.19, 1.2, 8.0)
    return {
        "host": {"lattice_parameter_angstrom": 3.17, "planes_angstrom": [2.0]},
        "sites": [{"label": str(k + 1), "distance_angstrom": d} for k, d in enumerate(distances)],
        "mcmd": [run()],
    }


def markers(axes):
    """Point, marker and whether it is filled, of all error bars."""
    found = [container.lines[0] for container in axes.containers]
    return [
        (*line.get_xydata()[0], line.get_marker(), line.get_markerfacecolor() != "none")
        for line in found
    ]


def test_each_kind_of_site_has_its_place_and_small_contents_are_seen(results):
    _, axes = segregation_mcmd_plots.mcmd_plot(results).axes
    assert axes.get_yscale() == "log"
    found = sorted(markers(axes))
    places = np.array([one[0] for one in found])
    assert (np.diff(places) > 0.15).all()
    assert places == pytest.approx([0.0, 1.19, 1.2, 8.0], abs=0.11)
    assert [one[1] for one in found[:3]] == pytest.approx([0.4, 0.02, 0.025])
    # without an error, with one, with one, none found: at the edge of the plot
    assert [one[3] for one in found] == [False, True, True, False]
    (*_, (_, lowest, marker, _)) = found
    assert marker == "v"
    assert lowest == axes.get_ylim()[0] > 0
    (line,) = (line for line in axes.lines if line.get_label() == "Zr, 1200 K")
    assert line.get_xydata()[:, 1] == pytest.approx([0.42, 0.007, 0.007, 1e-4])


def test_temperatures_of_one_dopant_are_told_apart(results):
    results["mcmd"].append(run(temperature_k=900.0))
    left, right = segregation_mcmd_plots.mcmd_plot(results).axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["Zr"]
    assert [text.get_text() for text in right.get_legend().get_texts()] == [
        "Zr, 1200 K", "Zr, 900 K",
    ]  # fmt: skip
    styles = [line.get_linestyle() for line in right.get_legend().get_lines()]
    assert len(set(styles)) == 2


def test_a_bin_between_two_planes_goes_to_its_neighbours():
    edges = np.arange(7.0)
    has_sites = np.array([True, True, False, True, True, True])
    closed, bins = without_narrow_gaps(edges, has_sites, 2.7)
    assert closed == pytest.approx([0, 1, 2.5, 4, 5, 6])
    assert bins.tolist() == [0, 1, 3, 4, 5]


def test_vacuum_stays_empty():
    has_sites = np.array([True, True, False, False, False, True])
    closed, bins = without_narrow_gaps(np.arange(7.0), has_sites, 2.7)
    assert closed == pytest.approx(np.arange(7))
    assert bins.tolist() == list(range(6))


@pytest.mark.parametrize("n_bins", range(4, 60))
def test_no_hole_whatever_the_bins(n_bins):
    """Planes 1 Å apart, bins of any width: all of the cell is covered, each plane within its bin."""
    places = np.arange(0.3, 20.0, 1.0)
    edges = np.linspace(0.0, 20.0, n_bins + 1)
    n_sites = np.histogram(places, edges)[0]
    closed, bins = without_narrow_gaps(edges, n_sites > 0, 2.7)
    assert bins.tolist() == np.flatnonzero(n_sites).tolist()
    assert (closed[0], closed[-1]) == (0.0, 20.0)
    assert np.histogram(places, closed)[0].tolist() == n_sites[bins].tolist()


def test_the_profile_has_the_isotherm_across_a_bin_without_sites(results):
    results["mcmd"][0]["profile"] = {
        "edges_angstrom": [0.0, 1.0, 2.0, 3.0, 4.0],
        "fraction": [0.1, 0.4, None, 0.2],
        "error": [0.01, None, None, 0.02],
        "n_atoms": [24.0, 24.0, 0.0, 24.0],
        "isotherm": [0.1, 0.42, None, 0.21],
    }
    (axes,) = segregation_mcmd_plots.profile_plot(results).axes
    (steps,) = axes.patches
    values, edges, _ = steps.get_data()
    assert values == pytest.approx([0.1, 0.42, 0.21])
    assert edges == pytest.approx([0, 1, 2.5, 4])
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert [line.get_xydata().tolist() for line in hollow] == [[[1.75, 0.4]]]
    (filled,) = (container.lines[0] for container in axes.containers)
    assert hollow[0].get_zorder() > filled.get_zorder()


def test_the_lowest_plot_of_each_column_has_numbers():
    fit = {
        "location_ev": -0.1, "scale_ev": 0.1, "shape": 0.0, "location_error_ev": 0.01,
        "scale_error_ev": 0.01, "shape_error": 1.0, "ks_distance": 0.1, "mean_ev": -0.1,
        "mean_error_ev": 0.01, "standard_deviation_ev": 0.1, "n_energies": 2,
    }  # fmt: skip
    results = {
        "spectra": dict.fromkeys(DOPANTS, fit),
        "sites": [{"label": label, "is_crystal": False} for label in "ab"],
        "energies": [
            {"dopant": dopant, "site": label, "relaxed_ev": value}
            for dopant in DOPANTS
            for label, value in (("a", -0.2), ("b", 0.1))
        ],
    }
    figure = segregation_plots.spectrum_plot(results)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    labelled = [axes.xaxis.get_tick_params()["labelbottom"] for axes in shown]
    assert labelled == [False, False, True, True, True]
    figure.canvas.draw()
    for axes in shown[2:]:
        assert any(label.get_text() for label in axes.get_xticklabels())
