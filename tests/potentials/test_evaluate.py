"""Evaluation against mace-torch's ASE calculator, and every number from the written files."""

import json

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.io import read, write
from support.cells import doped_cell, slab, two_atom_cell
from support.models import calculator, random_model

from moalloy_md.datasets.frames import read_dataset
from moalloy_md.errors import DataError, ModelError, RunDirectoryError
from moalloy_md.potentials.evaluate import evaluate
from moalloy_md.potentials.loading import load_model
from moalloy_md.potentials.metrics import error_metrics
from moalloy_md.potentials.native_model import write_native
from moalloy_md.potentials.predict import predict
from moalloy_md.potentials.quiet import known_warnings_ignored

SMALL = {"hidden": "4x0e+4x1o", "max_ell": 2, "correlation": 2, "r_max": 4.2}
ELEMENTS = ("V", "Mo", "Ta", "W")


def saved(model, path):
    with known_warnings_ignored():
        torch.save(model, path)
    return path


@pytest.fixture(scope="module")
def model():
    return random_model(elements=ELEMENTS, **SMALL)


@pytest.fixture(scope="module")
def model_file(model, tmp_path_factory):
    return saved(model, tmp_path_factory.mktemp("model") / "random.model")


def cells():
    """Cells of several sizes, shapes and compositions; elements in no order."""
    return [
        doped_cell(("Mo", "W", "V"), n=2, seed=1),
        two_atom_cell(),
        slab(("Mo", "Ta"), seed=4),
        doped_cell(("Mo",), n=1, seed=7),
        doped_cell(("Ta", "Mo", "W"), n=2, seed=2),
    ]


@pytest.fixture
def data_file(tmp_path, model):
    """Cells labelled by the model itself, off by noise: errors that are known and not zero."""
    rng = np.random.default_rng(8)
    oracle = calculator(model)
    images = []
    for k, atoms in enumerate(cells()):
        atoms.info["REF_energy"] = oracle.get_potential_energy(atoms) + rng.normal(0, 0.1)
        atoms.arrays["REF_forces"] = oracle.get_forces(atoms) + rng.normal(0, 0.2, (len(atoms), 3))
        atoms.info |= {"group": f"g{k // 2}", "name": f"cell{k}", "temperature_k": 300.0 + k}
        images.append(atoms)
    path = tmp_path / "data.extxyz"
    write(path, images)
    return path


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_predictions_are_those_of_the_ase_calculator(model, batch_size):
    oracle = calculator(model)
    found = predict(model, cells(), batch_size=batch_size)
    for atoms, energy, forces in zip(cells(), found.energies_ev, found.forces, strict=True):
        # float64: the sum over atoms in another order, nothing else
        assert energy == pytest.approx(oracle.get_potential_energy(atoms), abs=1e-9)
        np.testing.assert_allclose(forces, oracle.get_forces(atoms), atol=1e-9)


def test_float32_stays_float32_and_close(model):
    single = random_model(elements=ELEMENTS, dtype="float32", **SMALL)
    exact, found = predict(model, cells()), predict(single, cells())
    # A few hundred eV in 24 bits of mantissa; forces of 1 eV/Å.
    np.testing.assert_allclose(found.energies_ev, exact.energies_ev, atol=2e-3)
    np.testing.assert_allclose(
        np.concatenate(found.forces), np.concatenate(exact.forces), atol=1e-3
    )
    assert not np.array_equal(found.energies_ev, exact.energies_ev)
    assert torch.get_default_dtype() == torch.float32  # left as it was


def test_labels_and_weights_in_the_file_change_no_prediction(model):
    atoms = cells()[0]
    bare = predict(model, [atoms]).energies_ev
    atoms.info |= {"head": "other", "config_type": "IsolatedAtom", "charge": 3.0, "energy": 1.0}
    assert predict(model, [atoms]).energies_ev == bare


def test_head_is_chosen_and_must_be_where_there_are_several():
    model = random_model(elements=("Mo", "W"), heads=["pbe", "r2scan"], **SMALL)
    atoms = two_atom_cell()
    for head in ("pbe", "r2scan"):
        expected = calculator(model, head=head).get_potential_energy(atoms)
        assert predict(model, [atoms], head=head).energies_ev[0] == pytest.approx(expected)
    with pytest.raises(
        ModelError, match="expected head to be one of pbe, r2scan, found none given"
    ):
        predict(model, [atoms])
    with pytest.raises(ModelError, match="found 'scan'"):
        predict(model, [atoms], head="scan")


