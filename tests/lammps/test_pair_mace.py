"""Both pair styles against mace-torch's own ASE calculator in double precision.

The models have random weights, scaled to forces of 1 eV/Å, so that nothing is small by accident.
"""

import re
from itertools import product

import numpy as np
import pytest
from support import lmp
from support.cells import doped_cell, slab, two_atom_cell
from support.models import calculator
from support.styles import STYLES, assert_same

pytestmark = pytest.mark.usefixtures("one_torch_thread")

ELEMENTS = ("V", "Mo", "Ta", "W")
#: Mo and its 20 dopants.
# fmt: off
ALL = (
    "Al", "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Y", "Zr", "Nb",
    "Mo", "Ag", "Hf", "Ta", "W", "Re", "Au", "Hg",
)
# fmt: on
TYPES = ("W", "Mo", "V", "Ta")  # in LAMMPS: another order than in the model

SHAPES = {
    "scalars": {"hidden": "8x0e"},
    "vectors": {"hidden": "8x0e + 8x1o"},
    "tensors": {"hidden": "8x0e + 8x1o + 8x2e"},
    "one layer": {"hidden": "8x0e + 8x1o", "n_layers": 1},
    "density, Agnesi, ZBL": {
        "hidden": "8x0e",
        "first": "density",
        "later": "density-residual",
        "distance_transform": "Agnesi",
        "zbl": True,
    },
    "training defaults": {"hidden": "8x0e + 8x1o", "first": "plain"},
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda name: name.replace(" ", "-"))
def test_matches_mace_torch(random_potential, tmp_path, shape, dtype):
    potential = random_potential(elements=ELEMENTS, dtype=dtype, **SHAPES[shape])
    atoms = doped_cell(ELEMENTS, n=3, seed=7)
    found = potential.compute(atoms, tmp_path, TYPES)
    assert_same(found, potential, atoms)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(
    "atoms", [two_atom_cell(), doped_cell(ELEMENTS, n=2, seed=3)], ids=["2-atoms", "16-atoms"]
)
def test_cells_smaller_than_the_cutoff(random_potential, tmp_path, atoms, ranks):
    potential = random_potential(elements=ELEMENTS)
    assert min(atoms.cell.lengths()) < 2 * float(potential.model.r_max)
    found = potential.compute(atoms, tmp_path, TYPES, ranks=ranks)
    assert_same(found, potential, atoms)


@pytest.mark.parametrize("types", [("Mo", "W"), ("W", "Mo"), ("Ta", "W", "Mo")])
def test_any_subset_and_order_of_elements(random_potential, tmp_path, types):
    potential = random_potential(elements=ELEMENTS)
    atoms = doped_cell(("Mo", "W"), n=2, seed=11)
    found = potential.compute(atoms, tmp_path, types)
    assert_same(found, potential, atoms)


@pytest.mark.parametrize(
    ("style", "n_cases"), [("mace", 5), ("mace/native", 30)], indirect=["style"]
)
def test_subsets_and_orders_of_21_elements(random_potential, tmp_path, n_cases):
    """A type taken for another element would be wrong by its reference energy, and more."""
    potential = random_potential(elements=ALL, hidden="8x0e")
    rng = np.random.default_rng(20)
    text, expected = "", []
    for k in range(n_cases):
        n_types = len(ALL) if k == 0 else int(rng.integers(1, len(ALL) + 1))
        types = tuple(rng.permutation(ALL)[:n_types].tolist())
        atoms = doped_cell(types, n=2, seed=k)
        lmp.write_data(atoms, types, tmp_path, f"{k}.lmp")
        setup = lmp.script(atoms, types, potential.lines(types), per_atom_stress=False)
        text += "clear\n" + setup.replace("data.lmp", f"{k}.lmp")
        text += f'print "energy of {k}: $(pe:%.17g)"\n'
        expected.append(potential.oracle.get_potential_energy(atoms))
    status, output = lmp.run_script(text, tmp_path)
    assert status == 0, output[-2000:]
    found = re.findall(r"^energy of \d+: (\S+)", output, re.MULTILINE)
    np.testing.assert_allclose(np.array(found, float), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("ranks", "before"),
    [(2, ""), (4, ""), (4, "processors 1 1 4")],
    ids=["2", "4", "4-in-a-row"],
)
def test_ranks_agree_with_mace_torch(random_potential, tmp_path, ranks, before):
    potential = random_potential(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=3, seed=13)
    found = potential.compute(atoms, tmp_path, TYPES, ranks=ranks, before=before)
    assert_same(found, potential, atoms)


