"""The native file means what its model means: evaluated by NumPy, compared with mace-torch."""

import json

import numpy as np
import pytest
import torch
from support import native_file
from support.cells import doped_cell
from support.models import calculator, random_model, reduce_contractions

from moalloy_md.errors import ModelError, UnsupportedModelError
from moalloy_md.potentials.export import ExportSource, evaluate_source, write_native_file
from moalloy_md.potentials.native_model import native_model, write_native
from moalloy_md.potentials.quiet import quiet_mace

with quiet_mace():
    from e3nn import o3
    from mace import modules
    from mace.modules.lora import inject_LoRAs
    from mace.modules.wrapper_ops import CuEquivarianceConfig
    from mace.tools.torch_tools import default_dtype

pytestmark = pytest.mark.usefixtures("one_torch_thread")

ELEMENTS = ("V", "Mo", "W")

#: Every kind that the engine evaluates, and each option at least once.
KINDS = {
    "scalars": {"hidden": "8x0e"},
    "vectors, default of mace_run_train": {"first": "plain", "zbl": True},
    "tensors, built in single precision": {
        "hidden": "8x0e + 8x1o + 8x2e",
        "built_in": "float32",
        "zbl": True,
    },
    "density, Agnesi, ZBL": {
        "first": "density",
        "later": "density-residual",
        "distance_transform": "Agnesi",
        "zbl": True,
    },
    "density twice, cutoff behind the network": {
        "hidden": "8x0e + 8x1o + 8x2e",
        "first": "density-residual",
        "later": "density",
        "correlation": 2,
        "max_ell": 2,
        "apply_cutoff": False,
    },
    "plain twice": {"first": "plain", "later": "plain", "correlation": 2},
    "cutoff behind the network": {"apply_cutoff": False, "max_ell": 2},
    "one layer": {"n_layers": 1, "zbl": True},
    "one layer, class MACE, the least": {
        "n_layers": 1,
        "first": "plain",
        "model_class": "MACE",
        "correlation": 1,
        "max_ell": 1,
        "radial_MLP": [],
    },
    "class MACE": {"model_class": "MACE", "first": "plain", "hidden": "8x0e", "zbl": True},
    "tensors without harmonics of their degree": {"hidden": "8x0e + 8x1o + 8x2e", "max_ell": 1},
    "options that change sizes": {
        "correlation": [3, 2],
        "radial_MLP": [16],
        "use_agnostic_product": True,
        "use_last_readout_only": True,
        "keep_last_layer_irreps": True,
        "use_reduced_cg": False,
    },
}


@pytest.fixture(scope="module")
def reference(shared):
    """The NumPy reference."""
    return native_file.load_reference(shared)


@pytest.fixture(scope="module")
def atoms():
    """Sixteen atoms, triclinic, near enough for the repulsion."""
    atoms = doped_cell(ELEMENTS, n=2, seed=3)
    atoms.set_cell(atoms.cell.array * 0.85, scale_atoms=True)
    return atoms


@pytest.fixture(scope="module")
def small():
    """One model in double precision, for what does not depend on the kind; do not change it."""
    return random_model(elements=ELEMENTS, hidden="4x0e + 4x1o", max_ell=2, correlation=2)


def write(model, path, *, head=0, dtype="float64"):
    """Write with the model's own reference energies."""
    energies = np.atleast_2d(model.atomic_energies_fn.atomic_energies.double().numpy())[head]
    write_native(model, path, head=head, dtype=dtype, reference_energies=energies)
    return path


def assert_same(found, oracle, atoms, *, rtol):
    """Energy per sum of atomic energies, forces and stress per largest component."""
    with default_dtype(torch.float64):  # else mace-torch rounds 14.3996 Z_i Z_j of its ZBL
        energy, forces = oracle.get_potential_energy(atoms), oracle.get_forces(atoms)
        stress = oracle.get_stress(atoms)
    assert abs(found["energy"] - energy) <= rtol * np.abs(found["node_energy"]).sum()
    for ours, theirs in ((found["forces"], forces), (found["stress"], stress)):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=rtol * np.abs(theirs).max())


