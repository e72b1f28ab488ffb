"""The native engine gives what mace-torch gives, for every kind of model that it evaluates."""

import numpy as np
import pytest
import torch
from ase import Atoms
from support.cells import doped_cell, slab, two_atom_cell
from support.models import calculator, save_model

from moalloy_md.potentials.export import open_source, write_native_file
from moalloy_md.potentials.loading import load_model
from moalloy_md.potentials.native import NativeCalculator
from moalloy_md.potentials.quiet import quiet_mace

with quiet_mace():
    from mace.tools.torch_tools import default_dtype

pytestmark = pytest.mark.usefixtures("one_torch_thread")

# Of models with forces of 1 eV/Å. In double precision what is left is the error of the engine's
# splines, in single precision its rounding, which grows with the forces that cancel.
ENERGY_EV_PER_ATOM, FORCE_EV_PER_ANGSTROM, STRESS_EV_PER_ANGSTROM3 = 1e-7, 1e-6, 1e-7
SINGLE_ENERGY_EV_PER_ATOM, SINGLE_FORCE = 1e-4, 2e-4

ELEMENTS = ("V", "Mo", "Ta", "W")
NINE = ("Ti", "V", "Zr", "Nb", "Mo", "Hf", "Ta", "W", "Re")
R_MAX = 4.5


def dense():
    """Distances down to 1.9 Å, and twice as many neighbours."""
    atoms = doped_cell(ELEMENTS, n=2, seed=4)
    atoms.set_cell(atoms.cell.array * 0.8, scale_atoms=True)
    return atoms


def close():
    """Two of sixteen atoms are 0.7 Å apart."""
    atoms = doped_cell(ELEMENTS, n=2, seed=5)
    atoms.positions[7] = atoms.positions[3] + 0.1 * np.array([2, 3, 6])
    return atoms


def cluster():
    """Sixteen atoms without a cell."""
    atoms = doped_cell(ELEMENTS, n=2, seed=6)
    atoms.translate([3.7, -5.0, 9.0])
    return Atoms(atoms.symbols, atoms.positions)


def mixed_boundaries():
    """Periodic in z only, with atoms outside of the cell."""
    atoms = doped_cell(ELEMENTS, n=2, seed=7)
    atoms.pbc = (False, False, True)
    atoms.positions[::3] += 2 * atoms.cell[2]
    return atoms


def at_the_cutoff():
    """Pairs before, just below, at and just above the cutoff, each alone."""
    atoms = Atoms()
    for k, beyond in enumerate([-0.1, -1e-3, -1e-9, 0.0, 1e-9, 1e-3]):
        # along x, where no rounding moves a pair over the cutoff
        atoms += Atoms("MoW", positions=[[0, 20 * k, 7], [R_MAX + beyond, 20 * k, 7]])
    return atoms


CELLS = {
    "triclinic": lambda: doped_cell(ELEMENTS),
    "two atoms": two_atom_cell,
    "one atom": lambda: Atoms("Ta", cell=[[2.9, 0, 0], [0.3, 3.1, 0], [0.2, 0.1, 3.0]], pbc=True),
    "sixteen atoms": lambda: doped_cell(ELEMENTS, n=2, seed=3),
    "slab": lambda: slab(ELEMENTS),
    "isolated": lambda: Atoms("W", positions=[[1, 2, 3]]),
    "dense": dense,
    "close": close,
    "cluster": cluster,
    "mixed boundaries": mixed_boundaries,
    "cutoff": at_the_cutoff,
    "nine elements": lambda: doped_cell(NINE, seed=8),
}
FOR_ALL = [name for name in CELLS if name != "nine elements"]

TENSORS = "8x0e + 8x1o + 8x2e"
HEADS = {"hidden": "8x0e", "heads": ["pt", "dft"], "max_ell": 2, "correlation": 2}

