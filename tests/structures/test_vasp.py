"""VASP inputs: read back with ASE's own readers."""

import json

import numpy as np
import pytest
from ase.calculators.vasp.create_input import GenerateVaspInput
from ase.formula import Formula
from ase.io import read

from moalloy_md.errors import ConfigError, DataError
from moalloy_md.structures.cell_info import read_cell_info
from moalloy_md.structures.dilute import DiluteConfig, dilute_cells
from moalloy_md.structures.variants import Variant
from moalloy_md.structures.vasp import VaspConfig, kpoint_grid, write_vasp_inputs

CELLS = list(
    dilute_cells(
        DiluteConfig(
            dopants=("W", "Fe", "Mn"), repeat=2, shells=(1,), spin_starts="both",
            vacancy_shells=(1,), variants=(Variant(rattle_angstrom=0.05), Variant(strain=-0.04)),
        )
    )
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("vasp") / "inputs"
    write_vasp_inputs(out, CELLS, VaspConfig())
    return out


def incar(path):
    """INCAR through ASE's reader, and MAGMOM as one number an atom."""
    reader = GenerateVaspInput()
    reader.read_incar(path / "INCAR")
    moments = reader.list_float_params["magmom"]
    return reader, None if moments is None else np.array(moments)


def in_order(positions):
    """Rows sorted by their coordinates, rounded."""
    rounded = np.round(positions % 1.0, 9) % 1.0
    return rounded[np.lexsort(rounded.T)]


def test_there_is_a_folder_for_each_cell(folder):
    names = {atoms.info["name"] for atoms in CELLS}
    assert {path.name for path in folder.iterdir()} == names | {"README.md"}
    for name in names:
        files = {path.name for path in (folder / name).iterdir()}
        assert files == {"POSCAR", "INCAR", "KPOINTS", "cell.json"}


def test_poscar_is_the_cell(folder):
    for atoms in CELLS:
        found = read(folder / atoms.info["name"] / "POSCAR")
        assert found.cell.array == pytest.approx(atoms.cell.array, abs=1e-12)
        blocks = [x for k, x in enumerate(found.symbols) if k == 0 or found.symbols[k - 1] != x]
        assert blocks == ["Mo", *sorted(set(atoms.symbols) - {"Mo"})]  # one block a species
        for symbol in blocks:
            mine = atoms[[x == symbol for x in atoms.symbols]].get_scaled_positions()
            theirs = found[[x == symbol for x in found.symbols]].get_scaled_positions()
            assert in_order(theirs) == pytest.approx(in_order(mine), abs=1e-9)


def test_cells_with_magnetic_dopants_are_spin_polarised_in_the_order_of_poscar(folder):
    for atoms in CELLS:
        path = folder / atoms.info["name"]
        reader, moments = incar(path)
        if not {"Fe", "Mn"} & set(atoms.symbols):
            assert reader.int_params["ispin"] == 1
            assert moments is None
            continue
        assert reader.int_params["ispin"] == 2
        symbols = read(path / "POSCAR").symbols
        assert len(moments) == len(symbols)
        expected = {"Fe": 3.0, "Mn": 4.0}
        assert [abs(m) for m in moments] == [expected.get(x, 0.0) for x in symbols]
        assert (moments < 0).any() == atoms.info["name"].endswith("-antiparallel")


def test_ideal_cells_are_relaxed_in_a_fixed_cell_and_others_are_not(folder):
    for atoms in CELLS:
        reader, _ = incar(folder / atoms.info["name"])
        is_ideal = atoms.info["state"] == "ideal"
        assert (reader.int_params["nsw"] > 0) == is_ideal
        assert reader.int_params["ibrion"] == (2 if is_ideal else -1)
        assert reader.int_params["isif"] == 2
        assert reader.float_params["encut"] == 520
        assert (reader.exp_params["ediffg"] == -0.01) if is_ideal else True


def test_a_group_has_one_grid_though_its_strained_cell_needs_more(folder):
    grids = {}
    for atoms in CELLS:
        reader = GenerateVaspInput()
        reader.read_kpoints(folder / atoms.info["name"] / "KPOINTS")
        assert reader.input_params["gamma"]
        grids.setdefault(atoms.info["group"], set()).add(tuple(reader.input_params["kpts"]))
    for group, found in grids.items():
        cells = [atoms for atoms in CELLS if atoms.info["group"] == group]
        needed = {kpoint_grid(atoms, 0.2) for atoms in cells}
        assert needed == {(5, 5, 5), (6, 6, 6)}  # 6.325 Å, and 6.072 Å compressed
        assert found == {(6, 6, 6)}


def test_grid_spacing():
    """The distance between neighbouring k-points, from the reciprocal cell itself."""
    atoms = CELLS[0].copy()
    atoms.set_cell([[6, 0, 0], [1, 9, 0], [0.5, -2, 13]])
    for spacing in (0.1, 0.15, 0.3, 2.0):
        grid = np.array(kpoint_grid(atoms, spacing))
        reciprocal = 2 * np.pi * np.linalg.inv(atoms.cell.array).T
        steps = np.linalg.norm(reciprocal, axis=1) / grid
        assert (steps <= spacing + 1e-9).all()
        coarser = np.linalg.norm(reciprocal, axis=1) / np.maximum(grid - 1, 0.5)
        assert ((coarser > spacing) | (grid == 1)).all()


def test_cell_json_and_readme(folder):
    for atoms in CELLS:
        info = json.loads((folder / atoms.info["name"] / "cell.json").read_text())
        assert Formula(info.pop("formula")).count() == atoms.symbols.formula.count()
        assert info == atoms.info
    readme = (folder / "README.md").read_text()
    assert "POTCAR is missing" in readme
    assert "- encut_ev: 520" in readme


def test_settings_go_into_incar(tmp_path):
    config = VaspConfig(task="static", kpoints=(3, 2, 1), incar={"ncore": 8, "ENCUT": 400.5})
    write_vasp_inputs(tmp_path / "x", CELLS[:1], config)
    (cell,) = [path for path in (tmp_path / "x").iterdir() if path.is_dir()]
    reader, _ = incar(cell)
    assert (reader.int_params["ncore"], reader.float_params["encut"]) == (8, 400.5)
    assert reader.int_params["nsw"] == 0
    assert (cell / "KPOINTS").read_text().splitlines()[3] == "3 2 1"


def test_a_cell_without_moments_gets_them(tmp_path):
    atoms = next(a for a in CELLS if "Fe" in a.symbols).copy()
    del atoms.arrays["initial_magmoms"]
    write_vasp_inputs(tmp_path / "x", [atoms], VaspConfig())
    _, moments = incar(tmp_path / "x" / atoms.info["name"])
    assert moments.sum() == 3.0


def test_names_are_no_paths(tmp_path):
    """``dataset import`` gives names with slashes; nothing is written outside of the folder."""
    names = ["runs/a/b", "../escape", str(tmp_path / "absolute"), "..", ".hidden", "Mo 2%"]
    cells = []
    for name in names:
        atoms = CELLS[0].copy()
        atoms.info["name"] = name
        cells.append(atoms)
    out = tmp_path / "inputs"
    write_vasp_inputs(out, cells, VaspConfig())
    assert {path.name for path in tmp_path.iterdir()} == {"inputs"}
    folders = [path for path in out.iterdir() if path.is_dir()]
    assert {"runs_a_b", "hidden", "_escape", "_", "Mo_2_"} < {path.name for path in folders}
    assert {read_cell_info(path).name for path in folders} == set(names)
    assert "SYSTEM = runs/a/b" in (out / "runs_a_b" / "INCAR").read_text()
    for first, second in (("runs/a", "runs_a"), ("x", "README.md")):
        cells[0].info["name"], cells[1].info["name"] = first, second
        with pytest.raises(ConfigError, match=r"different folders, found .* and .*: give one"):
            write_vasp_inputs(tmp_path / "other", cells, VaspConfig())
    assert not (tmp_path / "other").exists()


def test_nothing_is_overwritten_or_left_half_written(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match="expected no folder or an empty one"):
        write_vasp_inputs(tmp_path / "x", CELLS, VaspConfig())
    with pytest.raises(ConfigError, match="2 times"):
        write_vasp_inputs(tmp_path / "y", [CELLS[0], CELLS[0]], VaspConfig())

    def stop_at_the_third(cells):
        for k, atoms in enumerate(cells):
            if k == 2:
                raise KeyboardInterrupt
            yield atoms

    with pytest.raises(KeyboardInterrupt):
        write_vasp_inputs(tmp_path / "y", CELLS, VaspConfig(), watch=stop_at_the_third)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
