"""Dilute cells: counted against the formula and the paper, and compared with each other."""

import re
from collections import Counter
from itertools import combinations, product

import numpy as np
import pytest
from ase.geometry import get_distances

from moalloy_md.config import validate
from moalloy_md.elements import ALL_DOPANTS, DOPANTS
from moalloy_md.errors import ConfigError, DataError
from moalloy_md.structures.dilute import (
    DiluteConfig,
    decorations,
    dilute_cells,
    dilute_counts,
)
from moalloy_md.structures.files import write_cells
from moalloy_md.structures.host import HostCell, host_atoms
from moalloy_md.structures.lattice import cubic_rotations
from moalloy_md.structures.variants import Variant


def same_crystal(first, second):
    """Whether a rotation, reflection or translation takes one decorated cube to the other."""
    if Counter(first.symbols) != Counter(second.symbols):
        return False
    edge = first.cell[0, 0]
    start = next(i for i, x in enumerate(first.symbols) if x != "Mo")
    for matrix in cubic_rotations():
        turned = first.positions @ matrix.T
        for site in np.flatnonzero(second.numbers == first.numbers[start]):
            away = (turned + second.positions[site] - turned[start])[:, None] - second.positions
            away -= edge * np.rint(away / edge)
            match = np.linalg.norm(away, axis=2).argmin(axis=1)
            if (second.numbers[match] == first.numbers).all():
                return True
    return False


@pytest.mark.parametrize(("lattice", "repeat"), [("bcc", 2), ("fcc", 2)])
def test_no_two_cells_are_alike_and_every_pair_of_sites_is_represented(lattice, repeat):
    shells = (1, 2, 3) if lattice == "bcc" else (1, 2)
    config = DiluteConfig(lattice=lattice, repeat=repeat, dopants=("W", "V"), shells=shells)
    cells = list(decorations(config))
    assert len(cells) == dilute_counts(config).total == 1 + 2 + 3 * len(shells)
    for first, second in combinations(cells[1:], 2):
        assert not same_crystal(first, second)
    host = host_atoms(config)
    for x, y in product(("W", "V"), repeat=2):
        for site in range(1, len(host)):
            atoms = host.copy()
            atoms.symbols[0], atoms.symbols[site] = x, y
            alike = [cell for cell in cells[3:] if same_crystal(atoms, cell)]
            nearest = get_distances(
                host.positions[0], host.positions[site], cell=host.cell, pbc=True
            )[1].item()
            a = config.edge_angstrom
            radii = {"bcc": [0.75, 1, 2], "fcc": [0.5, 1]}[lattice]
            in_shells = any(abs(nearest - a * r**0.5) < 1e-6 for r in radii)
            assert len(alike) == in_shells


@pytest.mark.parametrize("lattice", ["bcc", "fcc"])
def test_the_formula(lattice):
    """20 singles, 20·21/2 pairs in 3 shells, the host: 651 cells for each host."""
    config = DiluteConfig(lattice=lattice)
    counts = dilute_counts(config)
    assert (counts.singles, counts.element_pairs, counts.pair_places) == (20, 210, 3)
    assert counts.total == 1 + 20 + 210 * 3 == 651
    cells = list(dilute_cells(config))
    assert len(cells) == 651
    assert len({atoms.info["name"] for atoms in cells}) == 651
    assert len({atoms.info["group"] for atoms in cells}) == 651
    found = Counter(
        (atoms.info.get("shell"), tuple(sorted(x for x in atoms.symbols if x != "Mo")))
        for atoms in cells
    )
    assert set(found.values()) == {1}
    for shell in (1, 2, 3):
        pairs = {dopants for s, dopants in found if s == shell}
        assert len(pairs) == 210
        assert {x for pair in pairs for x in pair} == set(ALL_DOPANTS)


def test_the_papers_equilibrium_set_has_as_many_cells():
    """It has 420: two hosts with 11 dopants, alone and in all pairs in three shells."""
    configs = [DiluteConfig(lattice=lattice, dopants=DOPANTS) for lattice in ("bcc", "fcc")]
    assert sum(dilute_counts(config).total for config in configs) == 420


