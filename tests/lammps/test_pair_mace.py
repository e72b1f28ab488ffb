"""pair_style mace against mace-torch's own ASE calculator in double precision.

The models have random weights, scaled to forces of 1 eV/Å, so that nothing is small by accident.
"""

import copy

import numpy as np
import pytest
from support import lmp
from support.cells import doped_cell, slab, two_atom_cell
from support.models import calculator

pytestmark = pytest.mark.usefixtures("torch_plugin")

ELEMENTS = ("V", "Mo", "Ta", "W")
TYPES = ("W", "Mo", "V", "Ta")  # in LAMMPS: another order than in the model

# Double: what is left is the order of summation. Single, against double precision with the same
# weights: sums of some hundred terms of 1 eV/Å with 1e-7 each.
TOLERANCE = {"float64": 1e-10, "float32": 2e-4}

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


def pair(file, types=TYPES, keyword=""):
    return f"pair_style mace {keyword}\npair_coeff * * {file} {' '.join(types)}"


def assert_same(found, model, atoms, *, dtype="float64", stress=True):
    """Compare energy, forces, stress and per-atom energies with mace-torch."""
    tolerance = TOLERANCE[dtype]
    oracle = calculator(model)
    work = atoms.copy()
    work.calc = oracle
    forces = work.get_forces()
    assert np.sqrt(np.mean(forces**2)) > 0.1, "forces this small would hide errors"
    assert found.energy == pytest.approx(
        work.get_potential_energy(), abs=0.1 * tolerance * len(atoms)
    )
    np.testing.assert_allclose(found.forces, forces, atol=tolerance, rtol=0)
    np.testing.assert_allclose(
        found.energies, oracle.results["node_energy"] + _references(model, atoms), atol=tolerance
    )
    assert found.energies.sum() == pytest.approx(found.energy, abs=1e-9)
    if stress:
        np.testing.assert_allclose(found.stress, work.get_stress(), atol=0.1 * tolerance, rtol=0)


def _references(model, atoms):
    """E0 of each atom: mace-torch's calculator leaves them out of ``node_energy``."""
    numbers = [int(z) for z in model.atomic_numbers]
    table = np.atleast_2d(model.atomic_energies_fn.atomic_energies.numpy())[0]
    return np.array([table[numbers.index(z)] for z in atoms.numbers])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda name: name.replace(" ", "-"))
def test_matches_mace_torch(scripted, tmp_path, shape, dtype):
    model, file = scripted(elements=ELEMENTS, dtype=dtype, **SHAPES[shape])
    atoms = doped_cell(ELEMENTS, n=3, seed=7)
    found = lmp.compute(atoms, tmp_path, symbols=TYPES, pair_lines=pair(file))
    assert_same(found, model, atoms, dtype=dtype)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize(
    "atoms", [two_atom_cell(), doped_cell(ELEMENTS, n=2, seed=3)], ids=["2-atoms", "16-atoms"]
)
def test_cells_smaller_than_the_cutoff(scripted, tmp_path, atoms, ranks):
    model, file = scripted(elements=ELEMENTS)
    assert min(atoms.cell.lengths()) < 2 * float(model.r_max)
    found = lmp.compute(atoms, tmp_path, symbols=TYPES, pair_lines=pair(file), ranks=ranks)
    assert_same(found, model, atoms)


@pytest.mark.parametrize("types", [("Mo", "W"), ("W", "Mo"), ("Ta", "W", "Mo")])
def test_any_subset_and_order_of_elements(scripted, tmp_path, types):
    model, file = scripted(elements=ELEMENTS)
    atoms = doped_cell(("Mo", "W"), n=2, seed=11)
    found = lmp.compute(atoms, tmp_path, symbols=types, pair_lines=pair(file, types))
    assert_same(found, model, atoms)


@pytest.mark.parametrize(
    ("ranks", "before"),
    [(2, ""), (4, ""), (4, "processors 1 1 4")],
    ids=["2", "4", "4-in-a-row"],
)
def test_ranks_agree_with_mace_torch(scripted, tmp_path, ranks, before):
    model, file = scripted(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=3, seed=13)
    found = lmp.compute(
        atoms, tmp_path, symbols=TYPES, pair_lines=pair(file), ranks=ranks, before=before
    )
    assert_same(found, model, atoms)


def test_ranks_of_uneven_shape(scripted, tmp_path):
    """Recursive bisection; LAMMPS wants the ghost cutoff below the box length for it."""
    model, file = scripted(elements=ELEMENTS, r_max=3.7, hidden="8x0e")
    atoms = doped_cell(ELEMENTS, n=3, seed=14)
    found = lmp.compute(
        atoms,
        tmp_path,
        symbols=TYPES,
        pair_lines=pair(file),
        ranks=3,
        before="comm_style tiled",
        run="balance 1.0 rcb\nrun 0",
    )
    assert_same(found, model, atoms)