#: Every kind that the engine evaluates, each option at least once, and cells for it.
KINDS = {
    "vectors of 5 channels, plain and residual, ZBL": (
        {"hidden": "5x0e + 5x1o", "first": "plain", "zbl": True},
        FOR_ALL,
    ),
    "density, Agnesi, ZBL": (
        {"first": "density", "later": "density-residual", "distance_transform": "Agnesi",
         "zbl": True},
        FOR_ALL,
    ),
    "scalars of 20 channels, nine elements": (
        {"hidden": "20x0e", "elements": NINE},
        ["triclinic", "nine elements", "two atoms", "close"],
    ),
    "tensors, built in single precision": (
        {"hidden": TENSORS, "built_in": "float32", "dtype": "float32"},
        ["triclinic", "dense", "isolated"],
    ),
    "density twice, cutoff behind the network": (
        {"hidden": TENSORS, "first": "density-residual", "later": "density", "correlation": 2,
         "max_ell": 2, "apply_cutoff": False},
        ["triclinic", "cutoff", "cluster"],
    ),
    "plain twice, 20 channels": (
        {"hidden": "20x0e + 20x1o", "first": "plain", "later": "plain", "correlation": 2,
         "max_ell": 2},
        ["triclinic", "slab"],
    ),
    "one layer": (
        {"hidden": "8x0e", "n_layers": 1, "zbl": True},
        ["triclinic", "close", "cutoff", "isolated"],
    ),
    "one layer, class MACE, the least": (
        {"hidden": "5x0e", "n_layers": 1, "first": "plain", "model_class": "MACE",
         "correlation": 1, "max_ell": 1},
        ["triclinic", "two atoms"],
    ),
    "class MACE, tensors without harmonics of their degree": (
        {"hidden": TENSORS, "model_class": "MACE", "max_ell": 1, "zbl": True},
        ["triclinic", "sixteen atoms"],
    ),
    "options that change sizes": (
        {"correlation": [3, 2], "radial_MLP": [16], "use_agnostic_product": True,
         "use_last_readout_only": True, "keep_last_layer_irreps": True, "use_reduced_cg": False,
         "max_ell": 2},
        ["triclinic", "dense"],
    ),
    "reduced couplings": (
        {"hidden": "8x0e + 8x1o", "max_ell": 2, "reduced": True},
        ["triclinic", "mixed boundaries"],
    ),
    "first of two heads": ({**HEADS, "head": 0}, ["triclinic"]),
    "second of two heads": ({**HEADS, "head": 1}, ["triclinic"]),
}  # fmt: skip

CASES = [(kind, cell) for kind, (_, cells) in KINDS.items() for cell in cells]


@pytest.fixture(scope="module")
def kinds(native_models):
    """Return a function: kind -> (native model, mace-torch's calculator)."""
    known = {}

    def make(kind):
        if kind not in known:
            options = KINDS[kind][0]
            native = native_models(**options)
            head = options["heads"][options["head"]] if "heads" in options else None
            known[kind] = native, calculator(native.model, head=head)
        return known[kind]

    return make


def evaluate(theirs, atoms):
    """Return what mace-torch says: an unspoilt oracle in double precision."""
    with default_dtype(torch.float64):  # else mace-torch rounds 14.3996 Z_i Z_j of its ZBL
        theirs.calculate(atoms)
    return theirs.results


def assert_close(found, expected, tolerance):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def assert_same(ours, expected, atoms):
    """Compare all that both know, in double precision."""
    assert ours.precision == "float64"
    ours.calculate(atoms, ["energy", "stress"] if atoms.pbc.all() else ["energy"])
    found = ours.results
    assert_close(found["energies"], expected["energies"], ENERGY_EV_PER_ATOM)
    assert_close(found["energy"], expected["energy"], ENERGY_EV_PER_ATOM * len(atoms))
    assert_close(found["forces"], expected["forces"], FORCE_EV_PER_ANGSTROM)
    if atoms.pbc.all():
        assert_close(found["stress"], expected["stress"], STRESS_EV_PER_ANGSTROM3)


def assert_nearly_same(ours, expected, atoms):
    """Compare in single precision."""
    assert ours.precision == "float32"
    ours.calculate(atoms, ["energy"])
    assert_close(ours.results["energies"], expected["energies"], SINGLE_ENERGY_EV_PER_ATOM)
    largest = np.abs(expected["forces"]).max()
    assert_close(ours.results["forces"], expected["forces"], SINGLE_FORCE * (1 + largest))


@pytest.mark.parametrize(("kind", "cell"), CASES, ids=[", ".join(case) for case in CASES])
def test_same_as_mace_torch(kind, cell, kinds):
    native, theirs = kinds(kind)
    atoms = CELLS[cell]()
    expected = evaluate(theirs, atoms)
    if cell == "triclinic":
        rms = np.sqrt(np.mean(expected["forces"] ** 2))
        assert 0.3 < rms < 3, "the tolerances are for forces of 1 eV/Å"
    assert_same(native.calculator("float64"), expected, atoms)
    assert_nearly_same(native.calculator("float32"), expected, atoms)


def test_file_in_single_precision(native_models, kinds):
    kind = "tensors, built in single precision"
    atoms = CELLS["triclinic"]()
    native = native_models(**KINDS[kind][0], file="float32")
    assert_nearly_same(native.calculator(), evaluate(kinds(kind)[1], atoms), atoms)


