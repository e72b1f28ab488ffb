"""What must hold of the native engine whatever the model: derivatives, symmetries, sums."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.stress import voigt_6_to_full_3x3_stress
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from support.cells import doped_cell, slab, two_atom_cell

from moalloy_md import _engine
from moalloy_md.potentials.native import NativeCalculator
from moalloy_md.potentials.pairs import NeighbourPairs

pytestmark = pytest.mark.usefixtures("one_torch_thread")

ELEMENTS = ("V", "Mo", "Ta", "W")
KINDS = {
    "vectors, plain and residual, ZBL": {"hidden": "5x0e + 5x1o", "first": "plain", "zbl": True},
    "density, Agnesi, ZBL": {
        "first": "density",
        "later": "density-residual",
        "distance_transform": "Agnesi",
        "zbl": True,
    },
    "one layer": {"hidden": "8x0e", "n_layers": 1, "zbl": True},
}

# Sums in another order differ by some units in the last place of their largest terms.
REORDERED = 1e-12

# Å. Where a pair crosses the cutoff the third derivative jumps, so longer steps see it.
STEP = 0.001

seeds = st.integers(0, 2**32 - 1)
some = settings(max_examples=8, deadline=None)


@pytest.fixture(scope="module", params=KINDS)
def native(request, native_models):
    return native_models(**KINDS[request.param])


@pytest.fixture(scope="module")
def calculator(native):
    return native.calculator("float64")


def sixteen(seed=11):
    return doped_cell(ELEMENTS, n=2, seed=seed)


def evaluate(calculator, atoms):
    """Return all properties of a periodic structure."""
    calculator.calculate(atoms, ["energy", "stresses"])
    return calculator.results


def assert_equal(found, expected, *, rtol=REORDERED, names=None):
    """Compare results, each relative to its largest component."""
    for name in names or expected:
        size = np.abs(expected[name]).max()
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=rtol * size)


def derivative(function, step):
    """Sixth-order central difference of `function` at 0."""
    weights = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}
    return sum(w * (function(k * step) - function(-k * step)) for k, w in weights.items()) / step


# ---- derivatives


def test_forces_are_the_derivative_of_the_energy(calculator):
    rng = np.random.default_rng(1)
    atoms = sixteen()
    forces = evaluate(calculator, atoms)["forces"]

    def energy(displacement):
        moved = atoms.copy()
        moved.positions += displacement
        return calculator.get_potential_energy(moved)

    everywhere = list(rng.normal(size=(4, forces.size)))
    one_component = list(np.eye(forces.size)[rng.permutation(forces.size)[:8]])
    for direction in everywhere + one_component:
        unit = (direction / np.linalg.norm(direction)).reshape(forces.shape)
        slope = derivative(lambda t, way=unit: energy(t * way), STEP)
        expected = -np.sum(forces * unit)
        assert slope == pytest.approx(expected, abs=1e-8 * np.abs(forces).max())


def test_stress_is_the_derivative_by_strain(calculator):
    atoms = sixteen(12)
    stress = voigt_6_to_full_3x3_stress(evaluate(calculator, atoms)["stress"])

    def energy(strain):
        strained = atoms.copy()
        strained.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
        return calculator.get_potential_energy(strained)

    for a in range(3):
        for b in range(a + 1):
            unit = np.zeros((3, 3))
            unit[a, b] = unit[b, a] = 1 if a == b else 0.5
            slope = derivative(lambda t, way=unit: energy(t * way), STEP / 5)
            found = slope / atoms.get_volume()
            assert found == pytest.approx(stress[a, b], abs=1e-8 * np.abs(stress).max())


def raw(native):
    """Return an engine for MoW and the edges of the two-atom cell within its cutoff."""
    engine = _engine.Engine(str(native.path), [42, 74], "float64")
    edges = NeighbourPairs(engine.r_max).edges(two_atom_cell())
    near = np.linalg.norm(edges.vectors, axis=1) < engine.r_max
    types = np.array([0, 1], dtype=np.int32)
    return engine, types, edges.senders[near], edges.receivers[near], edges.vectors[near]


def test_every_edge_has_its_own_force(native):
    """Forces and virials are sums over edges of the energy's derivative by the edge's vector."""
    engine, types, senders, receivers, vectors = raw(native)
    found = engine.evaluate(types, senders, receivers, vectors, virials=True)
    gradient = np.zeros(vectors.shape)
    for index in range(vectors.size):
        unit = np.zeros(vectors.shape)
        unit.flat[index] = 1

        def energy(t, way=unit):
            return engine.evaluate(types, senders, receivers, vectors + t * way)["energy"]

        gradient.flat[index] = derivative(energy, STEP)
    forces, virials = np.zeros((2, 3)), np.zeros((2, 3, 3))
    for i, j, vector, slope in zip(receivers, senders, vectors, gradient, strict=True):
        forces[i] -= slope
        forces[j] += slope
        virials[i] += 0.5 * np.outer(vector, slope)
        virials[j] += 0.5 * np.outer(vector, slope)
    size = np.abs(gradient).max()
    np.testing.assert_allclose(found["forces"], forces, rtol=0, atol=1e-8 * size)
    np.testing.assert_allclose(found["virials"], virials, rtol=0, atol=1e-7 * size)
    np.testing.assert_allclose(found["virial"], virials.sum(axis=0), rtol=0, atol=1e-7 * size)


# ---- sums


def test_parts_sum_to_the_whole(calculator):
    atoms = doped_cell(ELEMENTS, seed=13)
    found = evaluate(calculator, atoms)
    assert found["energies"].sum() == pytest.approx(found["energy"], rel=REORDERED)
    assert found["free_energy"] == found["energy"]
    largest = np.abs(found["stresses"]).max()
    np.testing.assert_allclose(found["stresses"].sum(axis=0), found["stress"], atol=1e-12 * largest)
    assert np.ptp(found["stresses"][:, 0]) > 1e-3 * largest, "all alike: nothing is tested"
    np.testing.assert_allclose(found["forces"].sum(axis=0), 0, atol=1e-11)


def test_virial_is_symmetric(native):
    """The energy does not change when the whole system turns."""
    engine, types, senders, receivers, vectors = raw(native)
    virial = engine.evaluate(types, senders, receivers, vectors)["virial"]
    np.testing.assert_allclose(virial, virial.T, rtol=0, atol=1e-11 * np.abs(virial).max())


@pytest.mark.parametrize("times", [(2, 1, 1), (1, 3, 1), (2, 1, 2)])
def test_supercell_is_so_many_cells(calculator, times):
    atoms = sixteen(14)
    found, n = evaluate(calculator, atoms).copy(), np.prod(times)
    expected = {
        "energy": n * found["energy"],
        "energies": np.tile(found["energies"], n),
        "forces": np.tile(found["forces"], (n, 1)),
        "stress": found["stress"],
        "stresses": np.tile(found["stresses"] / n, (n, 1)),
    }
    assert_equal(evaluate(calculator, atoms.repeat(times)), expected, rtol=1e-11)


# ---- symmetries


@given(seed=seeds)
@some
def test_translation_changes_nothing(calculator, seed):
    """The whole crystal moves anywhere, and each atom by any lattice vector."""
    rng = np.random.default_rng(seed)
    atoms = sixteen(15)
    expected = evaluate(calculator, atoms).copy()
    atoms.translate(rng.uniform(-30, 30, size=3))
    atoms.positions += rng.integers(-3, 4, size=(len(atoms), 3)) @ atoms.cell.array
    assert_equal(evaluate(calculator, atoms), expected, rtol=1e-11)


@given(seed=seeds, mirrored=st.booleans())
@some
def test_rotation_turns_forces_and_stress(calculator, seed, mirrored):
    turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    if mirrored:
        turn = -turn
    atoms = sixteen(16)
    expected = evaluate(calculator, atoms).copy()
    expected["forces"] = expected["forces"] @ turn.T
    for name in ("stress", "stresses"):
        expected[name] = turn @ voigt_6_to_full_3x3_stress(expected[name]) @ turn.T
    atoms.set_cell(atoms.cell.array @ turn.T)
    atoms.positions = atoms.positions @ turn.T
    found = evaluate(calculator, atoms).copy()
    for name in ("stress", "stresses"):
        found[name] = voigt_6_to_full_3x3_stress(found[name])
    assert_equal(found, expected, rtol=1e-11)


@given(seed=seeds)
@some
def test_permutation_permutes(calculator, seed):
    order = np.random.default_rng(seed).permutation(16)
    atoms = sixteen(17)
    expected = evaluate(calculator, atoms).copy()
    for name in ("energies", "forces", "stresses"):
        expected[name] = expected[name][order]
    assert_equal(evaluate(calculator, atoms[order]), expected, rtol=1e-11)


def test_atoms_far_apart_do_not_see_each_other(calculator):
    """A slab has the energy of its atoms whatever the vacuum; two slabs have twice the energy."""
    atoms = slab(ELEMENTS)
    expected = evaluate(calculator, atoms).copy()
    both = atoms.copy()
    both.translate([0.4, 0.3, 30.0])
    both.extend(atoms)
    names = ("energies", "forces")
    twice = {name: np.concatenate([expected[name]] * 2) for name in names}
    assert_equal(evaluate(calculator, both), twice, rtol=1e-11, names=names)


def test_crystal_that_drifts_through_the_boundary(calculator):
    """Wrapped or not: the pairs' list follows."""
    atoms = sixteen(18)
    expected = evaluate(calculator, atoms).copy()
    for _ in range(12):
        atoms.translate([0.11, -0.13, 0.17])
        atoms.wrap()
        assert_equal(evaluate(calculator, atoms), expected, rtol=1e-11)


