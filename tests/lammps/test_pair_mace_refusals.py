"""What the pair styles cannot do is refused in a sentence before the run starts."""

from typing import Dict  # noqa: UP035  TorchScript reads it

import pytest
import torch
from support import lmp
from support.cells import two_atom_cell
from support.models import save_ml_iap, save_model
from support.styles import write_potential

pytestmark = pytest.mark.usefixtures("one_torch_thread")

TYPES = ("Mo", "W")

only_mace = pytest.mark.parametrize("style", ["mace"], indirect=True)
only_native = pytest.mark.parametrize("style", ["mace/native"], indirect=True)


@pytest.fixture
def refused(style, tmp_path):
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
def potential(random_potential):
    return random_potential(elements=("V", "Mo", "Ta", "W"))


# --- what LAMMPS is set to


def test_units_other_than_metal(refused, potential):
    def real(text):
        return text.replace("units metal", "units real")

    message = refused(potential.lines(TYPES), change=real)
    assert "expected units metal, found units real" in message


def test_newton_off(refused, potential):
    message = refused(potential.lines(TYPES), before="newton off")
    assert "expected newton on, found newton off" in message


def test_atoms_without_ids(potential, tmp_path):
    text = f"""
units metal
atom_modify id no
lattice bcc 3.16
region box block 0 2 0 2 0 2
create_box 2 box
create_atoms 1 box
mass * 95.0
{potential.lines(TYPES)}
run 0
"""
    status, output = lmp.run_script(text, tmp_path)
    assert status != 0
    assert "expected atoms with IDs, found atom_modify id no: remove it" in output


FROZEN = "group frozen id 1\nneigh_modify exclude group frozen all"


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("exclude", [FROZEN, "neigh_modify exclude type 1 2"])
def test_neighbours_left_out(refused, potential, exclude, ranks):
    message = refused(potential.lines(TYPES) + exclude, ranks=ranks)
    assert "expected all neighbours, found neigh_modify exclude, which would change" in message
    assert "'fix setforce 0 0 0' or leave them out of the group that moves" in message


def test_neighbours_of_others_left_out(potential, tmp_path):
    """Types of another style, and a group that is empty, harm nobody."""
    hybrid = (
        f"pair_style hybrid {potential.style} zero 4.5\n"
        f"pair_coeff * * {potential.style} {potential.file} Mo NULL\npair_coeff 1*2 2 zero\n"
    )
    harmless = "neigh_modify exclude type 1 2\nneigh_modify exclude type 2 2\n"
    empty = "group nobody empty\nneigh_modify exclude group nobody all\n"
    energies = [
        lmp.compute(two_atom_cell(), tmp_path / str(k), symbols=TYPES, pair_lines=lines).energy
        for k, lines in enumerate([hybrid, hybrid + harmless + empty])
    ]
    assert energies[0] == energies[1] != 0


@only_mace
def test_several_ranks_without_domain_decomposition(refused, potential):
    message = refused(potential.lines(TYPES, "no_domain_decomposition"), ranks=2)
    assert "no_domain_decomposition works on one rank, found 2" in message


@only_mace
@pytest.mark.parametrize("mode", ["multi", "multi/old"])
def test_several_ranks_with_ghost_cutoffs_by_type(refused, potential, mode):
    lines = f"neighbor 1.0 {mode}\ncomm_modify mode {mode}\n" + potential.lines(TYPES)
    message = refused(lines, ranks=2, change=lambda text: text.replace("neighbor 1.0 bin", ""))
    assert "expected comm_modify mode single on several ranks" in message


# --- pair_style

KEYWORDS = "expected precision float|double, out_freq N or out_file FILE, found "
OUT_FREQ = "expected out_freq and a number of steps, found "


@only_mace
def test_unknown_keyword(refused):
    message = refused("pair_style mace no_domain_decompositon")
    assert "expected nothing or no_domain_decomposition, found no_domain_decompositon" in message


@only_native
@pytest.mark.parametrize(
    ("keywords", "sentence"),
    [
        ("no_domain_decomposition", KEYWORDS + "no_domain_decomposition"),
        ("float", KEYWORDS + "float"),
        ("precision", "expected precision float or double, found nothing"),
        ("precision float32", "expected precision float or double, found float32"),
        ("out_freq", OUT_FREQ + "nothing"),
        ("out_freq 0", OUT_FREQ + "0"),
        ("out_freq -5", OUT_FREQ + "-5"),
        ("out_freq 2.5", OUT_FREQ + "2.5"),
        ("out_freq 99999999999999999999", "99999999999999999999"),  # LAMMPS's own words
        ("out_freq 5 out_file", "expected out_file and a name, found nothing"),
        ("out_file devi.out", "expected out_freq N beside out_file devi.out, found none"),
    ],
)
def test_keywords(refused, keywords, sentence):
    assert sentence in refused(f"pair_style mace/native {keywords}")