def test_ranks_of_uneven_shape(random_potential, tmp_path):
    """Recursive bisection; LAMMPS wants the ghost cutoff below the box length for it."""
    potential = random_potential(elements=ELEMENTS, r_max=3.7, hidden="8x0e")
    atoms = doped_cell(ELEMENTS, n=3, seed=14)
    found = potential.compute(
        atoms,
        tmp_path,
        TYPES,
        ranks=3,
        before="comm_style tiled",
        run="balance 1.0 rcb\nrun 0",
    )
    assert_same(found, potential, atoms)


@pytest.mark.parametrize(
    "options",
    [
        {"hidden": "8x0e", "n_layers": 1},
        SHAPES["density, Agnesi, ZBL"],
        {"hidden": "8x0e + 8x1o", "dtype": "float32"},
    ],
    ids=["1-layer", "density", "float32"],
)
def test_ranks_for_other_models(random_potential, tmp_path, options):
    potential = random_potential(elements=ELEMENTS, **options)
    # thin in x: a rank's own images and its neighbour's atoms are both within reach
    atoms = doped_cell(ELEMENTS, n=2, seed=17).repeat((1, 1, 3))
    atoms.positions += np.random.default_rng(17).normal(scale=0.05, size=(len(atoms), 3))
    atoms.wrap()
    found = potential.compute(atoms, tmp_path, TYPES, ranks=2, before="processors 1 1 2")
    assert_same(found, potential, atoms)


@pytest.mark.parametrize("ranks", [1, 4])
def test_slab_with_empty_ranks(random_potential, tmp_path, ranks):
    potential = random_potential(elements=ELEMENTS)
    atoms = slab(ELEMENTS)
    atoms.cell[2, 2] *= 2  # the upper half of the box, and the ranks there, hold no atom
    row = "processors 1 1 *" if ranks > 1 else ""
    found = potential.compute(atoms, tmp_path, TYPES, ranks=ranks, before=row)
    assert_same(found, potential, atoms, stress=False)
    if ranks > 1:
        assert "0 min" in found.log.split("Nlocal:")[1].splitlines()[0], "no rank was empty"


def test_atoms_without_neighbours(random_potential, tmp_path):
    potential = random_potential(elements=ELEMENTS)
    atoms = doped_cell(("Mo", "W"), n=2, seed=1)[:2]
    atoms.set_cell(np.diag([20.0, 21.0, 22.0]))
    atoms.positions = [[1.0, 2.0, 3.0], [11.0, 12.0, 13.0]]
    found = potential.compute(atoms, tmp_path, TYPES)
    work = atoms.copy()
    work.calc = potential.oracle
    assert found.energy == pytest.approx(work.get_potential_energy(), abs=1e-9)
    assert np.all(found.forces == 0)


def test_running_twice_gives_the_same(random_potential, tmp_path):
    potential = random_potential(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=2, seed=19)
    found = potential.compute(atoms, tmp_path, TYPES, run="run 0\nrun 0\nrun 0")
    assert_same(found, potential, atoms)


