"""NativeCalculator as a user meets it: elements, bundles, and errors that say what to do."""

import json

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from support.cells import doped_cell, slab, two_atom_cell

from moalloy_md import _engine
from moalloy_md.errors import ModelError
from moalloy_md.potentials.native import NativeCalculator
from moalloy_md.rundir import sha256

pytestmark = pytest.mark.usefixtures("one_torch_thread")

ELEMENTS = ("V", "Mo", "Ta", "W")


@pytest.fixture(scope="module")
def native(native_models):
    return native_models(first="plain", hidden="5x0e + 5x1o", zbl=True)


@pytest.fixture
def calculator(native):
    return NativeCalculator(native.path, threads=1)


def test_elements_may_come_one_after_the_other(native, calculator):
    """An engine is made for the elements that it met: each cell gets what it gets from a new one."""
    for elements in (("Mo",), ("Mo", "W"), ("Ta",), ("W", "V", "Mo"), ("Mo",), ELEMENTS):
        atoms = doped_cell(elements, n=2, seed=1)
        fresh = NativeCalculator(native.path, threads=1)
        expected = fresh.get_forces(atoms)
        size = np.abs(expected).max()
        np.testing.assert_allclose(calculator.get_forces(atoms), expected, atol=1e-12 * size)
        assert calculator.get_potential_energy(atoms) == pytest.approx(
            fresh.get_potential_energy(atoms), rel=1e-12
        )


def test_an_atom_that_changes_its_element(native, calculator):
    atoms = doped_cell(ELEMENTS, n=2, seed=2)
    atoms.calc = calculator
    before = atoms.get_potential_energy()
    atoms.symbols[3] = "W" if atoms.symbols[3] != "W" else "V"
    after = atoms.get_potential_energy()
    assert abs(after - before) > 0.01
    fresh = NativeCalculator(native.path, threads=1)
    assert after == pytest.approx(fresh.get_potential_energy(atoms.copy()), rel=1e-12)


def test_what_it_knows_of_the_model(native):
    calculator = NativeCalculator(native.path)
    assert calculator.elements == ["V", "Mo", "Ta", "W"]
    assert calculator.precision == "float64"
    assert NativeCalculator(native.path, precision="float32").precision == "float32"


def test_properties_are_those_of_ase(native):
    """All of them by ASE's own names, and the results of one call."""
    atoms = doped_cell(ELEMENTS, n=2, seed=3)
    atoms.calc = NativeCalculator(str(native.path), threads=1)
    assert atoms.get_potential_energies().sum() == pytest.approx(atoms.get_potential_energy())
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    assert atoms.get_stress(voigt=False).shape == (3, 3)
    assert atoms.get_stresses().shape == (16, 6)
    assert atoms.get_forces().dtype == np.float64


# ---- bundles


def bundle(folder, *, file=None, reason=None, **manifest):
    """Write the least that a bundle is."""
    folder.mkdir()
    manifest = {"kind": "bundle", "format": 1, "elements": list(ELEMENTS), "files": {}, **manifest}
    if file is not None:
        (folder / "model.safetensors").write_bytes(file.read_bytes())
        manifest["files"]["model.safetensors"] = sha256(file)
    manifest["native"] = {"file": file and "model.safetensors", "reason": reason}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_bundle_is_taken_as_well_as_its_file(native, calculator, tmp_path):
    atoms = two_atom_cell()
    of_bundle = NativeCalculator(bundle(tmp_path / "b", file=native.path), threads=1)
    assert np.array_equal(of_bundle.get_forces(atoms), calculator.get_forces(atoms))


def test_bundle_without_a_file_for_the_engine(tmp_path):
    path = bundle(tmp_path / "b", reason="expected silu as activation, found tanh")
    with pytest.raises(ModelError, match=r"found none: expected silu .* found tanh\. Export the"):
        NativeCalculator(path)


