"""A single point through the runner and in.single_point, against mace-torch."""

import numpy as np
import pytest
from ase.build import bulk
from support.cells import doped_cell
from support.models import calculator

from moalloy_md.errors import ConfigError
from moalloy_md.lammps.single_point import single_point, write_structure


@pytest.mark.usefixtures("torch_plugin")
@pytest.mark.parametrize("ranks", [1, 2])
def test_is_what_mace_torch_says(scripted, tmp_path, ranks):
    model, file = scripted(elements=("V", "Mo", "Ta", "W"))
    atoms = doped_cell(("Mo", "W", "V"), n=2, seed=61)
    found = single_point(
        atoms, potential=file, elements=["W", "V", "Mo"], run_dir=tmp_path, ranks=ranks
    )
    work = atoms.copy()
    work.calc = calculator(model)
    assert found.energy_ev == pytest.approx(work.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(found.forces_ev_per_angstrom, work.get_forces(), atol=1e-10)
    np.testing.assert_allclose(found.stress_ev_per_angstrom3, work.get_stress(), atol=1e-11)
    assert found.energies_ev.sum() == pytest.approx(found.energy_ev, abs=1e-9)


def test_cell_in_another_orientation_is_refused(tmp_path):
    atoms = bulk("Mo")  # primitive: its first vector does not lie along x
    with pytest.raises(ConfigError, match=r"turn it with atoms\.set_cell"):
        write_structure(atoms, tmp_path / "x.data", elements=["Mo"])


def test_element_without_a_type_is_refused(tmp_path):
    atoms = bulk("Mo", cubic=True)
    with pytest.raises(ConfigError, match="all that the cell has, found W, without Mo: add"):
        write_structure(atoms, tmp_path / "x.data", elements=["W"])
    assert list(tmp_path.iterdir()) == []