def test_e0_part_is_the_sum_over_the_composition(model):
    # Atoms beyond each other's reach feel the E0s and the shift of every atom only.
    far = Atoms("MoWV", positions=[[0, 0, 0], [9, 0, 0], [0, 9, 0]])
    e0s = model.atomic_energies_fn.atomic_energies.numpy().ravel()
    expected = e0s[ELEMENTS.index("Mo")] + e0s[ELEMENTS.index("W")] + e0s[ELEMENTS.index("V")]
    assert predict(model, [far]).e0_energies_ev[0] == pytest.approx(expected)


def test_unknown_element_is_named(model_file, data_file, tmp_path):
    images = read(data_file, ":")
    images[3].symbols[1] = "Hf"
    write(data_file, images)
    with pytest.raises(ModelError, match=r"frame 3 .*\(V, Mo, Ta, W\), found Hf") as caught:
        evaluate(model=model_file, data=data_file, out=tmp_path / "out")
    assert str(data_file) in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_two_atoms_on_one_place_are_refused(model):
    atoms = two_atom_cell()
    atoms.positions[1] = atoms.positions[0]
    with pytest.raises(ModelError, match="Two atoms on one place"):
        predict(model, [cells()[0], atoms], source="data")


def test_every_metric_follows_from_the_predictions_file(model_file, data_file, tmp_path):
    out = tmp_path / "out"
    evaluation = evaluate(model=model_file, data=data_file, out=out, batch_size=2)
    written = json.loads((out / "metrics.json").read_text())
    images, original = read(out / "predictions.extxyz", ":"), read_dataset(data_file)
    energy = [1000 * (a.info["pred_energy"] - a.info["REF_energy"]) / len(a) for a in images]
    force = 1000 * np.concatenate(
        [a.arrays["pred_forces"] - a.arrays["REF_forces"] for a in images]
    )
    reference = 1000 * np.concatenate([a.arrays["REF_forces"] for a in images])
    expected = {
        "energy_mae_mev_per_atom": np.mean(np.abs(energy)),
        "energy_rmse_mev_per_atom": np.sqrt(np.mean(np.square(energy))),
        "energy_mean_error_mev_per_atom": np.mean(energy),
        "force_mae_mev_per_angstrom": np.mean(np.abs(force)),
        "force_rmse_mev_per_angstrom": np.sqrt(np.mean(force**2)),
        "force_vector_mae_mev_per_angstrom": np.mean(np.linalg.norm(force, axis=1)),
        "force_vector_rmse_mev_per_angstrom": np.sqrt(np.mean(np.sum(force**2, axis=1))),
        "mean_abs_force_mev_per_angstrom": np.mean(np.abs(reference)),
        "rms_force_mev_per_angstrom": np.sqrt(np.mean(reference**2)),
    }
    for name, value in expected.items():
        # The file holds forces with 8 decimals: 1e-5 meV/Å.
        assert written[name] == pytest.approx(value, abs=2e-5)
        assert getattr(evaluation.metrics, name) == written[name]
    assert (written["n_cells"], written["n_groups"]) == (5, 3)
    for image, frame in zip(images, original, strict=True):
        assert image.info["name"] == frame.name
        assert image.info["temperature_k"] == frame.atoms.info["temperature_k"]
        assert image.info["group"] == frame.group
        assert list(image.symbols) == list(frame.atoms.symbols)
        np.testing.assert_allclose(image.cell, frame.atoms.cell)


def test_per_dopant_errors_are_those_of_the_cells_with_it(model_file, data_file, tmp_path):
    evaluation = evaluate(model=model_file, data=data_file, out=tmp_path / "out")
    frames = read_dataset(tmp_path / "out" / "predictions.extxyz")
    assert list(evaluation.by_dopant) == ["V", "Mo", "Ta", "W"]  # Mo: the undoped cell
    for name, found in evaluation.by_dopant.items():
        chosen = [f for f in frames if (name in f.dopants if name != "Mo" else not f.dopants)]
        expected = error_metrics(
            reference_energies_ev=np.array([f.energy_ev for f in chosen]),
            predicted_energies_ev=np.array([f.atoms.info["pred_energy"] for f in chosen]),
            reference_forces=np.concatenate([f.forces for f in chosen]),
            predicted_forces=np.concatenate([f.atoms.arrays["pred_forces"] for f in chosen]),
            n_atoms=np.array([f.n_atoms for f in chosen]),
            groups=[f.group for f in chosen],
        )
        assert found.n_cells == len(chosen)
        assert found.energy_rmse_mev_per_atom == pytest.approx(expected.energy_rmse_mev_per_atom)
        assert found.force_mae_mev_per_angstrom == pytest.approx(
            expected.force_mae_mev_per_angstrom, abs=2e-5
        )


