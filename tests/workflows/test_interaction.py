"""Binding energies from the workflow: against closed forms, and against ASE by hand."""

import csv
import io
import itertools

import numpy as np
import pytest
from ase.build import bulk
from ase.optimize import FIRE
from rich.console import Console
from support.bundles import base_bundle, fake_bundle
from support.pair_potential import STRENGTH, PairPotential, phi

from moalloy_md.potentials.native import NativeCalculator
from moalloy_md.rundir import read_json
from moalloy_md.structures.lattice import neighbour_shells
from moalloy_md.workflows import relaxations
from moalloy_md.workflows.interaction import workflow
from moalloy_md.workflows.interaction.config import InteractionConfig
from moalloy_md.workflows.interaction.shown import show_results
from moalloy_md.workflows.interaction.workflow import interaction
from moalloy_md.workflows.properties.crystal import bcc_crystal

EDGE = 3.16


def quiet():
    return Console(file=io.StringIO())


@pytest.fixture
def pair_bundle(tmp_path, monkeypatch):
    """A bundle that the pair potential evaluates."""
    for module in (workflow, relaxations):
        monkeypatch.setattr(module, "bundle_calculator", lambda *_, **__: PairPotential())
    return fake_bundle(tmp_path / "bundle", ("Mo", "W", "Re", "Ti"))


def bonds(shell, repeat):
    """Sum of φ over the images of the second dopant of a pair in a shell."""
    vector = neighbour_shells("bcc", shell)[-1].vectors[0] * EDGE / 2
    images = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3))) * repeat * EDGE
    lengths = np.linalg.norm(vector + images, axis=1)
    return float(phi(lengths)[0].sum())


@pytest.mark.parametrize("repeat", [3, 4])
def test_unrelaxed_energies_are_those_of_the_bonds(pair_bundle, tmp_path, repeat):
    """Every pair, the vacancy, every shell, and images where the cell is small."""
    shells = (1, 2, 3, 4, 5, 7) if repeat == 3 else (1, 2, 3, 4, 5, 6, 7, 8)
    config = InteractionConfig(
        bundle=pair_bundle, repeat=repeat, lattice_parameter_angstrom=EDGE, shells=shells,
        dopants=("W", "Ti"), vacancy_shells=shells, max_steps=1,
    )  # fmt: skip
    results = interaction(config, out=tmp_path / "out", console=quiet())
    assert len(results.of("pair")) == 3 * len({(o.place) for o in results.of("pair")})
    assert len(results.of("vacancy")) == 2 * len({(o.place) for o in results.of("vacancy")})
    for one in results.interactions:
        x, y = (STRENGTH[member] for member in one.members)
        expected = (x - 1) * (y - 1) * bonds(one.shell, repeat)
        assert one.unrelaxed_ev == pytest.approx(expected, abs=1e-10), (one.name, one.place)
        if one.distance_angstrom > 5.9:
            assert one.unrelaxed_ev == pytest.approx(0, abs=1e-10), "out of reach"
    strongest = max(abs(one.unrelaxed_ev) for one in results.interactions)
    assert strongest > 0.05


def test_a_triplet_of_a_pair_potential_has_no_three_body_part(pair_bundle, tmp_path):
    config = InteractionConfig(
        bundle=pair_bundle, lattice_parameter_angstrom=EDGE, pairs="none", vacancy_shells=(),
        triplets=(("W", "Re", "Ti"), ("Ti", "Ti", "W"), ("W", "Ti", "Ti")), max_steps=1,
    )  # fmt: skip
    results = interaction(config, out=tmp_path / "out", console=quiet())
    found = results.of("triplet")
    assert [one.place for one in found] == ["1-1-2a", "1-1-2b", "1-1-2c", "1-1-2a", "1-1-2b"]
    for one in found:
        assert one.many_body_unrelaxed_ev == pytest.approx(0, abs=1e-10)
        sides = [side.rpartition(" ") for side in one.sides.split(", ")]
        expected = sum(
            np.prod([STRENGTH[x] - 1 for x in names.split("-")]) * bonds(int(shell), 4)
            for names, _, shell in sides
        )
        assert one.unrelaxed_ev == pytest.approx(expected, abs=1e-10)
        assert abs(one.many_body_relaxed_ev) > 1e-5, "relaxation is of all three"