def test_stress_is_the_derivative_of_the_energy(random_potential, tmp_path):
    potential = random_potential(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=2, seed=23)
    stress = potential.compute(atoms, tmp_path, TYPES, ranks=2).stress
    step = 1e-4
    # xx, yy and xy keep the cell lower triangular when the strain is applied to the rows
    components = {0: (0, 0), 1: (1, 1), 5: (1, 0)}
    strained = []
    for (row, column), sign in product(components.values(), (1, -1)):
        strain = np.eye(3)
        strain[row, column] += sign * step
        strained.append(atoms.copy())
        strained[-1].set_cell(atoms.cell.array @ strain, scale_atoms=True)
    energies = lmp.energies(
        strained, tmp_path, symbols=TYPES, pair_lines=potential.lines(TYPES), ranks=2
    )
    slopes = (energies[::2] - energies[1::2]) / (2 * step) / atoms.get_volume()
    # truncation of the central difference: third derivative times step², 1e-8
    np.testing.assert_allclose(stress[list(components)], slopes, atol=1e-7, rtol=0)


@pytest.fixture(scope="module")
def on_one_rank(random_potentials, tmp_path_factory):
    """Return a function that gives a cell and what a style finds for it on one rank."""
    known, atoms = {}, doped_cell(ELEMENTS, n=3, seed=29)

    def run(style):
        if style not in known:
            potential = random_potentials(style, elements=ELEMENTS)
            known[style] = potential.compute(atoms, tmp_path_factory.mktemp("one"), TYPES)
        return atoms, known[style]

    return run


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_virials_of_atoms_sum_to_the_virial(random_potential, style, on_one_rank, tmp_path, ranks):
    atoms, one = on_one_rank(style)
    potential = random_potential(elements=ELEMENTS)
    found = one if ranks == 1 else potential.compute(atoms, tmp_path, TYPES, ranks=ranks)
    virial = -found.stress[[0, 1, 2, 5, 4, 3]] * atoms.get_volume()
    np.testing.assert_allclose(found.virials.sum(axis=0), virial, atol=1e-9)
    np.testing.assert_allclose(found.virials, one.virials, atol=1e-10)
    assert np.std(found.virials[:, 0]) > 0.01