@pytest.mark.parametrize("kind", KINDS)
def test_file_means_what_the_model_means(kind, reference, atoms, tmp_path):
    model = random_model(elements=ELEMENTS, scaled=False, **KINDS[kind])
    path = write(model, tmp_path / "model.safetensors")
    found = native_file.evaluate(reference, path, atoms)
    assert_same(found, calculator(model), atoms, rtol=1e-12)


@pytest.mark.parametrize("head", ["pt", "dft"])
def test_each_head_is_itself(head, reference, atoms, tmp_path):
    heads = ["pt", "dft"]
    model = random_model(elements=ELEMENTS, hidden="8x0e", heads=heads, max_ell=2, correlation=2)
    path = write(model, tmp_path / "model.safetensors", head=heads.index(head))
    found = native_file.evaluate(reference, path, atoms)
    assert_same(found, calculator(model, head=head), atoms, rtol=1e-12)
    assert native_file.read_file(path)[0]["head"] == head


def test_reduced_couplings_are_taken_as_they_are(reference, atoms, tmp_path):
    """Fewer parameters a monomial, as cuequivariance builds them (use_reduced_cg)."""
    model = random_model(elements=ELEMENTS, scaled=False)
    before = model.products[0].symmetric_contractions.contractions[1].weights_max.shape
    reduce_contractions(model)
    path = write(model, tmp_path / "model.safetensors")
    weights = native_file.read_file(path)[1]["layers.0.product.1.3.weights"]
    assert weights.shape == (3, 12, 8), "MACE_MATH.md: rank 12 of 51"
    assert before == (3, 51, 8)
    found = native_file.evaluate(reference, path, atoms)
    assert_same(found, calculator(model), atoms, rtol=1e-12)


def test_subset_of_elements_in_single_precision(reference, atoms, small, tmp_path):
    source = ExportSource(model=small, head="Default", elements=["Mo", "W"], dtype="float32")
    write_native_file(source, tmp_path / "model.safetensors")
    atoms = atoms[[atom.index for atom in atoms if atom.symbol != "V"]]
    header, tensors = native_file.read_file(tmp_path / "model.safetensors")
    assert header["atomic_numbers"] == [42, 74]
    exact = small.atomic_energies_fn.atomic_energies[0, 1:].numpy()
    assert np.array_equal(tensors["energies_0"], exact), "not rounded"
    found = native_file.evaluate(reference, tmp_path / "model.safetensors", atoms)
    expected = evaluate_source(source, atoms)
    assert found["energy"] == pytest.approx(expected.energy_ev, abs=1e-5)
    largest = np.abs(expected.forces).max()
    np.testing.assert_allclose(found["forces"], expected.forces, atol=1e-6 * largest)
    # the rounding of the weights themselves would show
    assert np.abs(found["forces"] - calculator(small).get_forces(atoms)).max() > 1e-9


def test_file_is_safetensors_of_the_stated_shapes(small, tmp_path):
    path = write(small, tmp_path / "model.safetensors", dtype="float32")
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    top = json.loads(content[8 : 8 + length])
    metadata = top.pop("__metadata__")
    assert metadata.keys() == {"format", "format_version", "model"}
    assert (metadata["format"], metadata["format_version"]) == ("moalloy-mace", "1")
    assert len(content) == 8 + length + max(entry["data_offsets"][1] for entry in top.values())
    header, tensors = native_file.read_file(path)
    assert header.keys() == {
        *("atomic_numbers", "dtype", "head", "channels", "l_max", "r_max", "cutoff_power"),
        *("bessel_prefactor", "cutoff_before_network", "activation_constant"),
        *("readout_constant", "scale", "shift", "agnesi", "zbl", "layers", "readouts"),
    }
    assert header["layers"][1] == {
        "residual": True,
        "density": False,
        "l_in": 1,
        "paths": [[0, 0, 0], [1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 2, 1], [0, 2, 2], [1, 1, 2]],
        "widths": [8, 64, 64, 64, 28],
        "degrees": [0],
        "correlation": 2,
    }
    assert header["scale"] == small.scale_shift.scale.float().item(), "all digits of the float"
    assert tensors["layers.1.path.4.coupling"].shape == (3, 5, 3)
    assert tensors["layers.0.skip.0"].shape == (3, 4, 4)
    assert tensors["readout.1.weights"].shape == (4, 16)
    exact = {name for name, array in tensors.items() if array.dtype == np.float64}
    assert {name.split(".")[-1] for name in exact} == {
        *("energies_0", "bessel", "coupling", "coefficients")
    }
    assert {array.dtype.name for array in tensors.values()} == {"float32", "float64", "int32"}
    stored = small.products[0].symmetric_contractions.contractions[1].weights_max
    written = tensors["layers.0.product.1.2.weights"]
    assert np.array_equal(written, stored.detach().float().numpy())