def test_bundle_whose_file_was_changed(native, tmp_path):
    path = bundle(tmp_path / "b", file=native.path)
    with (path / "model.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ModelError, match=r"model\.safetensors: expected SHA-256"):
        NativeCalculator(path)


def test_folder_that_is_no_bundle(tmp_path):
    with pytest.raises(ModelError, match="expected a bundle, found no manifest"):
        NativeCalculator(tmp_path)


# ---- errors


def test_missing_file(tmp_path):
    with pytest.raises(ModelError, match=r"none\.safetensors: expected .* found .*no"):
        NativeCalculator(tmp_path / "none.safetensors")


def test_file_of_another_kind(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(ModelError, match=r"model\.pt: expected .* found"):
        NativeCalculator(tmp_path / "model.pt")


@pytest.mark.parametrize("precision", ["double", "float16", "FLOAT64", ""])
def test_unknown_precision(native, precision):
    with pytest.raises(ModelError, match="precision: expected float32 or float64, found"):
        NativeCalculator(native.path, precision=precision)


def test_unknown_instruction_set(native, monkeypatch):
    monkeypatch.setenv("MOALLOY_ISA", "sse2")
    with pytest.raises(ModelError, match="MOALLOY_ISA: expected"):
        NativeCalculator(native.path).get_potential_energy(two_atom_cell())


def test_elements_that_the_model_lacks(calculator):
    atoms = doped_cell(("Mo", "Hf", "Re"), n=2)
    with pytest.raises(ModelError, match="elements V, Mo, Ta, W, found Hf, Re"):
        calculator.get_potential_energy(atoms)
    calculator.get_potential_energy(two_atom_cell())  # it still works


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_position_that_is_no_number(calculator, value):
    atoms = doped_cell(ELEMENTS, n=2)
    atoms.positions[5, 1] = value
    with pytest.raises(ModelError, match=f"atom 5 .* expected a finite position, found .*{value}"):
        calculator.get_forces(atoms)


@pytest.mark.parametrize("kind", ["vectors", "density", "scalars"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_two_atoms_on_one_place(native, native_models, kind, precision):
    options = {
        "density": {"first": "density", "later": "density-residual",
                    "distance_transform": "Agnesi", "zbl": True},
        "scalars": {"hidden": "8x0e", "n_layers": 1, "zbl": True},
    }  # fmt: skip
    model = native_models(**options[kind]) if kind in options else native
    atoms = doped_cell(ELEMENTS, n=2)
    atoms.positions[7] = atoms.positions[12]
    for change in (np.zeros(3), atoms.cell.array[1]):  # in the same or in another cell
        moved = atoms.copy()
        moved.positions[7] += change
        calculator = NativeCalculator(model.path, precision=precision, threads=1)
        with pytest.raises(ModelError, match=r"atoms, (7 and 12|12 and 7) .* on one place"):
            calculator.get_forces(moved)
        assert np.isfinite(calculator.get_forces(two_atom_cell())).all(), "it still works"


def test_stress_needs_a_volume(calculator):
    atoms = Atoms("MoW", positions=[[0, 0, 0], [2.3, 0, 0]])
    atoms.calc = calculator
    assert np.isfinite(atoms.get_forces()).all()
    with pytest.raises(PropertyNotImplementedError, match="three vectors, found 0"):
        atoms.get_stress()
    atoms.cell = [3, 4, 0]
    with pytest.raises(PropertyNotImplementedError, match="three vectors, found 2"):
        atoms.get_stresses()
    layer = slab(ELEMENTS)
    layer.calc = calculator
    assert np.isfinite(layer.get_stress()).all(), "a slab's cell has a volume, as in VASP"


def test_no_atoms(calculator):
    with pytest.raises(ModelError, match="expected at least one atom"):
        calculator.get_potential_energy(Atoms())


# ---- the binding alone: no array can make it read beyond its end


def arrays(**changed):
    """Two atoms that are neighbours of each other."""
    given = {
        "types": np.array([0, 1], np.int32),
        "senders": np.array([1, 0], np.int32),
        "receivers": np.array([0, 1], np.int32),
        "vectors": np.array([[2.5, 0, 0.1], [-2.5, 0, -0.1]]),
    }
    return {**given, **changed}


WRONG = {
    "type without an element": {"types": np.array([0, 2], np.int32)},
    "negative type": {"types": np.array([0, -1], np.int32)},
    "sender that is no atom": {"senders": np.array([2, 0], np.int32)},
    "negative sender": {"senders": np.array([1, -1], np.int32)},
    "receiver that is no atom": {"receivers": np.array([0, 2], np.int32)},
    "negative receiver": {"receivers": np.array([-1, 1], np.int32)},
    "receivers in no order": {"receivers": np.array([1, 0], np.int32)},
    "too few senders": {"senders": np.array([1], np.int32)},
    "too many receivers": {"receivers": np.array([0, 1, 1], np.int32)},
    "too few vectors": {"vectors": np.zeros((1, 3))},
}


@pytest.fixture(scope="module")
def engine(native):
    return _engine.Engine(str(native.path), [42, 74], "float64")


@pytest.mark.parametrize("kind", WRONG)
def test_binding_refuses_wrong_numbers(kind, engine):
    with pytest.raises(ValueError, match="expected"):
        engine.evaluate(**arrays(**WRONG[kind]))


@pytest.mark.parametrize(
    "changed",
    [
        {"types": np.array([[0, 1]], np.int32)},
        {"vectors": np.zeros((2, 2))},
        {"vectors": np.zeros(6)},
        {"senders": None},
    ],
    ids=["two axes", "two components", "one axis", "None"],
)
def test_binding_refuses_other_arrays(changed, engine):
    with pytest.raises(TypeError):
        engine.evaluate(**arrays(**changed))


def test_binding_converts_numbers_and_memory(engine):
    expected = engine.evaluate(**arrays())
    given = arrays()
    given = {name: array.astype(np.int64) for name, array in given.items() if name != "vectors"}
    given["vectors"] = np.asfortranarray(arrays()["vectors"])
    assert engine.evaluate(**given)["energy"] == expected["energy"]


def test_binding_takes_atoms_without_edges(engine, native):
    """One atom, no atom; and vectors that are no numbers, or far too long, are no neighbours."""
    none = np.zeros(0, np.int32)
    empty = {"senders": none, "receivers": none, "vectors": np.zeros((0, 3))}
    alone = engine.evaluate(**arrays(**empty))
    assert np.array_equal(alone["forces"], np.zeros((2, 3)))
    assert engine.evaluate(**arrays(types=none, **empty))["energy"] == 0
    for value in (np.nan, np.inf, 1e200):
        found = engine.evaluate(**arrays(vectors=np.full((2, 3), value)))
        assert found["energy"] == alone["energy"]


@pytest.mark.parametrize("threads", [-1, 0, 1, 1000])
def test_binding_takes_any_number_of_threads(engine, threads):
    expected = engine.evaluate(**arrays())["energy"]
    assert engine.evaluate(**arrays(), threads=threads)["energy"] == expected


def test_binding_refuses_elements_that_the_model_lacks(native):
    with pytest.raises(RuntimeError, match="element of atomic number 79, found one without it"):
        _engine.Engine(str(native.path), [42, 79], "float64")
    with pytest.raises(ValueError, match="at least one"):
        _engine.Engine(str(native.path), [], "float64")
    with pytest.raises(ValueError, match="expected float32 or float64"):
        _engine.Engine(str(native.path), [42], "half")