@pytest.mark.parametrize("kind", ["density, Agnesi, ZBL", "plain twice, 20 channels"])
def test_subset_of_the_elements(kind, kinds, tmp_path):
    native, theirs = kinds(kind)
    save_model(native.model, tmp_path / "all.model")
    source = open_source(tmp_path / "all.model", elements=["W", "Mo"])
    write_native_file(source, tmp_path / "two.safetensors")
    ours = NativeCalculator(tmp_path / "two.safetensors", threads=1)
    assert ours.elements == ["Mo", "W"]
    atoms = doped_cell(("Mo", "W"), n=2, seed=9)
    assert_same(ours, evaluate(theirs, atoms), atoms)


def test_default_of_mace_run_train(trained_by_mace, tmp_path):
    """Trained, saved and loaded as a user would."""
    source = open_source(trained_by_mace)
    write_native_file(source, tmp_path / "model.safetensors")
    theirs = calculator(load_model(trained_by_mace))
    assert (source.n_layers, source.r_max_angstrom) == (2, 5.0)
    atoms = doped_cell(("Ni", "Cu"), n=2, seed=10, host="Ni")
    expected = evaluate(theirs, atoms)
    for precision, compare in (("float64", assert_same), ("float32", assert_nearly_same)):
        ours = NativeCalculator(tmp_path / "model.safetensors", precision=precision, threads=1)
        compare(ours, expected, atoms)


def test_single_precision_of_a_foundation_model(native_models):
    """Radial networks of this size span more functions than fit into the engine's basis.

    Forces of the same file in double and single precision. With a basis that is as good near r = 0,
    where functions are steepest, as at the distances of a crystal, they differed by 4e-5.
    """
    native = native_models(
        elements=("Mo", "Re"), hidden="16x0e", r_max=6.0, num_bessel=10, radial_MLP=[64, 64, 64]
    )
    atoms = doped_cell(("Mo", "Re"), n=3, seed=8)
    double, single = (native.calculator(name).get_forces(atoms) for name in ("float64", "float32"))
    assert np.abs(double - single).max() < 3e-6 * (1 + np.abs(double).max())


def radial_slopes(model, distances):
    """Derivatives of all radial functions of the first layer by mace-torch, ``(n, functions)``."""
    r = torch.tensor(distances[:, None], requires_grad=True)
    edges = torch.arange(2 * len(r)).view(2, -1)
    attributes = torch.eye(2, dtype=r.dtype)[torch.arange(2 * len(r)) // len(r)]
    features = model.radial_embedding(r, attributes, edges, model.atomic_numbers)
    features = features[0] if isinstance(features, tuple) else features
    functions = model.interactions[0].conv_tp_weights(features)
    columns = functions.sum(dim=0)
    return np.stack(
        [torch.autograd.grad(c, r, retain_graph=True)[0][:, 0].numpy() for c in columns], axis=1
    )


def test_error_of_the_radial_functions_is_what_the_engine_says(native_models):
    """The log of LAMMPS tells it. Pairs far from each other, in a model whose energy is a radial
    function: forces are off by what its slopes are.

    Measured halfway between the knots, where it nearly vanishes, it was 100 times smaller.
    """
    native = native_models(
        elements=("Mo", "W"), hidden="1x0e", n_layers=1, correlation=1, max_ell=1
    )
    distances = np.linspace(1.0, R_MAX - 0.01, 8**3)
    positions = np.repeat(12.0 * np.indices((8, 8, 8)).reshape(3, -1).T, 2, axis=0)
    positions[1::2, 0] += distances
    atoms = Atoms("MoW" * len(distances), positions)
    expected = calculator(native.model).get_forces(atoms)[1::2, 0]
    found = native.calculator("float64").get_forces(atoms)[1::2, 0]
    slopes = radial_slopes(native.model, distances)
    factor = expected @ slopes[:, 0] / (slopes[:, 0] @ slopes[:, 0])
    np.testing.assert_allclose(factor * slopes[:, 0], expected, atol=1e-9 * abs(expected).max())
    # relative to the largest slope at that distance or beyond, from half of the cutoff on to that there
    scale = np.maximum.accumulate(np.abs(slopes).max(axis=1)[::-1])[::-1]
    half = np.searchsorted(distances, R_MAX / 2)
    scale[half:] = scale[half]
    measured = np.max(np.abs(found - expected) / (abs(factor) * scale))
    said = native.calculator("float64")._engine.radial_error
    # another function is off by more, and the worst place lies between the distances
    assert said / 2 < measured < 2 * said
    assert said <= 2e-9