@pytest.mark.parametrize(
    "options",
    [
        {"hidden": "8x0e", "n_layers": 3},
        {"hidden": "8x0e", "n_layers": 1},
        SHAPES["density, Agnesi, ZBL"],
        {"hidden": "8x0e + 8x1o", "dtype": "float32"},
    ],
    ids=["3-layers", "1-layer", "density", "float32"],
)
def test_ranks_for_other_models(scripted, tmp_path, options):
    model, file = scripted(elements=ELEMENTS, **options)
    # thin in x: a rank's own images and its neighbour's atoms are both within reach
    atoms = doped_cell(ELEMENTS, n=2, seed=17).repeat((1, 1, 3))
    atoms.positions += np.random.default_rng(17).normal(scale=0.05, size=(len(atoms), 3))
    atoms.wrap()
    found = lmp.compute(
        atoms,
        tmp_path,
        symbols=TYPES,
        pair_lines=pair(file),
        ranks=2,
        before="processors 1 1 2",
    )
    assert_same(found, model, atoms, dtype=options.get("dtype", "float64"))


@pytest.mark.parametrize("ranks", [1, 4])
def test_slab_with_empty_ranks(scripted, tmp_path, ranks):
    model, file = scripted(elements=ELEMENTS)
    atoms = slab(ELEMENTS)
    atoms.cell[2, 2] *= 2  # the upper half of the box, and the ranks there, hold no atom
    found = lmp.compute(
        atoms,
        tmp_path,
        symbols=TYPES,
        pair_lines=pair(file),
        ranks=ranks,
        before="processors 1 1 *" if ranks > 1 else "",
    )
    assert_same(found, model, atoms, stress=False)
    if ranks > 1:
        assert "0 min" in found.log.split("Nlocal:")[1].splitlines()[0], "no rank was empty"


def test_atoms_without_neighbours(scripted, tmp_path):
    model, file = scripted(elements=ELEMENTS)
    atoms = doped_cell(("Mo", "W"), n=2, seed=1)[:2]
    atoms.set_cell(np.diag([20.0, 21.0, 22.0]))
    atoms.positions = [[1.0, 2.0, 3.0], [11.0, 12.0, 13.0]]
    found = lmp.compute(atoms, tmp_path, symbols=TYPES, pair_lines=pair(file))
    work = atoms.copy()
    work.calc = calculator(model)
    assert found.energy == pytest.approx(work.get_potential_energy(), abs=1e-9)
    assert np.all(found.forces == 0)


def test_running_twice_gives_the_same(scripted, tmp_path):
    model, file = scripted(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=2, seed=19)
    found = lmp.compute(
        atoms, tmp_path, symbols=TYPES, pair_lines=pair(file), run="run 0\nrun 0\nrun 0"
    )
    assert_same(found, model, atoms)


@pytest.mark.parametrize("ranks", [1, 2])
def test_stress_is_the_derivative_of_the_energy(scripted, tmp_path, ranks):
    _, file = scripted(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=2, seed=23)
    options = {"symbols": TYPES, "pair_lines": pair(file), "ranks": ranks}
    stress = lmp.compute(atoms, tmp_path / "middle", **options).stress
    step = 1e-4
    # xx, yy and xy keep the cell lower triangular when the strain is applied to the rows
    for component, (row, column) in {0: (0, 0), 1: (1, 1), 5: (1, 0)}.items():
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[row, column] += sign * step
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ strain, scale_atoms=True)
            folder = tmp_path / f"{component}{sign}"
            energies.append(lmp.compute(strained, folder, **options).energy)
        slope = (energies[0] - energies[1]) / (2 * step) / atoms.get_volume()
        # truncation of the central difference: third derivative times step², 1e-8
        assert stress[component] == pytest.approx(slope, abs=1e-7)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_virials_of_atoms_sum_to_the_virial(scripted, tmp_path, ranks):
    _, file = scripted(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=3, seed=29)
    options = {"symbols": TYPES, "pair_lines": pair(file)}
    found = lmp.compute(atoms, tmp_path / "n", ranks=ranks, **options)
    virial = -found.stress[[0, 1, 2, 5, 4, 3]] * atoms.get_volume()
    np.testing.assert_allclose(found.virials.sum(axis=0), virial, atol=1e-9)
    one = lmp.compute(atoms, tmp_path / "1", ranks=1, **options)
    np.testing.assert_allclose(found.virials, one.virials, atol=1e-10)
    assert np.std(found.virials[:, 0]) > 0.01


def test_virials_of_atoms_are_those_of_mace_torch(scripted, tmp_path):
    """mace-torch as well gives half of an edge's -v g to each of its ends."""
    model, file = scripted(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=2, seed=31)
    found = lmp.compute(atoms, tmp_path, symbols=TYPES, pair_lines=pair(file))
    oracle = calculator(model)
    oracle.compute_atomic_stresses = True
    oracle.calculate(atoms)
    expected = oracle.results["virials"]  # (n, 3, 3)
    voigt = np.stack(
        [expected[:, i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))]
    )
    np.testing.assert_allclose(found.virials, voigt.T, atol=1e-9)


