"""in.mcmd: what it samples, against ensembles that can be counted, and how it goes on after a kill."""

from collections import Counter

import numpy as np
import pytest
from ase import units
from scipy import stats
from support import lmp, vanadium
from support.cells import doped_cell
from support.processes import Struck
from support.tungsten import potential as tungsten

from moalloy_md.analysis.statistics import estimate_mean
from moalloy_md.errors import LammpsError
from moalloy_md.lammps.frames import frame_files, read_frame
from moalloy_md.lammps.inputs import input_file
from moalloy_md.lammps.logs import read_run
from moalloy_md.lammps.run import run_lammps
from moalloy_md.lammps.single_point import write_structure
from moalloy_md.structures.host import HostCell
from moalloy_md.structures.pairs import pair_sites

#: A right sampler gives less in one of a thousand seeds; these are fixed.
UNLIKELY = 1e-3


@pytest.fixture
def _no_plugin(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("MOALLOY_CACHE", str(tmp_path_factory.mktemp("empty-cache")))


def swap(folder, *, ranks=1, on_step=None, **changes):
    run_lammps(
        input_file("in.mcmd"),
        run_dir=folder,
        variables=vanadium.variables(**changes),
        ranks=ranks,
        on_step=on_step,
    )
    return read_run(folder)


def energies(cells, folder):
    """Potential energies of cells, each computed by itself, eV."""
    folder.mkdir()
    return lmp.energies(cells, folder, symbols=vanadium.TYPES, pair_lines=vanadium.pair_lines())


def boltzmann(energies_ev, temperature_k, multiplicities=1.0):
    """``g_k exp(-E_k / kT) / Σ``."""
    relative = np.asarray(energies_ev) - np.min(energies_ev)
    weights = multiplicities * np.exp(-relative / (units.kB * temperature_k))
    return weights / weights.sum()


# ---- what it samples -------------------------------------------------------------------------------


@pytest.mark.usefixtures("_no_plugin")
@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_one_dopant_visits_unlike_sites_as_boltzmann_says(tmp_path, ranks):
    """15 sites beside a vacancy, off their places: 15 levels within 0.7 eV, each computed alone."""
    host = vanadium.crystal((2, 2, 2))
    del host[5]
    host.rattle(0.12, rng=np.random.default_rng(5))
    host.wrap()
    cells = [host.copy() for _ in host]
    for site, cell in enumerate(cells):
        cell.symbols[site] = "Fe"
    levels = energies(cells, tmp_path / "levels")
    assert np.ptp(levels) > 0.5
    vanadium.write_structure(cells[3], tmp_path)
    # of 20 attempts about eight succeed, and each success forgets where the dopant was
    swap(
        tmp_path, rigid="yes", steps=1000 if ranks == 1 else 250, swap_every=1, swaps=20, dump_interval=1,
        temperature_k=3000, seed=7, ranks=ranks,
    )  # fmt: skip
    sites = [int(np.flatnonzero(read_frame(f).numbers == 26)[0]) for f in frame_files(tmp_path)]
    found = np.bincount(sites[1:], minlength=len(levels))
    expected = len(sites[1:]) * boltzmann(levels, 3000)
    assert expected.min() > (5 if ranks == 1 else 3)
    assert stats.chisquare(found, expected).pvalue > UNLIKELY
    # ... and not what other temperatures would give
    for wrong in (1500, 6000) if ranks == 1 else (1500,):  # fewer samples see less
        other = len(sites[1:]) * boltzmann(levels, wrong)
        assert stats.chisquare(found, other).pvalue < 1e-4
    hop = np.array(sites[1:])
    correlation = np.corrcoef(levels[hop[:-1]], levels[hop[1:]])[0, 1]
    assert abs(correlation) < 4 / np.sqrt(len(hop)), "the samples are not independent"


@pytest.mark.usefixtures("_no_plugin")
def test_two_dopants_sit_in_shells_as_their_binding_energies_say(tmp_path):
    """``P(shell) ∝ multiplicity · exp(-E_b / kT)`` over all seven kinds of pairs of a 54-atom cell."""
    cell = HostCell(host="V", repeat=3, lattice_parameter_angstrom=vanadium.A0)
    kinds = pair_sites(cell)
    host = vanadium.crystal()
    cells = []
    for kind in kinds:
        pair = host.copy()
        pair.symbols[[0, kind.site]] = "Fe"
        cells.append(pair)
    single = host.copy()
    single.symbols[0] = "Fe"
    *pairs, one, none = energies([*cells, single, host], tmp_path / "levels")
    binding = np.array(pairs) + none - 2 * one
    assert np.ptp(binding) > 0.3
    vanadium.write_structure(cells[0], tmp_path)
    swap(
        tmp_path, rigid="yes", steps=1500, swap_every=1, swaps=20, dump_interval=1,
        temperature_k=1500, seed=3,
    )  # fmt: skip
    # distances within the cell, nearest images: each kind of pair has its own
    of_distance = {
        round(c.get_distance(0, k.site, mic=True), 2): k.label
        for c, k in zip(cells, kinds, strict=True)
    }
    seen: Counter[str] = Counter()
    for frame in frame_files(tmp_path)[1:]:
        atoms = read_frame(frame)
        a, b = np.flatnonzero(atoms.numbers == 26)
        seen[of_distance[round(atoms.get_distance(a, b, mic=True), 2)]] += 1
    found = np.array([seen[kind.label] for kind in kinds])
    multiplicities = np.array([kind.n_sites for kind in kinds])
    assert multiplicities.sum() == len(host) - 1
    expected = found.sum() * boltzmann(binding, 1500, multiplicities)
    assert expected.min() > 5
    assert stats.chisquare(found, expected).pvalue > UNLIKELY
    random = found.sum() * multiplicities / multiplicities.sum()
    assert stats.chisquare(found, random).pvalue < 1e-9


@pytest.mark.usefixtures("_no_plugin")
@pytest.mark.parametrize(("keep", "equal"), [("ke yes", True), ("ke no", False)])
def test_swaps_leave_each_element_its_share_of_the_heat(tmp_path, keep, equal):
    """Isotopes: all swaps succeed, and light and heavy atoms have ``3/2 kT`` each.

    With 'ke no' heavy atoms go on at light ones' speed, and the same run heats them.
    """
    atoms = vanadium.crystal()
    atoms.symbols[::3] = "Fe"
    vanadium.write_structure(atoms, tmp_path)
    measure = (
        "compute ke all ke/atom\n"
        "variable light atom c_ke*(type==2)\ncompute light all reduce sum v_light\n"
        "variable heavy atom c_ke*(type==1)\ncompute heavy all reduce sum v_heavy\n"
    )
    script = input_file("in.mcmd").read_text().replace("ke yes types", f"{keep} types")
    # after pair_coeff, which sets the masses that EAM files hold
    script = script.replace("\nneighbor ", "\nmass 1 400.0\nmass 2 50.0\nneighbor ")
    script = script.replace(
        "thermo_style    custom", f"{measure}thermo_style custom c_light c_heavy"
    )
    (tmp_path / "in.mcmd").write_text(script)
    run_lammps(
        tmp_path / "in.mcmd",
        run_dir=tmp_path,
        variables={
            "style": "eam/alloy", "potential": tungsten(), "elements": "W W", "steps": 12000,
            "temperature_k": 600, "temperature_limit_k": 1e9, "swap_every": 5, "swaps": 5,
            "barostat": "none",
            "dump_interval": 12000, "thermo_interval": 4,
        },
    )  # fmt: skip
    run = read_run(tmp_path)
    assert run.column("f_swap_1_2[1]")[-1] == run.column("f_swap_1_2[2]")[-1] == 12000
    n_light = int((atoms.numbers == 26).sum())
    # the centre of mass is at rest: three of 3N degrees of freedom carry nothing, by mass
    masses = np.where(atoms.numbers == 26, 50.0, 400.0)
    late = run.steps > 1500
    for name, n, mass in (("c_light", n_light, 50.0), ("c_heavy", 54 - n_light, 400.0)):
        share = 1.5 * units.kB * 600 * n * (1 - mass / masses.sum())
        if equal:
            kinetic = estimate_mean(run.column(name)[late], name=name, discard=0)
            assert kinetic.value == pytest.approx(share, abs=4 * kinetic.error)
            assert kinetic.error < 0.02 * share
        else:
            assert abs(run.column(name)[late].mean() / share - 1) > 0.1


# ---- how it goes on --------------------------------------------------------------------------------


@pytest.mark.usefixtures("_no_plugin")
@pytest.mark.parametrize(("rigid", "ranks"), [("no", 1), ("no", 2), ("yes", 1)])
def test_a_killed_run_swaps_on_as_the_whole_run_would(tmp_path, rigid, ranks):
    """The same atoms at the same places, and counts that go on.

    The fix draws atoms by their order in memory, which a restart changes where ranks are several: other
    swaps then, with the same probabilities. For them what is before the restart is compared, and counts.
    """
    atoms = vanadium.crystal()
    atoms.symbols[[1, 7, 20, 33]] = "Fe"
    times = 40 if rigid == "yes" else 6  # or it would end before it can be killed
    given = {
        "rigid": rigid, "ranks": ranks, "swap_every": 7 * times, "swaps": 3 * times,
        "thermo_interval": 5 * times, "dump_interval": 20 * times, "restart_interval": 100 * times,
        "barostat": "aniso", "steps": 600 * times,
    }  # fmt: skip
    for name in ("whole", "parts"):
        vanadium.write_structure(atoms, tmp_path / name)
    one = swap(tmp_path / "whole", **given)

    def strike(step, _):
        if step >= 230 * times:
            raise Struck

    with pytest.raises(Struck):
        swap(tmp_path / "parts", on_step=strike, **given)
    two = swap(tmp_path / "parts", **given)
    starts = sorted(
        int(path.name.split(".")[1]) for path in (tmp_path / "parts").glob("log.*.lammps")
    )
    assert starts[:1] == [0]
    assert starts[1] >= 200 * times
    np.testing.assert_array_equal(one.column("f_swap_1_2[1]")[-1], 3 * 86 * times)
    assert 5 < one.column("f_swap_1_2[2]")[-1] < 3 * 86 * times
    assert two.column("f_swap_1_2[1]")[-1] == 3 * 86 * times
    same = one.steps <= (one.steps[-1] if ranks == 1 else starts[1])
    for name in one.columns:
        np.testing.assert_allclose(
            two.column(name)[same], one.column(name)[same], rtol=1e-7, atol=1e-3
        )
    if ranks > 1:
        return
    ends = [read_frame(frame_files(tmp_path / name)[-1]) for name in ("whole", "parts")]
    assert ends[0].get_chemical_symbols() == ends[1].get_chemical_symbols()
    assert ends[0].get_chemical_symbols() != atoms.get_chemical_symbols()
    np.testing.assert_allclose(ends[0].positions, ends[1].positions, atol=1e-5)


# ---- with our pair styles --------------------------------------------------------------------------


@pytest.mark.usefixtures("one_torch_thread")
@pytest.mark.parametrize("ranks", [1, 2])
def test_energies_after_swaps_are_those_of_the_cells(random_potential, style, tmp_path, ranks):
    """Three elements in a sheared cell with both pair styles: all three pairs swap, and it goes on."""
    elements = ("Ta", "Mo", "V")
    potential = random_potential(elements=("V", "Mo", "Ta"), hidden="8x0e", r_max=4.0, seed=1)
    write_structure(
        doped_cell(elements, n=2, seed=3), tmp_path / "structure.data", elements=list(elements)
    )
    for steps in (10, 20):
        run_lammps(
            input_file("in.mcmd"),
            run_dir=tmp_path,
            ranks=ranks,
            variables={
                "style": style, "potential": potential.file, "elements": " ".join(elements),
                "steps": steps, "swap_every": 5, "swaps": 6, "temperature_k": 3000,
                "timestep_ps": 0.0001, "temperature_limit_k": 1e9, "barostat": "none",
                "thermo_interval": 5, "dump_interval": 10, "restart_interval": 10,
            },
        )  # fmt: skip
    run = read_run(tmp_path)
    for pair in ("1_2", "1_3", "2_3"):
        assert run.column(f"f_swap_{pair}[1]")[-1] == 4 * 6
        assert 0 < run.column(f"f_swap_{pair}[2]")[-1] < 4 * 6
    for frame in frame_files(tmp_path):
        atoms = read_frame(frame)
        atoms.calc = potential.oracle
        energy = run.column("PotEng")[run.steps == atoms.info["step"]][0]
        # the frame's positions have six digits, of forces of some eV/Å on 16 atoms
        assert energy == pytest.approx(atoms.get_potential_energy(), abs=1e-3)


# ---- what it is told -------------------------------------------------------------------------------


@pytest.mark.usefixtures("_no_plugin")
def test_only_the_types_that_are_named_swap(tmp_path):
    atoms = vanadium.crystal()
    atoms.symbols[[1, 7, 20]] = "Fe"
    write_three = atoms.copy()
    write_three.symbols[[2, 9, 30, 31]] = "Mo"
    write_structure(write_three, tmp_path / "structure.data", elements=["V", "Fe", "Mo"])
    run = swap(
        tmp_path, elements="V Fe V", swap_types="3 1", steps=40, swap_every=10, rigid="yes",
        dump_interval=40, swaps=8,
    )  # fmt: skip
    assert [name for name in run.columns if name.startswith("f_")] == [
        "f_swap_1_3[1]",
        "f_swap_1_3[2]",
    ]
    # both are V: each attempt succeeds, and Fe stays where it was
    assert run.column("f_swap_1_3[2]")[-1] == 4 * 8
    text = frame_files(tmp_path)[-1].read_text().split("x y z\n")[1].splitlines()
    assert [k for k, row in enumerate(text) if row.split()[1] == "2"] == [1, 7, 20]
    assert {k for k, row in enumerate(text) if row.split()[1] == "3"} != {2, 9, 30, 31}


@pytest.mark.usefixtures("_no_plugin")
def test_the_normal_of_a_boundary_breathes_alone(tmp_path):
    """A tilted cell, as boundaries have: z for a boundary, none for a slab with a vacuum."""
    atoms = vanadium.crystal((3, 3, 4))
    atoms.symbols[[1, 7, 20]] = "Fe"
    slab = atoms.copy()
    slab.cell[2, 2] += 12.0
    for name, cell in (("z", atoms), ("none", slab)):
        vanadium.write_structure(cell, tmp_path / name)
        run = swap(tmp_path / name, steps=100, barostat=name, temperature_k=900)
        changed = {axis for axis in "xyz" if np.ptp(run.column(f"L{axis}")) > 0}
        assert changed == ({"z"} if name == "z" else set())
        assert run.column("f_swap_1_2[1]")[-1] == 50


@pytest.mark.usefixtures("_no_plugin")
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"swap_types": "2"}, "expected two types to swap, found 2 in all, swap_types 2"),
        ({"swap_every": 0}, "expected swap_every and swaps from 1 on, found 0 and 10"),
        ({"swaps": 0}, "expected swap_every and swaps from 1 on, found 20 and 0"),
    ],
)
def test_nothing_to_swap_is_said(tmp_path, changes, sentence):
    vanadium.write_structure(vanadium.crystal(), tmp_path)
    with pytest.raises(LammpsError, match=sentence):
        swap(tmp_path, steps=10, **changes)