def test_frames_without_a_group_are_groups_of_their_own(model_file, data_file, tmp_path):
    images = read(data_file, ":")
    for atoms in images:
        del atoms.info["group"]
    write(data_file, images)
    evaluation = evaluate(model=model_file, data=data_file, out=tmp_path / "out")
    assert evaluation.metrics.n_groups == 5
    again = read_dataset(tmp_path / "out" / "predictions.extxyz")
    assert len({frame.group for frame in again}) == 5


def test_picture_is_a_png_of_decent_size(model_file, data_file, tmp_path):
    evaluate(model=model_file, data=data_file, out=tmp_path / "out")
    head = (tmp_path / "out" / "parity.png").read_bytes()[:24]
    assert head.startswith(b"\x89PNG")
    width, height = (int.from_bytes(head[k : k + 4], "big") for k in (16, 20))
    assert width >= 1000
    assert height >= 500


def test_second_call_reads_what_the_first_wrote(model_file, data_file, tmp_path):
    out = tmp_path / "out"
    first = evaluate(model=model_file, data=data_file, out=out)
    times = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    assert evaluate(model=model_file, data=data_file, out=out) == first
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == times


def test_folder_of_another_model_is_refused(model_file, data_file, tmp_path):
    out = tmp_path / "out"
    evaluate(model=model_file, data=data_file, out=out)
    other = saved(random_model(elements=ELEMENTS, seed=1, **SMALL), tmp_path / "other.model")
    with pytest.raises(RunDirectoryError, match="was started with model"):
        evaluate(model=other, data=data_file, out=out)


def test_changed_metrics_are_not_passed_on(model_file, data_file, tmp_path):
    out = tmp_path / "out"
    evaluate(model=model_file, data=data_file, out=out)
    (out / "metrics.json").write_text("{}")
    with pytest.raises(RunDirectoryError, match="found another content"):
        evaluate(model=model_file, data=data_file, out=out)


def test_unlabelled_data_is_refused_before_anything_is_written(model_file, tmp_path):
    path = tmp_path / "bare.extxyz"
    write(path, cells())
    with pytest.raises(DataError, match="REF_energy"):
        evaluate(model=model_file, data=path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_loaded_model_predicts_as_the_one_that_was_saved(model, model_file):
    found = predict(load_model(model_file), cells())
    np.testing.assert_array_equal(found.energies_ev, predict(model, cells()).energies_ev)


@pytest.fixture
def native_file(model, tmp_path):
    file = tmp_path / "model.safetensors"
    energies = model.atomic_energies_fn.atomic_energies[0].numpy()
    write_native(model, file, head=0, dtype="float64", reference_energies=energies)
    return file


def test_the_native_engine_finds_the_same_errors(model_file, native_file, data_file, tmp_path):
    watched = []
    one = evaluate(model=model_file, data=data_file, out=tmp_path / "mace")
    two = evaluate(
        model=native_file, data=data_file, out=tmp_path / "native", engine="native",
        watch=watched.append,
    )  # fmt: skip
    assert watched == [1, 2, 3, 4, 5]
    for name, value in one.metrics.as_dict().items():
        if isinstance(value, float):
            # meV: engine and mace-torch differ by 1e-6 eV/Å at most
            assert getattr(two.metrics, name) == pytest.approx(value, abs=1e-3)
    pictures = [read(tmp_path / who / "predictions.extxyz", ":") for who in ("mace", "native")]
    for a, b in zip(*pictures, strict=True):
        assert b.info["pred_energy"] == pytest.approx(a.info["pred_energy"], abs=1e-6)
        np.testing.assert_allclose(b.arrays["pred_forces"], a.arrays["pred_forces"], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "cuda"}, "engine native: expected device cpu or auto, found cuda"),
        ({"head": "pbe"}, r"expected head pbe, found Default.*--head"),
    ],
)
def test_what_the_native_engine_does_not_have(native_file, data_file, tmp_path, options, message):
    with pytest.raises(ModelError, match=message):
        evaluate(
            model=native_file, data=data_file, out=tmp_path / "out", engine="native", **options
        )
    assert not (tmp_path / "out").exists()


def test_the_native_engine_refuses_unknown_elements_and_other_files(
    native_file, model_file, data_file, tmp_path
):
    with pytest.raises(ModelError, match=r"expected a model\.safetensors"):
        evaluate(model=model_file, data=data_file, out=tmp_path / "out", engine="native")
    images = read(data_file, ":")
    images[1].symbols[1] = "Cu"
    write(tmp_path / "copper.extxyz", images)
    with pytest.raises(ModelError, match=r"frame 1 .*found Cu"):
        evaluate(
            model=native_file, data=tmp_path / "copper.extxyz", out=tmp_path / "out",
            engine="native",
        )  # fmt: skip
    assert not (tmp_path / "out").exists()
