"""What pair_style mace alone has: files of mace-torch, three layers, no_domain_decomposition."""

import numpy as np
import pytest
from support import lmp
from support.cells import doped_cell, two_atom_cell
from support.models import copy_of
from support.styles import Potential, assert_same

ELEMENTS = ("V", "Mo", "Ta", "W")
TYPES = ("W", "Mo", "V", "Ta")

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread", "style"),
    pytest.mark.parametrize("style", ["mace"], indirect=True),
]


@pytest.fixture(scope="module")
def of_mace_torch(random_potentials, tmp_path_factory):
    """A file as mace-torch's own ``mace_create_lammps_model`` writes it."""
    from moalloy_md.potentials.quiet import quiet_mace

    ours = random_potentials("mace", elements=ELEMENTS)
    with quiet_mace():
        from e3nn.util import jit
        from mace.calculators import LAMMPS_MACE

        file = tmp_path_factory.mktemp("mace-torch") / "model.model-lammps.pt"
        jit.compile(LAMMPS_MACE(copy_of(ours.model))).save(str(file))
    return Potential("mace", ours.model, file, ours.tolerance)


@pytest.mark.parametrize("ranks", [1, 2])
def test_files_of_mace_torch_run(of_mace_torch, tmp_path, ranks):
    atoms = doped_cell(ELEMENTS, n=3, seed=43)
    found = of_mace_torch.compute(atoms, tmp_path, TYPES, ranks=ranks, per_atom_stress=False)
    assert_same(found, of_mace_torch, atoms)


def test_files_of_mace_torch_have_no_stress_of_atoms(of_mace_torch, tmp_path):
    atoms = two_atom_cell()
    lmp.write_data(atoms, TYPES, tmp_path)
    text = lmp.script(atoms, TYPES, of_mace_torch.lines(TYPES))
    status, output = lmp.run_script(text, tmp_path)
    assert status != 0
    assert "Per MPI rank memory" not in output, "the run was started"
    assert "has no forces of edges, which per-atom stress needs" in output
    assert "moalloy export" in output


def test_three_layers_on_two_ranks(random_potential, tmp_path):
    potential = random_potential(elements=ELEMENTS, hidden="8x0e", n_layers=3)
    atoms = doped_cell(ELEMENTS, n=2, seed=17).repeat((1, 1, 3))
    atoms.positions += np.random.default_rng(17).normal(scale=0.05, size=(len(atoms), 3))
    atoms.wrap()
    found = potential.compute(atoms, tmp_path, TYPES, ranks=2, before="processors 1 1 2")
    assert_same(found, potential, atoms)


def test_no_domain_decomposition_is_the_same_on_one_rank(random_potential, tmp_path):
    potential = random_potential(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=2, seed=47)
    found = potential.compute(atoms, tmp_path, TYPES, keywords="no_domain_decomposition")
    assert_same(found, potential, atoms)
    assert found.log.count("no domain decomposition") == 1


def test_says_once_what_it_runs_on(random_potential, tmp_path):
    potential = random_potential(elements=ELEMENTS)
    atoms = doped_cell(ELEMENTS, n=2, seed=53)
    found = potential.compute(atoms, tmp_path, TYPES, ranks=2, run="run 0\nrun 0")
    lines = [line for line in found.log.splitlines() if line.startswith("pair_style mace:")]
    assert len(lines) == 1
    assert "V Mo Ta W, r_max 4.5 A, 2 layers, float64 on cpu with 1 thread a rank" in lines[0]
