"""``moalloy structures``: options in, files and counts out."""

import json
import subprocess
import sys

import pytest
from ase.io import read
from typer.testing import CliRunner

from moalloy_md.cli.structures import app
from moalloy_md.errors import ConfigError, DataError


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_dilute_cells_and_their_formula(tmp_path):
    out = tmp_path / "cells.extxyz"
    result = invoke(
        *("dilute", "--out", out, "--dopants", "W,Re,Ta", "--repeat", 2, "--rattle", "0.05,0.1"),
        *("--copies", 2, "--strain", "-0.02,0.02", "--shear", 0.03, "--vacancy-shells", "1,2"),
    )
    assert result.exit_code == 0, result.output
    total = 1 + 3 + 6 * 3 + (1 + 3 * 2)
    assert f"{total} symmetry-distinct decorations with 3 dopants" in result.stdout
    assert "18 with two (6 pairs of elements × 3 places)" in result.stdout
    assert "several images of the other: 2 in shell 2, 4 in shell 3" in result.stdout
    images = read(out, ":")
    assert len(images) == total * (1 + 2 * 2 + 2 + 1)
    assert {atoms.info["host"] for atoms in images} == {"Mo"}


def test_json_and_a_config_file_give_the_same(tmp_path):
    config = tmp_path / "cells.yaml"
    config.write_text(
        "dopants: [W, Fe]\nlattice: fcc\nrepeat: 2\nshells: [1, 2]\npairs: equal\n"
        "lattice_parameter_angstrom: 4.1\nspin_starts: both\nideal: false\n"
        "variants: [{rattle_angstrom: 0.06}]\n"
    )
    options = (
        *("--dopants", "W,Fe", "--lattice", "fcc", "--repeat", "2,2,2", "--shells", "1,2"),
        *("--pairs", "equal", "--a0-angstrom", 4.1, "--spin-starts", "both", "--no-ideal"),
        *("--rattle", 0.06),
    )
    first = invoke("dilute", "--out", tmp_path / "a.extxyz", "--config", config, "--json")
    second = invoke("dilute", "--out", tmp_path / "b.extxyz", *options, "--json")
    assert first.exit_code == second.exit_code == 0, first.output + second.output
    assert (tmp_path / "a.extxyz").read_bytes() == (tmp_path / "b.extxyz").read_bytes()
    counts = json.loads(first.stdout)
    assert (counts["total"], counts["cells"]) == (1 + 2 + 2 * 2, 1 + 2 + 2 * 2 + 2)
    assert counts["vasp"] is None


def test_random_cells_and_vasp_inputs(tmp_path):
    out, folder = tmp_path / "cells.extxyz", tmp_path / "vasp"
    result = invoke(
        *("random", "--out", out, "--dopants", "W=0.1,Fe=0.07", "--n-cells", 2, "--seed", 3),
        *("--repeat", 2, "--vasp", folder),
    )
    assert result.exit_code == 0, result.output
    images = read(out, ":")
    assert [str(atoms.symbols.formula.count()["W"]) for atoms in images] == ["2", "2"]
    names = {atoms.info["name"] for atoms in images}
    assert {path.name for path in folder.iterdir()} == names | {"README.md"}
    config = tmp_path / "vasp.yaml"
    config.write_text("encut_ev: 400\ntask: static\n")
    again = invoke("vasp", out, "--out", tmp_path / "again", "--config", config)
    assert again.exit_code == 0, again.output
    for name in names:
        assert "ENCUT = 400" in (tmp_path / "again" / name / "INCAR").read_text()
        poscars = [
            (path / name / "POSCAR").read_text().split() for path in (folder, tmp_path / "again")
        ]
        assert poscars[0][:9] == poscars[1][:9]
        assert [float(x) for x in poscars[0][-48:]] == pytest.approx(
            [float(x) for x in poscars[1][-48:]], abs=1e-8
        )


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (
            ("dilute", "--dopants", "W,Qq"),
            ConfigError,
            "--dopants: expected a chemical symbol such as Mo or W, found 'Qq'",
        ),
        (
            ("dilute", "--shells", "1,x"),
            ConfigError,
            "--shells: expected a whole number, found 'x'",
        ),
        (("dilute", "--repeat", 2, "--shells", 4), ConfigError, "periodic images are nearer"),
        (("dilute", "--rattle", "a"), ConfigError, "--rattle: expected numbers .* found 'a'"),
        (("dilute", "--copies", 2), ConfigError, "--copies: expected --rattle beside it"),
        (("dilute", "--config", "x.yaml", "--repeat", 2), ConfigError, "either --config or opt"),
        (("random", "--dopants", "W"), ConfigError, "expected symbol=fraction, .* found 'W'"),
        (("random",), ConfigError, "dopants: expected a value, found none"),
    ],
)
def test_wrong_options(tmp_path, arguments, error, sentence):
    result = invoke(*arguments, "--out", tmp_path / "cells.extxyz")
    assert result.exit_code == 1
    with pytest.raises(error, match=sentence):
        raise result.exception
    assert not list(tmp_path.iterdir())


def test_vasp_inputs_need_cells(tmp_path):
    result = invoke("vasp", tmp_path / "none.extxyz", "--out", tmp_path / "vasp")
    assert isinstance(result.exception, DataError)


def test_help_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from moalloy_md.cli.structures import app\n"
        "for verb in ('dilute', 'random', 'vasp'):\n"
        "    assert CliRunner().invoke(app, [verb, '--help']).exit_code == 0\n"
        "heavy = {'torch', 'mace', 'ovito', 'matplotlib', 'ase.io'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
