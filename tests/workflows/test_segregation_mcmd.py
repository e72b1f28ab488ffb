"""What is measured of Monte Carlo frames, against an ensemble whose site energies are known."""

import numpy as np
import pytest
from ase.units import kB

from moalloy_md.config import validate
from moalloy_md.errors import ConfigError
from moalloy_md.workflows.segregation.config import SegregationConfig
from moalloy_md.workflows.segregation.energies import Energies, SiteEnergy
from moalloy_md.workflows.segregation.host import build_host
from moalloy_md.workflows.segregation.mcmd import Hybrid
from moalloy_md.workflows.segregation.results import collect
from moalloy_md.workflows.segregation.sites import choose_sites
from moalloy_md.workflows.simulate.run import SimulationRun

EDGE, TEMPERATURE, N_FRAMES = 3.16, 1000.0, 400
#: Segregation energies by site, eV: the first two kinds of sites attract, the third repels.
KNOWN = {"1": -0.25, "2": -0.1, "3": 0.15}


@pytest.fixture(scope="module")
def config():
    content = {
        "host": {"kind": "boundary", "boundary": "sigma3-112", "min_thickness_angstrom": 14},
        "dopants": ["W"],
        "sites": {"max_distance_angstrom": 5},
        "mcmd": {"total_fraction": 0.05, "width_angstrom": 8, "temperatures_k": [TEMPERATURE]},
    }
    return validate(content, SegregationConfig, source="s.yaml")


@pytest.fixture(scope="module")
def parts(config):
    host = build_host(config.host, edge_angstrom=EDGE)
    chosen = choose_sites(
        host, config.sites, is_large=False, seed=1, pressures_gpa=None, least_middle_angstrom=5.0
    )
    return host, chosen, Hybrid(config, host, chosen)


def sampled(hybrid, energies, rng):
    """Occupations of a closed ensemble of independent sites, by swaps of dopant and host."""
    held = np.zeros(hybrid.n_atoms, bool)
    held[rng.choice(hybrid.n_atoms, hybrid.n_dopants, replace=False)] = True
    frames = []
    for frame in range(N_FRAMES + 20):
        for _ in range(600):
            one, other = rng.choice(np.flatnonzero(held)), rng.choice(np.flatnonzero(~held))
            gain = energies[one] - energies[other]
            if gain >= 0 or rng.random() < np.exp(gain / (kB * TEMPERATURE)):
                held[[one, other]] = False, True
        if frame >= 20:
            frames.append(held.copy())
    return np.array(frames)


def write_frames(folder, atoms, frames, *, shift=0.0):
    (folder / "frames").mkdir(parents=True)
    cell, rng = atoms.cell.array, np.random.default_rng(0)
    low, high = min(0.0, cell[1, 0], cell[2, 0]), max(0.0, cell[1, 0], cell[2, 0])
    bounds = (
        f"{low} {cell[0, 0] + high} {cell[1, 0]}\n"
        f"{min(0.0, cell[2, 1])} {cell[1, 1] + max(0.0, cell[2, 1])} {cell[2, 0]}\n"
        f"0.0 {cell[2, 2]} {cell[2, 1]}\n"
    )
    for step, held in enumerate(frames):
        places = atoms.positions + rng.normal(0, 0.1, (len(atoms), 3)) + shift
        rows = "".join(
            f"{k + 1} {1 + h} {'W' if h else 'Mo'} {x} {y} {z}\n"
            for k, (h, (x, y, z)) in enumerate(zip(held, places, strict=True))
        )
        (folder / "frames" / f"{step * 10:09d}.dump").write_text(
            f"ITEM: TIMESTEP\n{step * 10}\nITEM: NUMBER OF ATOMS\n{len(atoms)}\n"
            f"ITEM: BOX BOUNDS xy xz yz pp pp pp\n{bounds}"
            f"ITEM: ATOMS id type element x y z\n{rows}"
        )
    (folder / "log.0.lammps").write_text(
        "Per MPI rank memory allocation (min/avg/max) = 1 | 1 | 1 Mbytes\n"
        "   Step          Temp     f_swap_1_2[1]  f_swap_1_2[2]\n"
        f"0 1000 0 0\n{(len(frames) - 1) * 10} 1000 4000 300\nLoop time of 1 on 1 procs\n"
    )