@pytest.mark.parametrize(("lattice", "n", "edge"), [("bcc", 128, 12.65), ("fcc", 108, 12.02)])
def test_the_papers_cells(lattice, n, edge):
    for atoms in dilute_cells(DiluteConfig(lattice=lattice, dopants=("W", "Ta"))):
        assert len(atoms) == n
        assert atoms.cell.array == pytest.approx(np.diag([edge] * 3))
        assert atoms.pbc.all()
        assert atoms.info["state"] == "ideal"
        assert (atoms.info["host"], atoms.info["lattice"]) == ("Mo", lattice)
        dopants = np.flatnonzero(np.array(atoms.symbols) != "Mo")
        if len(dopants) == 2:
            a = {"bcc": edge / 4, "fcc": edge / 3}[lattice]
            squares = {"bcc": (0.75, 1, 2), "fcc": (0.5, 1, 1.5)}[lattice]
            expected = a * squares[atoms.info["shell"] - 1] ** 0.5
            assert atoms.get_distance(*dopants, mic=True) == pytest.approx(expected)
            assert atoms.info["n_contacts"] == 1


def test_names_say_what_a_cell_is():
    config = DiluteConfig(
        dopants=("W", "Ta"),
        shells=(2,),
        vacancy_shells=(1,),
        variants=(
            Variant(rattle_angstrom=0.06, copies=2),
            Variant(strain=-0.02, shear=0.01, rattle_angstrom=0.04),
        ),
    )
    names = [atoms.info["name"] for atoms in dilute_cells(config)]
    assert len(names) == 4 * dilute_counts(config).total == 4 * (1 + 2 + 3 + 1 + 2)
    for name in (
        "bcc4x4x4-Mo128-ideal",
        "bcc4x4x4-Mo127W1-rattle0.060-1",
        "bcc4x4x4-Mo126Ta1W1-shell2-strain-0.020-shear+0.010-rattle0.040",
        "bcc4x4x4-Mo127-vac-ideal",
        "bcc4x4x4-Mo126W1-vac-shell1-ideal",
    ):
        assert name in names
    other = DiluteConfig(dopants=("W",), repeat=(2, 2, 3), lattice_parameter_angstrom=3.2)
    names = [atoms.info["name"] for atoms in dilute_cells(other)]
    assert "bcc2x2x3-Mo22W2-shell2a-a3.2000-ideal" in names
    assert "bcc2x2x3-Mo22W2-shell2b-a3.2000-ideal" in names


def test_a_vacancy_stands_beside_its_dopant():
    config = DiluteConfig(
        dopants=("Y",), pairs="none", pure=False, singles=False, vacancy_shells=(1, 2)
    )
    ideal = host_atoms(config)
    alone, *beside = dilute_cells(config)
    assert (len(alone), set(alone.symbols)) == (127, {"Mo"})
    for atoms, distance in zip(beside, (0.75**0.5, 1.0), strict=True):
        assert len(atoms) == 127
        (dopant,) = np.flatnonzero(atoms.symbols == "Y")
        taken = {tuple(np.round(x, 6)) for x in atoms.positions}
        (empty,) = [x for x in ideal.positions if tuple(np.round(x, 6)) not in taken]
        away = get_distances(atoms.positions[dopant], empty, cell=atoms.cell, pbc=True)[1].item()
        assert away == pytest.approx(distance * config.edge_angstrom)


def test_variants_are_what_they_say():
    config = DiluteConfig(
        dopants=("W",), pairs="none", pure=False, repeat=6, ideal=False,
        variants=(
            Variant(rattle_angstrom=0.1, copies=3), Variant(strain=0.02), Variant(shear=0.03)
        ),
    )  # fmt: skip
    *rattled, strained, sheared = dilute_cells(config)
    (ideal,) = dilute_cells(config.model_copy(update={"ideal": True, "variants": ()}))
    assert {atoms.info["group"] for atoms in (*rattled, strained, sheared)} == {ideal.info["group"]}
    assert {atoms.info["state"] for atoms in (*rattled, strained, sheared)} == {"noneq"}
    for atoms in rattled:
        moved = atoms.positions - ideal.positions
        n = moved.size  # the standard deviation of a standard deviation is σ/√(2n)
        assert moved.std() == pytest.approx(0.1, abs=4 * 0.1 / (2 * n) ** 0.5)
        assert abs(moved.mean()) < 4 * 0.1 / n**0.5
    assert not np.allclose(rattled[0].positions, rattled[1].positions)
    assert strained.get_volume() / ideal.get_volume() == pytest.approx(1.02**3)
    assert strained.get_scaled_positions() == pytest.approx(ideal.get_scaled_positions())
    x, y, z = ideal.positions.T
    assert sheared.positions == pytest.approx(np.stack([x, y + 0.03 * x, z], axis=1))
    assert sheared.get_volume() == pytest.approx(ideal.get_volume())