# ---- threads, instruction sets, and what was computed before


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_agree(native, threads):
    atoms = doped_cell(ELEMENTS, seed=19)
    expected = evaluate(native.calculator("float64"), atoms)
    found = evaluate(NativeCalculator(native.path, precision="float64", threads=threads), atoms)
    assert_equal(found, expected)
    expected = evaluate(native.calculator("float32"), atoms)
    found = evaluate(NativeCalculator(native.path, precision="float32", threads=threads), atoms)
    assert_equal(found, expected, rtol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_same_bits_whatever_came_before(native, precision, threads):
    """Nothing is left of a larger or smaller system in the engine's buffers."""
    calculator = NativeCalculator(native.path, precision=precision, threads=threads)
    cells = [sixteen(20), doped_cell(ELEMENTS, seed=21), two_atom_cell(), slab(ELEMENTS)]
    evaluate(calculator, cells[0])  # from here on the engine knows all four elements
    first = [evaluate(calculator, atoms).copy() for atoms in cells]
    again = [evaluate(calculator, atoms).copy() for atoms in reversed(cells)][::-1]
    for one, other in zip(first, again, strict=True):
        for name, values in one.items():
            assert np.array_equal(values, other[name]), name


ISAS = {"portable": set(), "avx2": {"avx2", "fma"}}
ISAS["avx512"] = ISAS["avx2"] | {"avx512f", "avx512dq", "avx512vl", "avx512bw"}


def processor_has(isa):
    flags = [
        line.split(":")[1].split()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("flags")
    ]
    return ISAS[isa] <= set(flags[0] if flags else [])


@pytest.mark.parametrize("isa", ISAS)
def test_instruction_sets_agree(native, isa, monkeypatch):
    if not processor_has(isa):
        pytest.skip(f"this processor has no {isa}")
    atoms = sixteen(22)
    for precision, rtol in (("float64", REORDERED), ("float32", 1e-5)):
        best = evaluate(native.calculator(precision), atoms)
        with monkeypatch.context() as patch:
            patch.setenv("MOALLOY_ISA", isa)  # read when an engine is made
            calculator = NativeCalculator(native.path, precision=precision, threads=1)
            found = evaluate(calculator, atoms)
        assert calculator._engine.instructions == isa
        assert_equal(found, best, rtol=rtol)


def test_unknown_instruction_set_is_refused(native, monkeypatch):
    monkeypatch.setenv("MOALLOY_ISA", "sse2")
    with pytest.raises(RuntimeError, match="expected avx512, avx2 or portable, found 'sse2'"):
        _engine.Engine(str(native.path), [42], "float64")


def test_memory_that_runs_out_inside_of_a_thread(native_models):
    """It is told, where an exception that leaves a parallel region would end the process."""
    text = """
import resource, sys
import numpy as np
from moalloy_md import _engine

engine = _engine.Engine(sys.argv[1], [42])
edges = 1_000_000  # of two atoms: what a thread keeps of them is hundreds of bytes an edge
receivers = np.repeat(np.arange(2, dtype=np.int32), edges // 2)
arrays = np.zeros(2, np.int32), 1 - receivers, receivers, np.full((edges, 3), 1.5)
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + (64 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    engine.evaluate(*arrays, int(sys.argv[2]))
except MemoryError:
    print("told")
"""
    for threads in (1, 2):
        command = [sys.executable, "-c", text, str(native_models().path), str(threads)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout == "told\n", done.stderr