@only_native
def test_deviation_of_one_model(refused, potential, tmp_path):
    message = refused(potential.lines(TYPES, "out_freq 5"))
    assert "expected several model files for out_freq, which compares their forces" in message
    assert not (tmp_path / "model_devi.out").exists()


@only_native
@pytest.mark.parametrize("ranks", [1, 2])
def test_deviation_of_atoms_of_one_model(refused, potential, ranks):
    lines = potential.lines(TYPES) + "fix d all pair 1 mace/native deviation 1"
    message = refused(lines, ranks=ranks)
    assert "expected several model files for the deviation that fix pair asks for" in message


@only_native
@pytest.mark.parametrize("ranks", [1, 2])
def test_deviation_to_where_nobody_can_write(refused, potential, ranks):
    lines = potential.lines(TYPES, "out_freq 5 out_file no/such/folder/x", others=[potential.file])
    message = refused(lines, ranks=ranks)
    assert "expected an out_file that can be written, found no/such/folder/x: No such" in message


# --- pair_coeff


@pytest.mark.parametrize(
    ("names", "found"), [(["Mo"], 1), (["Mo", "W", "Ta"], 3), ([], 0)], ids=["1", "3", "0"]
)
def test_wrong_number_of_elements(refused, potential, names, found):
    sentence = "expected 2 element names after the model file, one per atom type, found "
    assert f"{sentence}{found}: " in refused(potential.lines(names))


@only_native
def test_wrong_number_of_elements_for_a_committee(refused, potential):
    message = refused(potential.lines(["Mo"], others=[potential.file]))
    assert "expected 2 element names after the model file, one per atom type, found 1: " in message


def test_element_that_the_model_lacks(refused, potential):
    message = refused(potential.lines(["Mo", "Re"]))
    assert f"{potential.file} knows V Mo Ta W, not Re (type 2)" in message


def test_no_element_at_all(refused, potential):
    message = refused(potential.lines(["Mo", "w"]))
    assert "expected a chemical symbol for type 2, found w" in message


def test_null_without_hybrid(refused, potential):
    message = refused(potential.lines(["Mo", "NULL"]))
    assert "type 2 is NULL, which only pair_style hybrid can use" in message


def test_pair_coeff_of_single_types(refused, style, potential):
    message = refused(f"pair_style {style}\npair_coeff 1 1 {potential.file} Mo W")
    # LAMMPS's own words
    assert f"Pair_coeff must start with * * for pair style {style}" in message


def test_coefficients_without_a_file(refused, style):
    message = refused(f"pair_style {style}\npair_coeff * *")
    assert f"pair_style {style}: expected 'pair_coeff * * model" in message
    assert "and one element per atom type: mend the pair_coeff line" in message


def test_hybrid_without_any_element(refused, potential):
    message = refused(
        f"pair_style hybrid {potential.style} zero 4.5\n"
        f"pair_coeff * * {potential.style} {potential.file} NULL NULL\npair_coeff * * zero"
    )
    assert "expected an element for one atom type at least, found NULL for all" in message


@pytest.mark.parametrize("ranks", [1, 2])
def test_missing_file(refused, style, ranks):
    message = refused(f"pair_style {style}\npair_coeff * * nowhere Mo W", ranks=ranks)
    if style == "mace":
        assert "model file nowhere cannot be opened: check the path" in message
    else:
        assert "nowhere: expected a model.safetensors of moalloy_md, found no such file" in message


# --- the file's content


def python_model(path, model):
    save_model(model, path)


def checkpoint(path, _model):
    torch.save({"model": {"w": torch.zeros(2)}, "epoch": 3}, path)


ml_iap = save_ml_iap


def torchscript(path, model):
    write_potential("mace", model, path)


def other_torchscript(path, _model):
    from moalloy_md.potentials.quiet import quiet_mace

    with quiet_mace():
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))


def native(path, model):
    write_potential("mace/native", model, path)


def other_safetensors(path, _model):
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))


def empty(path, _model):
    path.write_bytes(b"")


def text(path, _model):
    path.write_text("hello")