def test_a_cell_can_be_made_again_on_its_own():
    variants = (Variant(rattle_angstrom=0.1),)
    many = DiluteConfig(dopants=("W", "Ta", "V"), repeat=3, variants=variants)
    one = DiluteConfig(dopants=("V",), repeat=3, pure=False, pairs="none", variants=variants)
    by_name = {atoms.info["name"]: atoms for atoms in dilute_cells(many)}
    for atoms in dilute_cells(one):
        assert by_name[atoms.info["name"]] == atoms


def test_magnetic_dopants_start_with_a_moment():
    config = DiluteConfig(
        dopants=("Fe", "Mn", "W"), repeat=3, shells=(1,), pure=False, spin_starts="both",
        variants=(Variant(rattle_angstrom=0.05),),
    )  # fmt: skip
    cells = list(dilute_cells(config))
    # 3 singles and 6 pairs, ideal and rattled; the 3 pairs of Fe and Mn twice
    assert len(cells) == 2 * (3 + 6 + 3)
    for atoms in cells:
        moments = atoms.get_initial_magnetic_moments()
        magnetic = np.isin(atoms.symbols, ["Fe", "Mn"])
        assert (moments[~magnetic] == 0).all()
        assert (moments[magnetic] != 0).all()
        assert atoms.has("initial_magmoms") == magnetic.any()
        signs = set(np.sign(moments[magnetic]))
        turned = atoms.info["name"].endswith("antiparallel")
        assert signs == ({1, -1} if turned else {1} if magnetic.any() else set())
    by_name = {atoms.info["name"]: atoms for atoms in cells}
    for name, atoms in by_name.items():
        if name.endswith("-antiparallel"):
            parallel = by_name[name.removesuffix("-antiparallel")]
            assert parallel.info["group"] == atoms.info["group"]
            assert (parallel.positions == atoms.positions).all()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"dopants": ["W", "Xx"]}, r"dopants\.1: expected a chemical symbol"),
        ({"dopants": ["W", "Mo"]}, "dopants other than the host Mo"),
        ({"dopants": ["W", "V", "W"]}, "each dopant once, found W more than once"),
        ({"shells": [0]}, "shells: expected different shell numbers from 1 on"),
        ({"shells": [1, 1]}, "shells: expected different shell numbers"),
        ({"repeat": 0}, "repeat: expected numbers of cells from 1 on"),
        ({"repeat": [2, 2]}, "repeat: expected one number of cells or three, found 2$"),
        ({"repeat": 1}, "leaves atoms of the host, found 2 sites"),
        ({"host": "Nb", "dopants": ["W"]}, "lattice_parameter_angstrom for the host Nb"),
        ({"variants": [{"ratle_angstrom": 0.1}]}, "did you mean 'rattle_angstrom'"),
        ({"lattice": "hcp"}, "lattice: .*'bcc' or 'fcc'"),
    ],
)
def test_settings_are_checked(content, sentence):
    with pytest.raises(ConfigError, match=sentence):
        validate(content, DiluteConfig, source="x.yaml")


def test_files_are_whole_and_never_replace_others(tmp_path):
    cells = list(dilute_cells(DiluteConfig(dopants=("W",), repeat=2)))
    path = tmp_path / "cells.extxyz"
    write_cells(path, cells)
    before = path.read_bytes()
    write_cells(path, cells)
    assert path.read_bytes() == before
    with pytest.raises(DataError, match="expected no file or one with these cells"):
        write_cells(path, cells[1:])
    with pytest.raises(ConfigError, match=re.escape("Mo16-ideal 2 times (1 such names)")):
        write_cells(tmp_path / "x.extxyz", [*cells, cells[0]])
    assert [p.name for p in tmp_path.iterdir()] == ["cells.extxyz"]


def test_host_cells_of_other_elements():
    cell = HostCell(host="W", lattice_parameter_angstrom=3.18, repeat=(2, 1, 3))
    atoms = host_atoms(cell)
    assert (len(atoms), set(atoms.symbols)) == (cell.n_sites, {"W"}) == (12, {"W"})
    assert np.diag(atoms.cell.array) == pytest.approx([6.36, 3.18, 9.54])
