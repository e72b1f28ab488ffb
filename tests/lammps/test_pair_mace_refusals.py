"""What pair_style mace cannot do is refused in a sentence before the run starts."""

import numpy as np
import pytest
import torch
from support import lmp
from support.cells import two_atom_cell
from support.models import random_model, save_model

pytestmark = pytest.mark.usefixtures("torch_plugin")

TYPES = ("Mo", "W")


@pytest.fixture
def refused(tmp_path):
    """Return a function that runs lmp on a 2-atom cell and gives its error message."""

    def run(pair_lines, *, ranks=1, change=lambda text: text, **options):
        atoms = two_atom_cell()
        lmp.write_data(atoms, TYPES, tmp_path)
        text = change(lmp.script(atoms, TYPES, pair_lines, **options))
        status, output = lmp.run_script(text, tmp_path, ranks=ranks)
        assert status != 0
        assert "Loop time" not in output, "the run was started"
        errors = [line for line in output.splitlines() if line.startswith("ERROR")]
        assert errors, output[-2000:]
        return output[output.index("ERROR") :]

    return run


@pytest.fixture
def file(scripted):
    return scripted(elements=("V", "Mo", "Ta", "W"))[1]


def style(file, names="Mo W"):
    return f"pair_style mace\npair_coeff * * {file} {names}"


def test_units_other_than_metal(refused, file):
    message = refused(style(file), change=lambda text: text.replace("units metal", "units real"))
    assert "expected units metal, found units real" in message


def test_newton_off(refused, file):
    assert "expected newton on, found newton off" in refused(style(file), before="newton off")


def test_atoms_without_ids(file, tmp_path):
    text = f"""
units metal
atom_modify id no
lattice bcc 3.16
region box block 0 2 0 2 0 2
create_box 2 box
create_atoms 1 box
mass * 95.0
{style(file)}
run 0
"""
    status, output = lmp.run_script(text, tmp_path)
    assert status != 0
    assert "expected atoms with IDs, found atom_modify id no: remove it" in output


def test_several_ranks_without_domain_decomposition(refused, file):
    lines = f"pair_style mace no_domain_decomposition\npair_coeff * * {file} Mo W"
    message = refused(lines, ranks=2)
    assert "no_domain_decomposition works on one rank, found 2" in message


@pytest.mark.parametrize("mode", ["multi", "multi/old"])
def test_several_ranks_with_ghost_cutoffs_by_type(refused, file, mode):
    lines = f"neighbor 1.0 {mode}\ncomm_modify mode {mode}\n" + style(file)
    message = refused(lines, ranks=2, change=lambda text: text.replace("neighbor 1.0 bin", ""))
    assert "expected comm_modify mode single on several ranks" in message


def test_unknown_keyword(refused):
    message = refused("pair_style mace no_domain_decompositon")
    assert "expected nothing or no_domain_decomposition, found no_domain_decompositon" in message


@pytest.mark.parametrize(("names", "found"), [("Mo", 1), ("Mo W Ta", 3), ("", 0)])
def test_wrong_number_of_elements(refused, file, names, found):
    message = refused(style(file, names))
    assert (
        f"expected 2 element names after the model file, one per atom type, found {found}"
        in message
    )


def test_element_that_the_model_lacks(refused, file):
    message = refused(style(file, "Mo Re"))
    assert "knows V Mo Ta W, not Re (type 2)" in message


def test_no_element_at_all(refused, file):
    assert "expected a chemical symbol for type 2, found w" in refused(style(file, "Mo w"))


def test_null_without_hybrid(refused, file):
    assert "type 2 is NULL, which only pair_style hybrid can use" in refused(style(file, "Mo NULL"))


def test_pair_coeff_of_single_types(refused, file):
    message = refused(f"pair_style mace\npair_coeff 1 1 {file} Mo W")
    assert "Pair_coeff must start with * * for pair style mace" in message  # LAMMPS's own words


@pytest.mark.parametrize("ranks", [1, 2])
def test_missing_file(refused, ranks):
    message = refused(style("nowhere.pt"), ranks=ranks)
    assert "model file nowhere.pt cannot be opened: check the path" in message


def python_model(path):
    save_model(random_model(elements=TYPES, hidden="4x0e"), path)


def checkpoint(path):
    torch.save({"model": {"w": torch.zeros(2)}, "epoch": 3}, path)


def other_torchscript(path):
    from moalloy_md.potentials.quiet import quiet_mace

    with quiet_mace():
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))


def safetensors(path):
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (python_model, "it is a Python model or checkpoint (such as mace-torch's .model)"),
        (checkpoint, "it is a Python model or checkpoint"),
        (other_torchscript, "found a TorchScript file without r_max"),
        (safetensors, "it is a safetensors file: that is for pair_style mace/native"),
        (lambda path: path.write_bytes(b""), "it is empty"),
        (lambda path: path.write_text("hello"), "it is no TorchScript file"),
    ],
    ids=["model", "checkpoint", "torchscript", "safetensors", "empty", "text"],
)
def test_wrong_kind_of_file_whatever_its_name(refused, tmp_path, make, sentence):
    path = tmp_path / "model-lammps.pt"
    make(path)
    message = refused(style(path))
    assert sentence in message
    if path.read_bytes():
        assert "moalloy export" in message


def test_truncated_file(refused, file, tmp_path):
    path = tmp_path / "half.pt"
    path.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert "its end is missing: copy or export it again" in refused(style(path))


def test_overlapping_atoms(file, tmp_path):
    atoms = two_atom_cell()
    atoms.positions[1] = atoms.positions[0] + np.array([0.0, 0.0, 0.0])
    lmp.write_data(atoms, TYPES, tmp_path)
    status, output = lmp.run_script(lmp.script(atoms, TYPES, style(file)), tmp_path)
    assert status != 0
    assert "the energy is not a number at step 0: atoms overlap" in output


def test_centroid_stress_is_refused(refused, file):
    lines = style(file) + "\ncompute c all centroid/stress/atom NULL pair\nthermo_style custom step"
    message = refused(lines, run="dump d all custom 1 d.txt c_c[1]\nrun 0")
    assert "centroid" in message.lower()