@pytest.fixture(scope="module")
def measured(config, parts, tmp_path_factory):
    _, chosen, hybrid = parts
    folder = tmp_path_factory.mktemp("run")
    energies = np.zeros(hybrid.n_atoms)
    for number, site in enumerate(chosen.sites):
        energies[hybrid.groups == number] = KNOWN.get(site.label, 0.0)
    frames = sampled(hybrid, energies, np.random.default_rng(4))
    write_frames(folder, hybrid.atoms, frames, shift=0.3)
    run = SimulationRun(
        name="W/1000K", input="in.mcmd", steps=1, structure="", elements=("Mo", "W"),
        n_atoms=hybrid.n_atoms, about={"dopant": "W"},
    )  # fmt: skip
    return hybrid.analyse(folder, run, config)


def test_frames_say_what_the_ensemble_holds(config, parts, measured):
    """Occupations by site, of boundary and bulk, and the excess, beside the closed isotherm."""
    host, chosen, hybrid = parts
    known = tuple(
        SiteEnergy(
            "W", site.label, "9 Å", KNOWN.get(site.label, 0.0), 0.0, 0.0, 0.0, converged=True
        )
        for site in chosen.sites
    )
    run = {
        **measured, "name": "W/1000K", "dopant": "W", "temperature_k": TEMPERATURE,
        "n_dopants": hybrid.n_dopants, "n_atoms": hybrid.n_atoms,
    }  # fmt: skip
    about = {"host": {"is_sampled": False}}
    results = collect(
        config, host, chosen, Energies(known, ("9 Å",), known), about=about, is_large=False,
        hybrid=hybrid, runs=[run],
    )  # fmt: skip
    (found,) = results["mcmd"]
    places = {**found["sites"], "boundary": found["boundary"], "bulk": found["bulk"],
              "excess": found["excess_per_nm2"]}  # fmt: skip
    assert found["sites"]["1"]["isotherm"] > 3 * found["bulk"]["isotherm"]
    assert found["sites"]["3"]["isotherm"] < 0.4 * found["bulk"]["isotherm"]
    deviations = []
    for one in places.values():
        assert one["error"] is not None
        # canonical and grand canonical ensembles of so few sites differ in a hundredth or two
        allowed = np.hypot(one["error"], 0.03 * abs(one["isotherm"]))
        deviations.append((one["value"] - one["isotherm"]) / allowed)
    assert np.abs(deviations).max() < 4
    assert np.mean(np.abs(deviations) < 2) > 0.8


def test_the_profile_holds_all_dopants(parts, measured):
    _, _, hybrid = parts
    bins = measured["profile"]
    held = [f * n for f, n in zip(bins["fraction"], bins["n_atoms"], strict=True) if n]
    assert sum(held) == pytest.approx(hybrid.n_dopants)
    assert sum(bins["n_atoms"]) == hybrid.n_atoms


def test_a_crystal_that_drifts_and_shakes_has_not_left_its_sites(measured):
    assert measured["moved_fraction"] == 0.0
    assert (measured["swaps_tried"], measured["swaps_accepted"]) == (4000, 300)


def test_atoms_that_left_are_counted(config, parts, tmp_path):
    _, _, hybrid = parts
    atoms = hybrid.atoms.copy()
    gone = len(atoms) // 5
    atoms.positions[:gone] += (0.0, 1.5, 1.5)
    frames = np.zeros((40, len(atoms)), bool)
    frames[:, : hybrid.n_dopants] = True
    write_frames(tmp_path, atoms, frames)
    run = SimulationRun(
        name="W", input="in.mcmd", steps=1, structure="", elements=("Mo", "W"),
        n_atoms=len(atoms), about={"dopant": "W"},
    )  # fmt: skip
    found = hybrid.analyse(tmp_path, run, config)
    assert found["moved_fraction"] == pytest.approx(gone / len(atoms), abs=0.01)


def test_a_cell_without_a_dopant_is_refused(config, parts):
    host, chosen, _ = parts
    few = config.model_copy(
        update={"mcmd": config.mcmd.model_copy(update={"total_fraction": 1e-4})}
    )
    with pytest.raises(ConfigError, match=r"a fraction that gives a dopant, found 0\.0001 of"):
        Hybrid(few, host, chosen)