def test_virials_of_atoms_are_those_of_mace_torch(random_potential, tmp_path):
    """mace-torch as well gives half of an edge's -v g to each of its ends."""
    potential = random_potential(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=2, seed=31)
    found = potential.compute(atoms, tmp_path, TYPES)
    oracle = calculator(potential.model)
    oracle.compute_atomic_stresses = True
    oracle.calculate(atoms)
    expected = oracle.results["virials"]  # (n, 3, 3)
    voigt = np.stack(
        [expected[:, i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    )
    np.testing.assert_allclose(found.virials, voigt.T, atol=potential.tolerance)


@pytest.mark.parametrize("ranks", [1, 2])
def test_overlay_with_zbl_adds(random_potential, tmp_path, ranks):
    potential = random_potential(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=3, seed=37)
    charges = list(enumerate((74, 42, 23, 73), start=1))
    zbl = "\n".join(  # hybrid does not mix: every pair of types is named
        f"pair_coeff {i} {j} {{zbl}} {a} {b}" for i, a in charges for j, b in charges if i <= j
    )
    both = lmp.compute(
        atoms,
        tmp_path / "both",
        symbols=TYPES,
        ranks=ranks,
        pair_lines=f"pair_style hybrid/overlay {potential.style} zbl 2.0 3.0\n"
        f"pair_coeff * * {potential.style} {potential.file} {' '.join(TYPES)}\n"
        + zbl.format(zbl="zbl"),
    )
    alone = lmp.compute(
        atoms,
        tmp_path / "zbl",
        symbols=TYPES,
        pair_lines="pair_style zbl 2.0 3.0\n" + zbl.format(zbl=""),
    )
    assert np.abs(alone.forces).max() > 0.01
    assert "counts twice" not in both.log
    both.energy -= alone.energy
    both.forces -= alone.forces
    both.stress -= alone.stress
    both.energies -= alone.energies
    assert_same(both, potential, atoms)


@pytest.mark.parametrize(
    ("overlay", "zbl", "counts_twice"),
    [
        ("/overlay", "1 2 zbl 42 74", True),
        ("/overlay", "1 3 zbl 42 2", False),
        ("", "3 3 zbl 2 2", False),
    ],
)
def test_zbl_beside_a_model_that_has_it(random_potential, tmp_path, overlay, zbl, counts_twice):
    """Only where both styles compute one pair."""
    potential = random_potential(elements=ELEMENTS, zbl=True)
    found = lmp.compute(
        doped_cell(("Mo", "W"), n=2, seed=43),
        tmp_path,
        symbols=("Mo", "W", "He"),
        pair_lines=f"pair_style hybrid{overlay} {potential.style} zbl 2.0 3.0 zero 4.0\n"
        f"pair_coeff * * {potential.style} {potential.file} Mo W NULL\n"
        "pair_coeff * 3 zero\n"
        f"pair_coeff {zbl}\n",
    )
    assert ("ZBL), so that of pair_style zbl counts twice between types 1 and 2" in found.log) == (
        counts_twice
    )


#: How W is kept from the model: by no element, or by other styles for all pairs with it.
LEFT_OUT = {"null": "Mo NULL", "overridden": "Mo W"}


@pytest.mark.parametrize("before", ["nothing", "plain"])
@pytest.mark.parametrize("how", LEFT_OUT)
@pytest.mark.parametrize("ranks", [1, 2])
def test_hybrid_leaves_types_to_other_styles(random_potential, tmp_path, ranks, how, before):
    potential = random_potential(elements=ELEMENTS)
    atoms = doped_cell(("Mo", "W"), n=2, seed=41)
    plain = potential.lines(("Mo", "W")) + "run 0\n" if before == "plain" else ""
    found = lmp.compute(
        atoms,
        tmp_path,
        symbols=("Mo", "W"),
        ranks=ranks,
        pair_lines=f"{plain}pair_style hybrid {potential.style} zero 4.5\n"
        f"pair_coeff * * {potential.style} {potential.file} {LEFT_OUT[how]}\n"
        "pair_coeff 1*2 2 zero",
    )
    ours = atoms.symbols == "Mo"
    alone = atoms[ours]
    alone.calc = potential.oracle
    np.testing.assert_allclose(found.forces[ours], alone.get_forces(), atol=potential.tolerance)
    assert np.all(found.forces[~ours] == 0)
    assert np.all(found.energies[~ours] == 0)
    assert found.energy == pytest.approx(alone.get_potential_energy(), abs=1e-9)


def test_two_threads_of_a_rank(random_potential, style, on_one_rank, tmp_path):
    atoms, one = on_one_rank(style)
    potential = random_potential(elements=ELEMENTS)
    found = potential.compute(atoms, tmp_path, TYPES, threads=2)
    assert "2 threads a rank" in found.log
    assert_same(found, potential, atoms)
    np.testing.assert_allclose(found.forces, one.forces, atol=1e-11)
    np.testing.assert_allclose(found.virials, one.virials, atol=1e-10)


@pytest.mark.parametrize("style", [STYLES], indirect=True, ids=["both"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_styles_agree(style, random_potentials, tmp_path, ranks):
    """To 1e-6 eV/Å in double precision, whatever mace-torch says."""
    atoms = doped_cell(ELEMENTS, n=3, seed=61)
    one, other = (
        random_potentials(name, elements=ELEMENTS).compute(
            atoms, tmp_path / str(k), TYPES, ranks=ranks
        )
        for k, name in enumerate(STYLES)
    )
    np.testing.assert_allclose(one.forces, other.forces, atol=1e-6, rtol=0)
    np.testing.assert_allclose(one.energies, other.energies, atol=1e-6, rtol=0)
    np.testing.assert_allclose(one.stress, other.stress, atol=1e-7, rtol=0)
    np.testing.assert_allclose(one.virials, other.virials, atol=1e-6, rtol=0)