def test_a_pair_has_no_order_and_nothing_is_computed_twice(pair_bundle, tmp_path):
    settings = {
        "bundle": pair_bundle, "repeat": 3, "lattice_parameter_angstrom": EDGE,
        "shells": (1, 2), "vacancy_shells": (),
    }  # fmt: skip
    first = interaction(
        InteractionConfig(**settings, dopants=("W", "Ti")), out=tmp_path / "out", console=quiet()
    )
    lines = (tmp_path / "out" / "cells" / "relaxations.jsonl").read_text()
    second = interaction(
        InteractionConfig(**settings, dopants=("Ti", "W")), out=tmp_path / "out", console=quiet()
    )
    assert first.interactions == second.interactions
    assert (tmp_path / "out" / "cells" / "relaxations.jsonl").read_text() == lines
    more = interaction(
        InteractionConfig(**settings, dopants=("Re", "Ti", "W")),
        out=tmp_path / "out",
        console=quiet(),
    )
    assert set(first.interactions) < set(more.interactions)
    after = (tmp_path / "out" / "cells" / "relaxations.jsonl").read_text()
    assert after.startswith(lines)
    assert len(after.splitlines()) == 1 + 3 + 2 * 6


def test_relaxed_energies_against_ase_by_hand(pair_bundle, tmp_path):
    config = InteractionConfig(
        bundle=pair_bundle, repeat=3, lattice_parameter_angstrom=EDGE, dopants=("Ti", "W"),
        shells=(2,), vacancy_shells=(1,), fmax_ev_per_angstrom=0.001,
    )  # fmt: skip
    results = interaction(config, out=tmp_path / "out", console=quiet())
    host = bulk("Mo", "bcc", a=EDGE, cubic=True).repeat(3)
    second = int(np.argmin(np.abs(host.get_distances(0, range(54), mic=True) - EDGE)))

    def energy(*, missing=(), **dopants):
        atoms = host.copy()
        for site, symbol in dopants.items():
            atoms.symbols[int(site[1:])] = symbol
        del atoms[list(missing)]
        atoms.calc = PairPotential()
        FIRE(atoms, logfile=None).run(fmax=0.0005, steps=500)
        return atoms.get_potential_energy()

    pair = energy(a0="Ti", **{f"a{second}": "W"}) + energy() - energy(a0="Ti") - energy(a0="W")
    vacancy = energy(a0="Ti", missing=(1,)) + energy() - energy(a0="Ti") - energy(missing=(0,))
    found = {(one.name, one.shell): one.relaxed_ev for one in results.interactions}
    assert found["Ti-W", 2] == pytest.approx(pair, abs=2e-4)
    assert found["Ti-vac", 1] == pytest.approx(vacancy, abs=2e-4)


def test_the_base_model_at_its_own_lattice_parameter(tmp_path):
    """With mace in the native engine, one pair by hand; further apart the energy dies off."""
    bundle = base_bundle(tmp_path / "bundle", ("Mo", "Zr", "Re"))
    config = InteractionConfig(
        bundle=bundle, repeat=3, dopants=("Zr",), shells=(1, 7), vacancy_shells=(),
        convergence={"pairs": [["Zr", "Re"]], "repeats": [2, 3, 4], "shells": [2]},
    )  # fmt: skip
    results = interaction(config, out=tmp_path / "out", console=quiet())
    calculator = NativeCalculator(bundle, precision="float64", threads=1)
    crystal = bcc_crystal("Mo", calculator)
    edge = crystal.cell.lengths()[0]
    assert results.about["lattice_parameter_angstrom"] == pytest.approx(edge, abs=1e-5)
    energies = []
    for sites in ((0, 1), (), (0,), (0,)):
        atoms = crystal.repeat(3)
        atoms.symbols[list(sites)] = "Zr"
        atoms.calc = calculator
        FIRE(atoms, logfile=None).run(fmax=0.002, steps=300)
        energies.append(atoms.get_potential_energy())
    by_hand = energies[0] + energies[1] - energies[2] - energies[3]
    near, far = results.interactions
    assert near.relaxed_ev == pytest.approx(by_hand, abs=3e-4)
    assert abs(far.unrelaxed_ev) < 0.05 * abs(near.unrelaxed_ev)
    (series,) = results.convergence
    assert [one.n_sites for one in series.energies] == [16, 54, 128]
    assert [one.n_contacts for one in series.energies] == [2, 1, 1]
    x = [1 / 54, 1 / 128]
    y = [one.relaxed_ev for one in series.energies[1:]]
    line = y[1] - x[1] * (y[0] - y[1]) / (x[0] - x[1])
    assert series.limit.limit_ev == pytest.approx(line), "the cell with two contacts is left out"