def test_monomials_are_sorted_and_unlike(small, tmp_path):
    path = write(small, tmp_path / "model.safetensors")
    for name, rows in native_file.read_file(path)[1].items():
        if name.endswith("indices"):
            assert (np.diff(rows, axis=1) >= 0).all()
            assert len(np.unique(rows, axis=0)) == len(rows)
            assert rows.min() >= 0 and rows.max() < 9


def test_same_model_gives_the_same_bytes(small, tmp_path):
    written = {write(small, tmp_path / "m").read_bytes() for _ in range(6)}
    assert len(written) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_model_is_not_changed(small, tmp_path):
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    write(small, tmp_path / "model.safetensors", dtype="float32")
    for name, tensor in small.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name])


REFUSED = {
    "3 layers": ({"n_layers": 3}, "expected 1 or 2 layers, found 3"),
    "attention": (
        {"first": "RealAgnosticAttResidualInteractionBlock"},
        "layer 0: .* found RealAgnosticAttResidualInteractionBlock",
    ),
    "nonlinear interaction": (
        {"first": "RealAgnosticResidualNonLinearInteractionBlock"},
        "layer 0: .* found RealAgnosticResidualNonLinearInteractionBlock",
    ),
    "Soft transform": ({"distance_transform": "Soft"}, "AgnesiTransform, found mace's SoftTra"),
    "gaussian basis": ({"radial_type": "gaussian"}, "BesselBasis, found mace's GaussianBasis"),
    "chebyshev basis": ({"radial_type": "chebyshev"}, "BesselBasis, found mace's Chebychev"),
    "gate tanh": (
        {"n_layers": 2, "gate": torch.tanh},
        "readout 1: expected silu as activation, found tanh",
    ),
    "gate none": (
        {"n_layers": 2, "gate": None},
        "readout 1: expected silu as activation, found none",
    ),
    "biased readout": (
        {"n_layers": 2, "readout_cls": modules.blocks.NonLinearBiasReadoutBlock},
        "NonLinearReadoutBlock, found mace's NonLinearBiasReadoutBlock",
    ),
    "SO(3)": ({"use_so3": True}, "harmonics: expected irreps 1x0e . 1x1o .*, found 1x0e.1x1e"),
    "max_ell 4": ({"max_ell": 4}, "expected max_ell 1, 2 or 3, found 4"),
    "correlation 4": ({"correlation": 4, "max_ell": 1}, "correlation 1, 2 or 3, found 4"),
    "unequal channels": (
        {"n_layers": 2, "hidden": "8x0e + 4x1o"},
        "irreps 8x0e .*, found 8x0e.4x1o",
    ),
    "odd scalars": ({"n_layers": 2, "hidden": "4x0e + 4x0o"}, "irreps 4x0e .*, found .*0o"),
    "pseudovectors": ({"n_layers": 2, "hidden": "4x0e + 4x1e"}, "irreps 4x0e .*, found 4x0e.4x1e"),
    "a degree left out": (
        {"n_layers": 2, "hidden": "4x0e + 4x2e"},
        "irreps 4x0e .*, found 4x0e.4x2e",
    ),
    "edge irreps": (
        {"n_layers": 2, "edge_irreps": o3.Irreps("2x0e + 2x1o")},
        "layers?.1, linear_up: expected the same irreps",
    ),
    "charge embedding": (
        {
            "embedding_specs": {
                "total_charge": {"type": "continuous", "in_dim": 1, "emb_dim": 8, "per": "graph"}
            }
        },
        "model: expected no other parts than .*, found joint_embedding",
    ),
    "no readout": ({"use_last_readout_only": True}, "readouts: expected 1 or 1"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_the_engine_cannot_evaluate_is_named(kind, tmp_path):
    options, sentence = REFUSED[kind]
    least = {"hidden": "4x0e + 4x1o", "max_ell": 1, "correlation": 1, "n_layers": 1}
    model = random_model(elements=ELEMENTS, scaled=False, **{**least, **options})
    with pytest.raises(UnsupportedModelError, match=sentence):
        write(model, tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_other_classes_are_refused(tmp_path):
    block = modules.blocks.RealAgnosticResidualInteractionBlock
    with quiet_mace():
        dipoles = modules.AtomicDipolesMACE(
            r_max=4.0,
            num_bessel=4,
            num_polynomial_cutoff=5,
            max_ell=1,
            interaction_cls=block,
            interaction_cls_first=block,
            num_interactions=2,
            num_elements=1,
            hidden_irreps=o3.Irreps("4x0e + 4x1o"),
            MLP_irreps=o3.Irreps("4x0e + 4x1o"),
            avg_num_neighbors=1.0,
            atomic_numbers=[42],
            correlation=1,
            gate=torch.nn.functional.silu,
            atomic_energies=None,
        )
    with pytest.raises(UnsupportedModelError, match="MACE or ScaleShiftMACE, found AtomicDipoles"):
        native_model(dipoles, head=0, dtype="float64", reference_energies=np.zeros(1))


def changed(small, change):
    """Return a copy of the small model after `change` was applied to it."""
    from support.models import copy_of

    model = copy_of(small)
    with torch.no_grad():
        change(model)
    return model


def silu_with_another_slope(x):
    """Look like silu by what it is, not by what it does."""
    return torch.nn.functional.silu(1.01 * x)


def tanh_in_a_radial_network(model):
    model.interactions[1].conv_tp_weights.layer1.act.f = silu_with_another_slope


def cuequivariance_layout(model):
    model.interactions[0].reshape.cueq_config = CuEquivarianceConfig(layout_str="ir_mul")


def lora(model):
    with quiet_mace():
        inject_LoRAs(model, rank=1)


def another_cutoff(model):
    model.r_max.mul_(0.9)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (tanh_in_a_radial_network, "network: expected silu as activation, found silu_with"),
        (cuequivariance_layout, "layer 0: expected e3nn's layout of weights"),
        (lora, "expected e3nn's Linear, found mace's LoRA"),
        (another_cutoff, "cutoff: expected 4.5 Å as in the envelope, found 4.05"),
    ],
)
def test_models_that_were_changed_after_they_were_made(small, change, sentence, tmp_path):
    model = changed(small, change)
    with pytest.raises(UnsupportedModelError, match=sentence):
        write(model, tmp_path / "model.safetensors")


@pytest.mark.parametrize("value", [float("nan"), 1e300])
def test_weights_that_are_no_numbers_are_named(small, value, tmp_path):
    def spoil(model):
        model.node_embedding.linear.weight[0] = value

    with pytest.raises(ModelError, match="embedding: expected finite float32 weights, found nan"):
        write(changed(small, spoil), tmp_path / "model.safetensors", dtype="float32")
    assert list(tmp_path.iterdir()) == []


def test_scale_that_is_no_number_is_named(small, tmp_path):
    def spoil(model):
        model.scale_shift.scale[0] = float("nan")

    with pytest.raises(ModelError, match="scale: expected finite float64 weights"):
        write(changed(small, spoil), tmp_path / "model.safetensors")
