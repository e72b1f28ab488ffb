"""Atoms, types and boxes that change under way: after each change the energy is a fresh one's."""

import re

import pytest
from support import lmp
from support.cells import doped_cell

pytestmark = pytest.mark.usefixtures("one_torch_thread")

ELEMENTS = ("V", "Mo", "Ta", "W")
TYPES = ("W", "Mo", "V", "Ta")

SETUP = """
clear
units metal
atom_style atomic
atom_modify sort 0 0
{read}
mass * 100.0
{pair_lines}
neighbor 1.0 bin
thermo_style custom step pe press
thermo_modify format float %.15g norm no
"""

#: What happens; the last line of thermo output is compared.
CHANGES = {
    "swap": """
fix swap all atom/swap 1 2 4711 5000.0 ke no types 1 2
fix swap2 all atom/swap 1 2 4712 5000.0 ke no types 3 4
thermo 1
run 5
print "accepted $(f_swap[2]+f_swap2[2]:%.0f)"
""",
    "types": "run 0\nset atom 1*5 type 4\nset atom 7 type 1\nrun 0\n",
    "delete": "run 0\ngroup gone id 3 11 30\ndelete_atoms group gone compress no\nrun 0\n",
    "create": "run 0\ncreate_atoms 2 single 1.2 0.4 0.9 units box\nrun 0\n",
    "box": "run 0\nchange_box all x scale 1.03 xy delta 0.2 remap\nrun 0\n",
    "motion": """
velocity all create 1500.0 17
fix move all nve
timestep 0.002
run 25
""",
    "pressure": """
velocity all create 1500.0 18
fix move all nph tri 100000.0 100000.0 0.05
timestep 0.001
run 25
print "volume $(vol:%.4f)"
""",
    "replicate": "run 0\nreplicate 1 1 2\nrun 0\n",
}

#: Stands in the output before a change and before the fresh calculation after it.
MARK = "---- "


def last_energy(output):
    rows = re.findall(r"^ +\d+ +(-?\d+\.\d+) +(-?\d+\.\d+)", output, re.MULTILINE)
    return tuple(float(number) for number in rows[-1])


def mark(name):
    return f'print "{MARK}{name}"\n'


@pytest.fixture(scope="module")
def outputs(random_potentials, tmp_path_factory):
    """Return a function that gives the output of each change and of what is fresh after it.

    One lmp makes them all, because most of what a small run costs is starting lmp with torch.
    """
    known = {}

    def run(style, ranks):
        if (style, ranks) not in known:
            folder = tmp_path_factory.mktemp("changes")
            lmp.write_data(doped_cell(ELEMENTS, n=3, seed=67), TYPES, folder)
            lines = random_potentials(style, elements=ELEMENTS).lines(TYPES)
            text = ""
            for name, change in CHANGES.items():
                text += SETUP.format(read="read_data data.lmp", pair_lines=lines)
                text += mark(name) + change + f"write_data {name}.lmp nocoeff\n"
                text += SETUP.format(read=f"read_data {name}.lmp", pair_lines=lines)
                text += mark(f"after {name}") + "run 0\n"
            status, output = lmp.run_script(text, folder, ranks=ranks)
            assert status == 0, output[-2000:]
            parts = re.split(rf"^{MARK}(.*)$", output, flags=re.MULTILINE)
            known[style, ranks] = dict(zip(parts[1::2], parts[2::2], strict=True))
        return known[style, ranks]

    return run


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("change", CHANGES)
def test_energy_after_a_change_is_a_fresh_ones(outputs, style, change, ranks):
    of_change = outputs(style, ranks)
    energy, pressure = last_energy(of_change[change])
    if change == "swap":
        assert int(re.search(r"accepted (\d+)", of_change[change])[1]) > 0
    fresh_energy, fresh_pressure = last_energy(of_change[f"after {change}"])
    # write_data keeps 15 digits of each coordinate
    assert energy == pytest.approx(fresh_energy, abs=1e-8)
    assert pressure == pytest.approx(fresh_pressure, abs=1e-3)  # bar


def test_changes_change_something(outputs, style):
    volume = float(re.search(r"^volume (\S+)", outputs(style, 1)["pressure"], re.MULTILINE)[1])
    assert abs(volume / doped_cell(ELEMENTS, n=3, seed=67).get_volume() - 1) > 1e-3
    energies = [last_energy(outputs(style, 1)[change])[0] for change in CHANGES]
    assert len({round(energy, 3) for energy in energies}) == len(CHANGES)


@pytest.mark.parametrize("style", [("mace", "mace/native")], indirect=True, ids=["both"])
@pytest.mark.usefixtures("style")
def test_a_style_that_goes_takes_its_ghosts_along(random_potentials, tmp_path):
    """``pair_style mace`` needs ghosts to two cutoffs on several ranks; who follows it does not."""
    native, torchscript = (
        random_potentials(name, elements=ELEMENTS) for name in ("mace/native", "mace")
    )
    other = tmp_path / "other.pt"
    other.write_bytes(torchscript.file.read_bytes())
    lmp.write_data(doped_cell(ELEMENTS, n=3, seed=67), TYPES, tmp_path)
    text = SETUP.format(read="read_data data.lmp", pair_lines=native.lines(TYPES)) + "run 0\n"
    text += torchscript.lines(TYPES) + "run 0\n"
    text += f"pair_coeff * * {other} {' '.join(TYPES)}\nrun 0\n"
    text += native.lines(TYPES) + "run 0\n"
    status, output = lmp.run_script(text, tmp_path, ranks=2)
    assert status == 0, output[-2000:]
    cutoffs = [float(x) for x in re.findall(r"ghost atom cutoff = (\S+)", output)]
    r_max = float(native.model.r_max)
    assert cutoffs == [r_max + 1, 2 * r_max + 1, r_max + 1]  # said where it changes
    energies = re.findall(r"^ +0 +(-?\d+\.\d+)", output, re.MULTILINE)
    assert [float(e) for e in energies] == pytest.approx([float(energies[0])] * 4, abs=1e-6)
    assert f"pair_style mace: {torchscript.file}" in output
    assert f"pair_style mace: {other}" in output


@pytest.mark.parametrize("ranks", [1, 2])
def test_restart_goes_on_as_if_nothing_had_happened(random_potential, tmp_path, ranks):
    lines = random_potential(elements=ELEMENTS).lines(TYPES)
    lmp.write_data(doped_cell(ELEMENTS, n=3, seed=71), TYPES, tmp_path)
    move = "fix move all nve\ntimestep 0.001\n"
    whole = SETUP.format(read="read_data data.lmp", pair_lines=lines) + (
        "velocity all create 800.0 5\n" + move + "run 10\nwrite_restart half\nrun 10\n"
    )
    status, output = lmp.run_script(whole, tmp_path, ranks=ranks)
    assert status == 0, output[-2000:]
    half = SETUP.format(read="read_restart half", pair_lines=lines) + move + "run 10\n"
    status, again = lmp.run_script(half, tmp_path, ranks=ranks)
    assert status == 0, again[-2000:]
    assert last_energy(again)[0] == pytest.approx(last_energy(output)[0], abs=1e-9)