def test_what_is_written_and_shown(pair_bundle, tmp_path):
    config = InteractionConfig(
        bundle=pair_bundle, lattice_parameter_angstrom=EDGE, shells=(1, 2, 6), vacancy_shells=(1,),
        triplets=(("W", "W", "Ti"),), heat_map_shells=(1,), max_steps=2,
        convergence={"pairs": [["Ti", "Ti"]], "repeats": [3, 4]},
    )  # fmt: skip
    out = tmp_path / "out"
    results = interaction(config, out=out, console=quiet())
    content = read_json(out / "interaction.json")
    assert content["dopants"] == ["W", "Re", "Ti"]
    assert content["lattice_parameter_angstrom"] == EDGE
    by_kind = {"pair": 6 * 3, "vacancy": 3, "triplet": 2}
    for kind, n in by_kind.items():
        assert sum(one["kind"] == kind for one in content["interactions"]) == n
    assert content["unconverged"], "two steps are few"
    assert not all(one.converged for one in results.interactions)
    with (out / "pairs.csv").open() as file:
        rows = list(csv.DictReader(file))
    by_hand = {(o.members, o.place): o for o in results.of("pair")}
    for row in rows:
        one = by_hand[(row["x"], row["y"]), row["shell"]]
        assert float(row["relaxed_mev"]) == pytest.approx(1000 * one.relaxed_ev, abs=1e-3)
        assert int(row["n_contacts"]) == (2 if row["shell"] == "6" else 1)
    for name in ("vacancies.csv", "triplets.csv", "convergence.csv"):
        assert len((out / name).read_text().splitlines()) > 1
    pictures = {path.name for path in out.glob("*.png")}
    assert pictures == {"heat_map_shell_1.png", "distance.png", "convergence.png"}
    screen = io.StringIO()
    show_results(results, Console(file=screen, width=100))
    text = screen.getvalue()
    strongest = max(results.of("pair"), key=lambda one: one.relaxed_ev)
    assert strongest.name in text
    assert "6 (2 contacts)" in text
    assert "Three dopants" in text
    assert "did not relax" in text


def test_an_atom_that_leaves_its_site_is_told(pair_bundle, tmp_path, monkeypatch):
    config = InteractionConfig(
        bundle=pair_bundle, lattice_parameter_angstrom=EDGE, pairs="none", dopants=("Ti",),
        vacancy_shells=(1,), repeat=3,
    )  # fmt: skip
    honest = relaxations.relax_one

    def jump(task, *arguments, **options):
        """Let the atom beside the vacancy end where the vacancy was."""
        found = honest(task, *arguments, **options)
        if task.key.endswith("vac-shell1"):
            found.positions[0] += 0.9 * np.sqrt(3) / 2 * EDGE * np.array([1, 1, 1]) / np.sqrt(3)
        return found

    monkeypatch.setattr(relaxations, "relax_one", jump)
    results = interaction(config, out=tmp_path / "out", console=quiet())
    assert results.left_sites == ("bcc3x3x3-Mo52Ti1-vac-shell1",)
    screen = io.StringIO()
    show_results(results, Console(file=screen, width=200))
    assert "an atom left its site" in screen.getvalue()