@pytest.mark.parametrize("ranks", [1, 2])
def test_overlay_with_zbl_adds(scripted, tmp_path, ranks):
    model, file = scripted(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=2, seed=37)
    charges = list(enumerate((74, 42, 23, 73), start=1))
    zbl = "\n".join(  # hybrid does not mix: every pair of types is named
        f"pair_coeff {i} {j} {{zbl}} {a} {b}" for i, a in charges for j, b in charges if i <= j
    )
    both = lmp.compute(
        atoms,
        tmp_path / "both",
        symbols=TYPES,
        ranks=ranks,
        pair_lines=f"pair_style hybrid/overlay mace zbl 2.0 3.0\n"
        f"pair_coeff * * mace {file} {' '.join(TYPES)}\n" + zbl.format(zbl="zbl"),
    )
    alone = lmp.compute(
        atoms,
        tmp_path / "zbl",
        symbols=TYPES,
        pair_lines="pair_style zbl 2.0 3.0\n" + zbl.format(zbl=""),
    )
    work = atoms.copy()
    work.calc = calculator(model)
    assert np.abs(alone.forces).max() > 0.01
    np.testing.assert_allclose(both.forces - alone.forces, work.get_forces(), atol=1e-10)
    np.testing.assert_allclose(both.stress - alone.stress, work.get_stress(), atol=1e-11)
    np.testing.assert_allclose(
        (both.energies - alone.energies).sum(), work.get_potential_energy(), atol=1e-9
    )


def test_hybrid_leaves_types_to_other_styles(scripted, tmp_path):
    model, file = scripted(elements=ELEMENTS)
    atoms = doped_cell(("Mo", "W"), n=2, seed=41)
    found = lmp.compute(
        atoms,
        tmp_path,
        symbols=("Mo", "W"),
        pair_lines=f"pair_style hybrid mace zero 4.5\npair_coeff * * mace {file} Mo NULL\n"
        "pair_coeff 1*2 2 zero",
    )
    ours = atoms.symbols == "Mo"
    alone = atoms[ours]
    alone.calc = calculator(model)
    np.testing.assert_allclose(found.forces[ours], alone.get_forces(), atol=1e-10)
    assert np.all(found.forces[~ours] == 0)
    assert found.energy == pytest.approx(alone.get_potential_energy(), abs=1e-9)


@pytest.fixture(scope="module")
def acesuit_file(scripted, tmp_path_factory):
    """A file as mace-torch's own ``mace_create_lammps_model`` writes it."""
    from moalloy_md.potentials.quiet import quiet_mace

    model, _ = scripted(elements=ELEMENTS)
    with quiet_mace():
        from e3nn.util import jit
        from mace.calculators import LAMMPS_MACE

        file = tmp_path_factory.mktemp("acesuit") / "model.model-lammps.pt"
        jit.compile(LAMMPS_MACE(copy.deepcopy(model))).save(str(file))
    return model, file


@pytest.mark.parametrize("ranks", [1, 2])
def test_files_of_mace_torch_run(acesuit_file, tmp_path, ranks):
    model, file = acesuit_file
    atoms = doped_cell(ELEMENTS, n=3, seed=43)
    found = lmp.compute(
        atoms, tmp_path, symbols=TYPES, pair_lines=pair(file), ranks=ranks, per_atom_stress=False
    )
    assert_same(found, model, atoms)


def test_files_of_mace_torch_have_no_stress_of_atoms(acesuit_file, tmp_path):
    _, file = acesuit_file
    atoms = two_atom_cell()
    lmp.write_data(atoms, TYPES, tmp_path)
    status, output = lmp.run_script(lmp.script(atoms, TYPES, pair(file)), tmp_path)
    assert status != 0
    assert "Per MPI rank memory" not in output, "the run was started"
    assert "has no forces of edges, which per-atom stress needs" in output
    assert "moalloy export" in output


def test_no_domain_decomposition_is_the_same_on_one_rank(scripted, tmp_path):
    model, file = scripted(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=2, seed=47)
    found = lmp.compute(
        atoms, tmp_path, symbols=TYPES, pair_lines=pair(file, keyword="no_domain_decomposition")
    )
    assert_same(found, model, atoms)
    assert found.log.count("no domain decomposition") == 1


def test_says_once_what_it_runs_on(scripted, tmp_path):
    _, file = scripted(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=2, seed=53)
    found = lmp.compute(
        atoms, tmp_path, symbols=TYPES, pair_lines=pair(file), ranks=2, run="run 0\nrun 0"
    )
    lines = [line for line in found.log.splitlines() if line.startswith("pair_style mace:")]
    assert len(lines) == 1
    assert "V Mo Ta W, r_max 4.5 A, 2 layers, float64 on cpu with 1 thread a rank" in lines[0]
