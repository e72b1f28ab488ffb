"""``moalloy structures gb|polycrystal|slab|void``: files that LAMMPS and ASE read, and what is said."""

import json
import subprocess
import sys

import numpy as np
import pytest
from ase.io import read
from typer.testing import CliRunner

from moalloy_md.cli.structures import app
from moalloy_md.errors import ConfigError, DataError


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_boundary_as_extxyz_and_data(tmp_path):
    out, data = tmp_path / "gb.extxyz", tmp_path / "gb.data"
    result = invoke(
        *(
            "gb",
            "--boundary",
            "sigma5-310",
            "--min-width-angstrom",
            3,
            "--shift-angstrom",
            "0.4,0.3",
        ),
        *("--expansion-angstrom", 0.2, "--out", out, "--data", data, "--elements", "Mo,W"),
    )
    assert result.exit_code == 0, result.output
    atoms = read(out)
    said = " ".join(result.stdout.split())
    assert "Σ5 [0 0 1] (3 1 0) tilt, misorientation 36.87°, 2 x 31.63 Å²" in said
    assert f"{len(atoms)} atoms, cell" in said
    grams = atoms.get_masses().sum() * 1.66054 / atoms.get_volume()
    assert f"{grams:.2f} g/cm³" in said
    assert atoms.info["boundary_z"] == pytest.approx(
        [0.75 * atoms.cell[2, 2], 0.25 * atoms.cell[2, 2]], abs=0.01
    )
    written = read(data, format="lammps-data", atom_style="atomic")
    assert written.cell.array == pytest.approx(atoms.cell.array, abs=1e-6)
    assert np.sort(written.get_all_distances(mic=True)[0]) == pytest.approx(
        np.sort(atoms.get_all_distances(mic=True)[0]), abs=1e-5
    )
    assert "2 atom types" in data.read_text()


def test_options_and_a_file_give_the_same(tmp_path):
    config = tmp_path / "gb.yaml"
    config.write_text("axis: [1, 1, 0]\nsigma: 3\nplane: [1, -1, 2]\nmin_thickness_angstrom: 10\n")
    options = ("--axis", "1,1,0", "--sigma", 3, "--plane", "1,-1,2", "--min-thickness-angstrom", 10)
    first = invoke("gb", "--config", config, "--out", tmp_path / "a.extxyz", "--json")
    second = invoke("gb", *options, "--out", tmp_path / "b.extxyz", "--json")
    assert first.exit_code == second.exit_code == 0, first.output + second.output
    assert (tmp_path / "a.extxyz").read_bytes() == (tmp_path / "b.extxyz").read_bytes()
    facts = json.loads(first.stdout)
    assert (facts["sigma"], facts["kind"], facts["n_boundaries"]) == (3, "tilt", 2)
    assert facts["n_atoms"] == len(read(tmp_path / "a.extxyz"))


def test_polycrystal_slab_and_void(tmp_path):
    for verb, options, sentence in (
        ("polycrystal", ("--size-angstrom", 30, "--n-grains", 3), "3 grains, diameters"),
        ("slab", ("--plane", "1,1,2", "--n-layers", 9), "9 layers of (1 1 2), 1.291 Å apart"),
        ("void", ("--radius-angstrom", 6, "--repeat", 8), "void of 6 Å, "),
    ):
        out = tmp_path / f"{verb}.extxyz"
        result = invoke(verb, *options, "--out", out, "--data", out.with_suffix(".data"))
        assert result.exit_code == 0, result.output
        assert sentence in result.stdout
        assert f"{len(read(out))} atoms" in result.stdout
        as_json = invoke(verb, *options, "--out", out, "--json")
        assert json.loads(as_json.stdout)["n_atoms"] == len(read(out))


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (
            ("gb", "--sigma", 7),
            ConfigError,
            r"a Σ that rotations about \[0 0 1\] have, such as 5, 13",
        ),
        (("gb", "--plane", "3,1"), ConfigError, "plane"),
        (("gb", "--boundary", "sigma5-130"), ConfigError, "expected one of sigma3-112"),
        (("gb", "--elements", "Mo,W"), ConfigError, "--elements: expected --data beside it"),
        (("gb", "--shift-angstrom", "x,1"), ConfigError, "--shift-angstrom: expected numbers"),
        (("gb", "--config", "x.yaml", "--sigma", 3), ConfigError, "either --config or options"),
        (("polycrystal",), ConfigError, "--size-angstrom: expected a value"),
        (("polycrystal", "--size-angstrom", "a"), ConfigError, "--size-angstrom: expected numbers"),
        (("slab", "--plane", "0,0,0"), ConfigError, "not all zero"),
        (("slab", "--vacuum-angstrom", "inf"), ConfigError, "--vacuum-angstrom: expected a finite"),
        (
            ("polycrystal", "--size-angstrom", "nan"),
            ConfigError,
            "expected a finite number, found nan",
        ),
        (("void", "--radius-angstrom", 20), ConfigError, "repeat the cell more often"),
    ],
)
def test_wrong_options(tmp_path, arguments, error, sentence):
    result = invoke(*arguments, "--out", tmp_path / "cells.extxyz")
    assert result.exit_code == 1
    with pytest.raises(error, match=sentence):
        raise result.exception
    assert not list(tmp_path.iterdir())


def test_wrong_elements_and_other_files(tmp_path):
    data = ("--data", tmp_path / "x.data")
    wrong = invoke("slab", "--out", tmp_path / "x.extxyz", *data, "--elements", "W")
    assert isinstance(wrong.exception, ConfigError)
    assert "found W, without Mo" in str(wrong.exception)
    (tmp_path / "y.extxyz").write_text("mine")
    taken = invoke("slab", "--out", tmp_path / "y.extxyz")
    assert isinstance(taken.exception, DataError)
    assert (tmp_path / "y.extxyz").read_text() == "mine"


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from moalloy_md.cli.structures import app\n"
        "for verb in ('gb', 'gb-search', 'polycrystal', 'slab', 'void'):\n"
        "    assert CliRunner().invoke(app, [verb, '--help']).exit_code == 0\n"
        "heavy = {'torch', 'scipy', 'ovito', 'pymatgen', 'matplotlib', 'ase.io'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
