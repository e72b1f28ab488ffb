"""in.ramp, in.anneal and in.nve, and what a committee writes from in.npt."""

import numpy as np
import pytest
from support.processes import Struck
from support.tungsten import variables, write_crystal

from moalloy_md.errors import LammpsError
from moalloy_md.lammps.deviations import ForceDeviations
from moalloy_md.lammps.frames import frame_files
from moalloy_md.lammps.inputs import input_file
from moalloy_md.lammps.logs import read_run
from moalloy_md.lammps.run import run_lammps
from moalloy_md.lammps.single_point import write_structure


def start(folder, name, **changes):
    run_lammps(input_file(name), run_dir=folder, variables=variables(**changes))
    return read_run(folder)


def test_a_killed_ramp_goes_on_at_the_temperature_it_had_reached(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        write_crystal(folder, vacancy=False)
    ends = {"temperature_k": 100, "end_temperature_k": 1100, "restart_interval": 500}
    one = start(whole, "in.ramp", steps=10_000, **ends)

    def strike(step, _):
        if step >= 1200:
            raise Struck

    with pytest.raises(Struck):
        run_lammps(
            input_file("in.ramp"),
            run_dir=parts,
            variables=variables(steps=10_000, **ends),
            on_step=strike,
        )
    two = start(parts, "in.ramp", steps=10_000, **ends)
    starts = sorted(int(path.name.split(".")[1]) for path in parts.glob("log.*.lammps"))
    assert starts[0] == 0
    assert starts[1] >= 1000
    np.testing.assert_array_equal(two.steps, np.arange(0, 10_001, 10))
    for name in one.columns:
        np.testing.assert_allclose(two.column(name), one.column(name), rtol=1e-6, atol=1e-3)
    # the thermostat climbs from 100 to 1100 K: means over a tenth, ± T sqrt(2/3N) over some samples
    for part, target in ((3, 450), (6, 750), (9, 1050)):
        inside = (one.steps >= 1000 * part) & (one.steps < 1000 * (part + 1))
        assert one.column("Temp")[inside].mean() == pytest.approx(target, rel=0.2)


@pytest.mark.parametrize("struck_at", [400, 1000, 1300])  # held, between, while it cools
def test_a_killed_annealing_goes_on_where_it_was(tmp_path, struck_at):
    options = {"steps": 4000, "hold_steps": 1000, "temperature_k": 1200, "end_temperature_k": 200}
    options |= {"restart_interval": 100, "dump_interval": 500}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        write_crystal(folder, vacancy=False)
    one = start(whole, "in.anneal", **options)

    def strike(step, _):
        if step >= struck_at:
            raise Struck

    with pytest.raises(Struck):
        run_lammps(
            input_file("in.anneal"), run_dir=parts, variables=variables(**options), on_step=strike
        )
    two = start(parts, "in.anneal", **options)
    np.testing.assert_array_equal(two.steps, np.arange(0, 4001, 10))
    for name in one.columns:
        np.testing.assert_allclose(two.column(name), one.column(name), rtol=1e-6, atol=1e-3)
    # 72 atoms: a temperature scatters by T sqrt(2/3N), a tenth; the means here are of some picoseconds
    held = one.column("Temp")[(one.steps > 400) & (one.steps <= 1000)].mean()
    half_way = one.column("Temp")[(one.steps > 2000) & (one.steps <= 3000)].mean()
    assert held == pytest.approx(1200, rel=0.15)
    assert half_way == pytest.approx(700, rel=0.2)
    assert one.column("Temp")[one.steps > 3600].mean() == pytest.approx(280, abs=100)
    assert frame_files(parts)[-1].name == "000004000.dump"
    before = (parts / "restart.anneal").stat().st_mtime_ns
    run_lammps(input_file("in.anneal"), run_dir=parts, variables=variables(**options))
    assert (parts / "restart.anneal").stat().st_mtime_ns == before


def test_annealing_changes_of_the_cell_what_it_is_told(tmp_path):
    moving = {"none": set(), "z": {"Lz"}, "aniso": {"Lx", "Ly", "Lz"}}
    for barostat, expected in moving.items():
        write_crystal(tmp_path / barostat)
        thermo = start(tmp_path / barostat, "in.anneal", steps=60, barostat=barostat)
        changed = {name for name in ("Lx", "Ly", "Lz") if np.ptp(thermo.column(name)) > 1e-9}
        assert changed == expected


def test_annealing_cannot_hold_longer_than_it_lasts(tmp_path):
    write_crystal(tmp_path)
    with pytest.raises(LammpsError, match=r"expected hold_steps from 0 to 60 \(steps\), found 61"):
        start(tmp_path, "in.anneal", steps=60, hold_steps=61)


def test_free_motion_keeps_the_energy(tmp_path):
    """The error goes with the square of the time step, as velocity Verlet's does."""
    spreads = []
    for timestep in (0.001, 0.004):
        folder = tmp_path / str(timestep)
        write_crystal(folder, vacancy=False, rattle=0.0)
        thermo = start(
            folder, "in.nve", steps=int(4 / timestep), timestep_ps=timestep, thermo_interval=1
        )
        later = thermo.column("Time") > 0.5
        spreads.append(thermo.column("TotEng")[later].std())
        assert thermo.column("Temp")[later].mean() == pytest.approx(300, rel=0.25)
        assert np.ptp(thermo.column("Volume")) == 0
    assert spreads[1] / spreads[0] == pytest.approx(16, rel=0.4)


@pytest.mark.usefixtures("one_torch_thread")
def test_a_committee_writes_its_deviations_across_a_restart(random_potentials, tmp_path):
    from support.cells import doped_cell

    elements = ("V", "Mo", "Ta", "W")
    models = [
        random_potentials("mace/native", elements=elements, hidden="8x0e", r_max=4.0, seed=seed)
        for seed in (1, 2)
    ]
    write_structure(
        doped_cell(elements, n=2, seed=3), tmp_path / "structure.data", elements=list(elements)
    )
    for steps in (20, 40):
        run_lammps(
            input_file("in.npt"),
            run_dir=tmp_path,
            variables={
                "steps": steps,
                "elements": " ".join(elements),
                "potential": [model.file for model in models],
                "temperature_k": 1,
                "timestep_ps": 0.0001,
                "temperature_limit_k": 1e9,
                "thermo_interval": 5,
                "dump_interval": 10,
                "restart_interval": 10,
                "committee_interval": 10,
            },
        )
    deviations = ForceDeviations(tmp_path).read()
    assert list(deviations) == [0, 10, 20, 30, 40]
    assert len(frame_files(tmp_path)) == 5
    atoms, forces = doped_cell(elements, n=2, seed=3), []
    for model in models:
        atoms.calc = model.oracle
        forces.append(atoms.get_forces())
    # of two models: half of the distance
    expected = np.linalg.norm(forces[0] - forces[1], axis=1).max() / 2
    assert deviations[0] == pytest.approx(expected, rel=1e-4)
