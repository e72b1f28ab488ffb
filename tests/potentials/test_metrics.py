"""Errors against hand-made numbers, plain formulas, and SciPy's own bootstrap."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from moalloy_md.errors import DataError
from moalloy_md.potentials.metrics import error_metrics


def metrics(energy_error, force_error, n_atoms, groups, *, seed=0, n_resamples=9999):
    """Errors of a model that is off by `energy_error` (eV a cell) and `force_error` (eV/Å)."""
    rng = np.random.default_rng(5)
    energies = -11.0 * np.array(n_atoms) + rng.normal(size=len(n_atoms))
    forces = rng.normal(size=(sum(n_atoms), 3))
    return error_metrics(
        reference_energies_ev=energies,
        predicted_energies_ev=energies + np.array(energy_error),
        reference_forces=forces,
        predicted_forces=forces + np.array(force_error),
        n_atoms=np.array(n_atoms),
        groups=groups,
        seed=seed,
        n_resamples=n_resamples,
    )


def sample(n_cells=24, n_groups=9, seed=3):
    rng = np.random.default_rng(seed)
    n_atoms = rng.integers(1, 6, size=n_cells).tolist()
    groups = [f"g{k}" for k in rng.integers(0, n_groups, size=n_cells)]
    return (
        rng.normal(0.02, 0.1, size=n_cells),
        rng.normal(0.0, 0.05, size=(sum(n_atoms), 3)),
        n_atoms,
        groups,
    )


def test_hand_numbers():
    found = metrics(
        energy_error=[0.008, -0.03],  # eV a cell: +4 meV/atom of 2, -10 meV/atom of 3
        force_error=[[0.003, 0, -0.004], [0, 0, 0], [0, 0.012, 0], [0, 0, 0], [0, 0, -0.005]],
        n_atoms=[2, 3],
        groups=["a", "b"],
    )
    assert found.energy_mae_mev_per_atom == pytest.approx(7.0)
    assert found.energy_rmse_mev_per_atom == pytest.approx(np.sqrt((16 + 100) / 2))
    assert found.energy_mean_error_mev_per_atom == pytest.approx(-3.0)
    assert found.force_mae_mev_per_angstrom == pytest.approx((3 + 4 + 12 + 5) / 15)
    assert found.force_rmse_mev_per_angstrom == pytest.approx(np.sqrt((9 + 16 + 144 + 25) / 15))
    assert found.force_vector_mae_mev_per_angstrom == pytest.approx((5 + 12 + 5) / 5)
    assert found.force_vector_rmse_mev_per_angstrom == pytest.approx(np.sqrt((25 + 144 + 25) / 5))
    assert (found.n_cells, found.n_groups, found.n_atoms) == (2, 2, 5)


def test_size_of_what_was_to_be_predicted():
    forces = np.array([[0.1, -0.2, 0.0], [0.0, 0.4, -0.5]])
    found = error_metrics(
        reference_energies_ev=np.array([-22.0]), predicted_energies_ev=np.array([-22.0]),
        reference_forces=forces, predicted_forces=np.zeros((2, 3)),
        n_atoms=np.array([2]), groups=["a"],
    )  # fmt: skip
    assert found.mean_abs_force_mev_per_angstrom == pytest.approx(200.0)
    assert found.rms_force_mev_per_angstrom == pytest.approx(1000 * np.sqrt(0.46 / 6))
    # A model that says zero everywhere is wrong by exactly that.
    assert found.force_mae_mev_per_angstrom == found.mean_abs_force_mev_per_angstrom
    assert found.force_rmse_mev_per_angstrom == found.rms_force_mev_per_angstrom


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10**6), factor=st.floats(0.1, 10.0))
def test_identities(seed, factor):
    energy, force, n_atoms, groups = sample(seed=seed)
    one = metrics(energy, force, n_atoms, groups, n_resamples=50)
    scaled = metrics(factor * energy, factor * force, n_atoms, groups, n_resamples=50)
    vector = one.force_vector_rmse_mev_per_angstrom
    assert vector == pytest.approx(np.sqrt(3) * one.force_rmse_mev_per_angstrom)
    assert one.energy_mae_mev_per_atom <= one.energy_rmse_mev_per_atom
    assert abs(one.energy_mean_error_mev_per_atom) <= one.energy_mae_mev_per_atom
    assert one.force_mae_mev_per_angstrom <= one.force_vector_mae_mev_per_angstrom
    assert scaled.energy_rmse_mev_per_atom == pytest.approx(factor * one.energy_rmse_mev_per_atom)
    assert scaled.force_mae_mev_per_angstrom == pytest.approx(
        factor * one.force_mae_mev_per_angstrom
    )


def test_order_of_cells_changes_nothing():
    energy, force, n_atoms, groups = sample()
    order = np.random.default_rng(1).permutation(len(n_atoms))
    of_cells = np.split(force, np.cumsum(n_atoms)[:-1])
    one = metrics(energy, force, n_atoms, groups)
    other = metrics(
        energy[order],
        np.concatenate([of_cells[k] for k in order]),
        [n_atoms[k] for k in order],
        [groups[k] for k in order],
    )
    assert one.force_vector_mae_mev_per_angstrom == pytest.approx(
        other.force_vector_mae_mev_per_angstrom
    )
    for name, interval in one.intervals.items():
        if name in {"force_r2", "force_slope"}:
            continue  # beside these the reference forces count, which are drawn anew
        assert interval.low == pytest.approx(other.intervals[name].low)
        assert interval.high == pytest.approx(other.intervals[name].high)


def test_intervals_agree_with_scipy():
    energy, force, n_atoms, groups = sample(n_cells=40, n_groups=15)
    found = metrics(energy, force, n_atoms, groups, n_resamples=40000)
    index = np.unique(groups, return_inverse=True)[1]
    square = np.bincount(index, weights=(1000 * energy / np.array(n_atoms)) ** 2)
    cells = np.bincount(index)
    cell_of_atom = np.repeat(np.arange(len(n_atoms)), n_atoms)
    absolute = np.bincount(index[cell_of_atom], weights=np.abs(1000 * force).sum(axis=1))
    components = 3 * np.bincount(index[cell_of_atom])
    expected = {
        "energy_rmse_mev_per_atom": (square, cells, np.sqrt),
        "force_mae_mev_per_angstrom": (absolute, components, np.array),
    }
    for name, (above, below, function) in expected.items():
        answer = stats.bootstrap(
            (above, below),
            lambda a, b, axis, function=function: function(a.sum(axis=axis) / b.sum(axis=axis)),
            paired=True, vectorized=True, n_resamples=40000, method="BCa",
            random_state=np.random.default_rng(2),
        ).confidence_interval  # fmt: skip
        width = answer.high - answer.low
        # Two finite bootstraps: the quantiles scatter by about a hundredth of the width.
        assert found.intervals[name].low == pytest.approx(answer.low, abs=0.03 * width)
        assert found.intervals[name].high == pytest.approx(answer.high, abs=0.03 * width)


def test_groups_widen_the_interval():
    rng = np.random.default_rng(0)
    of_group = rng.normal(0, 0.5, size=8)
    energy = np.repeat(of_group, 10) + rng.normal(0, 0.01, size=80)
    force, n_atoms = np.zeros((80, 3)), [1] * 80
    grouped = metrics(energy, force, n_atoms, [f"g{k // 10}" for k in range(80)])
    single = metrics(energy, force, n_atoms, [f"g{k}" for k in range(80)])
    name = "energy_mae_mev_per_atom"

    def width(found):
        return found.intervals[name].high - found.intervals[name].low

    assert grouped.energy_mae_mev_per_atom == pytest.approx(single.energy_mae_mev_per_atom)
    assert (grouped.n_groups, single.n_groups) == (8, 80)
    # Ten frames that say the same are one sample: √10 wider in the limit of many groups.
    assert width(grouped) > 2 * width(single)


def test_same_seed_same_interval_and_intervals_hold_the_error():
    one, two = metrics(*sample()), metrics(*sample())
    other = metrics(*sample(), seed=1)
    assert one == two
    assert one.intervals != other.intervals
    for name, interval in one.intervals.items():
        assert interval.low < getattr(one, name) < interval.high
        assert interval.confidence == 0.95


def test_one_group_has_no_interval():
    energy, force, n_atoms, _ = sample()
    assert metrics(energy, force, n_atoms, ["a"] * len(n_atoms)).intervals == {}


def test_perfect_model_has_zero_errors_and_a_point_interval():
    found = metrics([0, 0, 0], np.zeros((6, 3)), [1, 2, 3], ["a", "b", "c"])
    assert found.energy_rmse_mev_per_atom == 0
    assert found.intervals["force_rmse_mev_per_angstrom"].high == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_atoms": np.array([], dtype=int)}, "at least one cell"),
        ({"n_atoms": np.array([2, 0])}, "cell 1: expected at least one atom"),
        ({"groups": ["a"]}, "a group for each of 2 cells, found 1"),
        ({"predicted_energies_ev": np.zeros(3)}, r"predicted energies: expected shape \(2,\)"),
        ({"predicted_forces": np.zeros((4, 3))}, r"predicted forces: expected shape \(3, 3\)"),
        ({"predicted_energies_ev": np.array([0, np.nan])}, "predicted energies of cell 1"),
        ({"reference_forces": np.full((3, 3), np.inf)}, "reference forces of cell 0"),
    ],
)
def test_refusals(change, message):
    arguments = {
        "reference_energies_ev": np.zeros(2), "predicted_energies_ev": np.zeros(2),
        "reference_forces": np.zeros((3, 3)), "predicted_forces": np.zeros((3, 3)),
        "n_atoms": np.array([2, 1]), "groups": ["a", "b"],
    }  # fmt: skip
    with pytest.raises(DataError, match=message):
        error_metrics(**{**arguments, **change})


@pytest.mark.parametrize("factor", [0.0, 0.7, 1.0, 1.3])
def test_slope_and_r2_tell_a_soft_model_from_a_right_one(factor):
    """Of forces that are all too small by one factor: the factor, and 1 − (1 − factor)²."""
    forces = np.random.default_rng(2).normal(size=(12, 3))
    found = error_metrics(
        reference_energies_ev=np.zeros(3),
        predicted_energies_ev=np.zeros(3),
        reference_forces=forces,
        predicted_forces=factor * forces,
        n_atoms=np.array([4, 4, 4]),
        groups=["a", "b", "c"],
    )
    assert found.force_slope == pytest.approx(factor)
    assert found.force_r2 == pytest.approx(1 - (1 - factor) ** 2)
    assert found.intervals["force_slope"].low == pytest.approx(factor)


def test_without_forces_there_is_no_slope():
    """Cells on their lattice sites: zero is the right answer, and no ratio is defined."""
    found = error_metrics(
        reference_energies_ev=np.zeros(2),
        predicted_energies_ev=np.zeros(2),
        reference_forces=np.zeros((4, 3)),
        predicted_forces=np.full((4, 3), 0.01),
        n_atoms=np.array([2, 2]),
        groups=["a", "b"],
    )
    assert (found.force_r2, found.force_slope) == (None, None)
    assert not {"force_r2", "force_slope"} & found.intervals.keys()
    assert found.intervals["force_mae_mev_per_angstrom"].high == pytest.approx(10.0)


def test_no_resamples_no_intervals():
    assert metrics(*sample(), n_resamples=0).intervals == {}