ZIP = "found a zip archive: a .model of mace-torch, or TorchScript such as model-lammps.pt"
WRONG_FILES = {
    "mace": {
        python_model: "it is a Python model or checkpoint (such as mace-torch's .model)",
        checkpoint: "it is a Python model or checkpoint",
        ml_iap: "it was made for ML-IAP",
        other_torchscript: "found a TorchScript file without r_max",
        native: "it is a safetensors file: that is for pair_style mace/native",
        other_safetensors: "it is a safetensors file: that is for pair_style mace/native",
        empty: "it is empty",
        text: "it is no TorchScript file",
    },
    "mace/native": {
        python_model: ZIP,
        checkpoint: ZIP,
        ml_iap: ZIP,
        torchscript: ZIP,
        other_safetensors: "found a safetensors file of something else",
        empty: "found an empty file",
        text: "found text that begins 'hello'",
    },
}


@pytest.mark.parametrize(
    ("style", "make"),
    [(style, make) for style, files in WRONG_FILES.items() for make in files],
    indirect=["style"],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_wrong_kind_of_file_whatever_its_name(refused, style, potential, tmp_path, make):
    path = tmp_path / ("model-lammps.pt" if style == "mace" else "model.safetensors")
    make(path, potential.model)
    message = refused(f"pair_style {style}\npair_coeff * * {path} Mo W")
    assert WRONG_FILES[style][make] in message
    assert "corrupted" not in message  # torch's guess
    if path.read_bytes():
        assert "moalloy export" in message


@pytest.mark.parametrize("ranks", [1, 2])
def test_truncated_file(refused, style, potential, tmp_path, ranks):
    path = tmp_path / "half"
    path.write_bytes(potential.file.read_bytes()[: potential.file.stat().st_size // 2])
    message = refused(f"pair_style {style}\npair_coeff * * {path} Mo W", ranks=ranks)
    if style == "mace":
        assert "its end is missing: copy or export it again" in message
    else:
        assert "bytes of data behind the header" in message
        assert "Copy the file again, or export the model again" in message


def test_a_file_that_one_rank_alone_cannot_read(refused, style, potential, tmp_path):
    """All stop, with one sentence: none waits for the others for ever."""
    (tmp_path / "model.0").write_bytes(potential.file.read_bytes())
    rank = "variable rank getenv PMI_RANK"  # of MPICH, which the lammps package brings
    message = refused(f"{rank}\npair_style {style}\npair_coeff * * model.${{rank}} Mo W", ranks=2)
    assert "model file model.1 cannot be opened" in message or (
        "model.1: expected a model.safetensors of moalloy_md, found no such file" in message
    )


@only_native
def test_wrong_file_in_a_committee(refused, potential, tmp_path):
    other = tmp_path / "other.safetensors"
    other_safetensors(other, None)
    message = refused(potential.lines(TYPES, others=[other]))
    assert f"{other}: expected" in message


# --- what the model cannot give


def test_overlapping_atoms(potential, tmp_path):
    atoms = two_atom_cell()
    atoms.positions[1] = atoms.positions[0]
    lmp.write_data(atoms, TYPES, tmp_path)
    status, output = lmp.run_script(lmp.script(atoms, TYPES, potential.lines(TYPES)), tmp_path)
    assert status != 0
    assert "the energy is not a number at step 0: atoms overlap" in output


class FailsInside(torch.nn.Module):
    """Has what the style reads of a MACE model, and an error in its forward."""

    def __init__(self):
        super().__init__()
        self.register_buffer("r_max", torch.tensor(4.0, dtype=torch.float64))
        self.register_buffer("num_interactions", torch.tensor(2))
        self.register_buffer("atomic_numbers", torch.tensor([42, 74]))

    def forward(
        self,
        data: Dict[str, torch.Tensor],  # noqa: UP006  TorchScript reads these, not dict and |
        local_or_ghost: torch.Tensor,
        compute_virials: bool = False,  # noqa: FBT001, FBT002
    ) -> Dict[str, torch.Tensor]:  # noqa: UP006
        return {"node_energy": data["node_attrs"][100_000]}


@only_mace
def test_an_error_inside_the_model_is_told(refused, tmp_path):
    """TorchScript puts its own traceback before the error."""
    from moalloy_md.potentials.quiet import quiet_mace

    with quiet_mace():
        torch.jit.script(FailsInside()).save(str(tmp_path / "inside.pt"))
    lines = f"pair_style mace\npair_coeff * * {tmp_path}/inside.pt Mo W"
    message = refused(lines, per_atom_stress=False)
    assert "the model could not be evaluated: RuntimeError: select(): index 100000 out" in message


def test_centroid_stress_is_refused(refused, potential):
    lines = potential.lines(TYPES) + (
        "compute c all centroid/stress/atom NULL pair\nthermo_style custom step"
    )
    message = refused(lines, run="dump d all custom 1 d.txt c_c[1]\nrun 0")
    assert "centroid" in message.lower()
