"""Each topic of ``moalloy analyze`` on planted structures whose answer is known."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from matscipy.neighbours import neighbour_list
from support.frames import write_dump as dump

from moalloy_md.analysis.thermal_motion import diffusion_coefficient, unwrap
from moalloy_md.analysis.topics.clusters import Clusters, ClusterSettings
from moalloy_md.analysis.topics.defects import Defects, DefectSettings
from moalloy_md.analysis.topics.dislocations import Dislocations, DislocationSettings
from moalloy_md.analysis.topics.grains import Grains, GrainSettings
from moalloy_md.analysis.topics.msd import MeanSquaredDisplacement, MsdSettings
from moalloy_md.analysis.topics.rdf import RadialDistributions, RdfSettings
from moalloy_md.analysis.topics.sro import ShortRangeOrder, SroSettings, pair_counts
from moalloy_md.analysis.topics.structure import Structure, StructureSettings
from moalloy_md.analysis.topics.voronoi import Voronoi, VoronoiSettings
from moalloy_md.analysis.trajectory import Trajectory
from moalloy_md.errors import DataError
from moalloy_md.structures.solid_solution import solid_solution

A0 = 3.15


def bcc(repeat=6, *, rattle=0.0, seed=1):
    atoms = bulk("Mo", "bcc", a=A0, cubic=True) * ((repeat,) * 3 if np.isscalar(repeat) else repeat)
    atoms.rattle(rattle, seed=seed)
    return atoms


def measured(measure, settings, file, **options):
    """Rows of a topic, and the measure itself."""
    trajectory = Trajectory([file])
    made = measure(n_frames=len(trajectory.addresses), settings=settings, **options)
    return [made.see(frame) for frame in trajectory.frames()], made


def joined(path, *frames):
    """Several frames in one dump."""
    parts = [
        dump(atoms, path.parent / f"{path.name}.{k}", step=k) for k, atoms in enumerate(frames)
    ]
    path.write_text("".join(part.read_text() for part in parts))
    return path


def extxyz(path, atoms):
    write(path, atoms, format="extxyz")
    return path


def test_structure_tells_bcc_fcc_and_hcp(tmp_path):
    fcc = bulk("Cu", "fcc", a=3.61, cubic=True) * (4, 4, 4)
    hcp = bulk("Ti", "hcp", a=2.95, c=4.69, orthorhombic=True) * (6, 4, 4)
    file = joined(tmp_path / "three", bcc(5, rattle=0.08), fcc, hcp)
    rows, _ = measured(Structure, StructureSettings(), file)
    assert [row["bcc"] > 0.99 for row in rows] == [True, False, False]
    assert [row["fcc"] for row in rows] == [0, 1, 0]
    assert [row["hcp"] for row in rows] == [0, 0, 1]
    assert all(sum(row.values()) == pytest.approx(1.0) for row in rows)


@pytest.fixture
def defective(tmp_path):
    """A hot, expanded crystal with a divacancy, a vacancy far away, and an interstitial."""
    perfect = bcc(7)
    atoms = perfect.copy()
    here = atoms.positions
    find = lambda *site: int(np.argmin(np.linalg.norm(here - np.array(site) * A0, axis=1)))  # noqa: E731
    gone = [find(1, 1, 1), find(1.5, 1.5, 1.5), find(5, 5, 5)]
    atoms += Atoms("Mo", [[3.25 * A0, 3.5 * A0, 4.0 * A0]])
    del atoms[gone]
    atoms.set_cell(atoms.cell * 1.015, scale_atoms=True)
    atoms.rattle(0.06, seed=2)
    atoms.wrap()
    return dump(perfect, tmp_path / "perfect"), dump(atoms, tmp_path / "hot")


def test_planted_defects_are_counted(defective):
    reference, file = defective
    (row,), measure = measured(Defects, DefectSettings(reference=reference), file)
    assert (row["vacancies"], row["interstitials"]) == (3, 1)
    assert (row["vacancy_clusters"], row["vacancy_largest"]) == (1, 2)
    assert (row["interstitial_clusters"], row["interstitial_largest"]) == (0, 1)
    assert row["vacancy_fraction"] == pytest.approx(3 / 686)
    assert set(measure.columns) == set(row)


def test_a_perfect_crystal_has_no_defects(defective, tmp_path):
    file = dump(bcc(7, rattle=0.1), tmp_path / "warm")
    (row,), _ = measured(Defects, DefectSettings(reference=defective[0]), file)
    assert set(row.values()) == {0.0}


def test_defects_need_a_reference(defective, tmp_path):
    with pytest.raises(DataError, match="expected a reference crystal, found none: give --refer"):
        measured(Defects, DefectSettings(), defective[1])
    with pytest.raises(DataError, match="nowhere: expected a reference crystal, found no such"):
        measured(Defects, DefectSettings(reference=tmp_path / "nowhere"), defective[1])
    (tmp_path / "text").write_text("no crystal\n")
    with pytest.raises(DataError, match="text: expected a reference crystal that OVITO can read"):
        measured(Defects, DefectSettings(reference=tmp_path / "text"), defective[1])


def test_order_of_b2_is_complete(tmp_path):
    """CsCl order: all 8 nearest neighbours are unlike, all 6 second ones and 12 third ones alike."""
    atoms = bcc(5)
    atoms.symbols[1::2] = "W"
    (row,), measure = measured(ShortRangeOrder, SroSettings(), dump(atoms, tmp_path / "b2"))
    for shell, sign in ((1, -1), (2, 1), (3, 1)):
        assert row[f"alpha_Mo-W_{shell}"] == pytest.approx(sign, abs=1e-12)
        assert row[f"alpha_Mo-Mo_{shell}"] == pytest.approx(-sign, abs=1e-12)
        assert row[f"alpha_W-W_{shell}"] == pytest.approx(-sign, abs=1e-12)
    assert measure.cautions == []


def test_pairs_are_those_of_another_neighbour_list(tmp_path):
    """Three elements in a sheared, rattled cell that is smaller than the shells."""
    rng = np.random.default_rng(3)
    atoms = bcc(2, rattle=0.05)
    atoms.set_cell(atoms.cell.array @ [[1, 0, 0], [0.05, 1, 0], [0.02, -0.04, 1]], scale_atoms=True)
    atoms.symbols = rng.choice(["Mo", "W", "Re"], len(atoms))
    bounds = np.array([2.9, 3.8, 4.8])
    (frame,) = Trajectory([extxyz(tmp_path / "a.extxyz", atoms)]).frames()
    found = pair_counts(frame, bounds)
    i, j, d = neighbour_list("ijd", atoms, bounds[-1])
    symbols = np.array(sorted(set(atoms.symbols)))
    a, b = (np.searchsorted(symbols, np.array(atoms.get_chemical_symbols())[k]) for k in (i, j))
    expected = np.zeros_like(found)
    np.add.at(expected, (a, b, np.searchsorted(bounds, d)), 1)
    # one distance may lie in the bin that an end of a shell divides
    assert np.abs(found - expected).max() <= 2
    assert found.sum() == pytest.approx(expected.sum(), abs=2)
    np.testing.assert_array_equal(found, found.transpose(1, 0, 2))


def test_scatter_of_random_alloys_is_what_is_said(tmp_path):
    atoms = [
        solid_solution(
            dopants={"W": 0.2}, repeat=(5, 5, 5), lattice_parameter_angstrom=A0, seed=seed
        )
        for seed in range(60)
    ]
    rows, measure = measured(ShortRangeOrder, SroSettings(shells=2), joined(tmp_path / "r", *atoms))
    for k, pair in enumerate(("Mo-Mo", "Mo-W", "W-W")):
        alphas = [row[f"alpha_{pair}_1"] for row in rows]
        sigma = measure._chance[k, 0] / 2
        # of 60 samples the deviation itself is known to 9 %, the mean to sigma/8
        assert np.std(alphas, ddof=1) == pytest.approx(sigma, rel=0.3), pair
        assert abs(np.mean(alphas)) < sigma, pair
    table = measure.tables(rows)["alpha"]
    assert [curve.label for curve in table.curves] == ["Mo-Mo", "Mo-W", "W-W"]


def test_shells_of_another_crystal_are_said_aloud(tmp_path):
    atoms = bulk("Cu", "fcc", a=3.61, cubic=True) * (4, 4, 4)
    atoms.symbols[::3] = "Ni"
    file = dump(atoms, tmp_path / "fcc")
    _, wrong = measured(ShortRangeOrder, SroSettings(), file)
    assert "shell 1: expected 8 neighbours, found 12.00" in wrong.cautions[0]
    n_cautions = len(wrong.cautions)
    wrong.see(next(Trajectory([file]).frames()))
    assert len(wrong.cautions) == n_cautions  # each shell is told once
    _, right = measured(ShortRangeOrder, SroSettings(lattice="fcc"), file)
    assert right.cautions == []


def test_one_element_has_no_order(tmp_path):
    with pytest.raises(DataError, match=r"expected two or more elements .* found Mo alone"):
        measured(ShortRangeOrder, SroSettings(), dump(bcc(3), tmp_path / "a"))


def test_planted_clusters_are_counted(tmp_path):
    """A row of three first neighbours, a pair of second neighbours, one alone; across the boundary."""
    atoms = bcc(6)
    sites = [(0, 0, 0), (0.5, 0.5, 0.5), (5.5, 5.5, 5.5), (3, 3, 3), (4, 3, 3), (3, 0, 3)]
    for site in sites:
        where = np.argmin(np.linalg.norm(atoms.positions - np.array(site) * A0, axis=1))
        atoms.symbols[int(where)] = "Ta"
    file = dump(atoms, tmp_path / "a")
    (row,), _ = measured(Clusters, ClusterSettings(), file)
    assert (row["n_solutes"], row["n_clusters"], row["largest"]) == (6, 2, 3)
    assert [row[f"size_{k}"] for k in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert row["clustered"] == pytest.approx(5 / 6)
    (first_shell,), _ = measured(Clusters, ClusterSettings(cutoff_angstrom=2.9), file)
    assert (first_shell["n_clusters"], first_shell["size_1"]) == (1, 3)


def test_solutes_that_are_not_there(tmp_path):
    file = dump(bcc(3), tmp_path / "a")
    with pytest.raises(DataError, match="expected solute atoms of Re, found Mo alone"):
        measured(Clusters, ClusterSettings(solutes=("Re",)), file)
    with pytest.raises(DataError, match="expected solute atoms, found Mo alone"):
        measured(Clusters, ClusterSettings(), file)


def test_voronoi_cells_fill_the_cell(tmp_path):
    atoms = bcc(4, rattle=0.15)
    atoms.symbols[:20] = "W"
    file = joined(tmp_path / "a", bcc(4), atoms)
    rows, _ = measured(Voronoi, VoronoiSettings(), file)
    assert rows[0]["volume_Mo"] == pytest.approx(A0**3 / 2, rel=1e-6)
    assert rows[0]["spread_Mo"] == pytest.approx(0.0, abs=1e-6)
    total = rows[1]["volume_Mo"] * 108 + rows[1]["volume_W"] * 20
    assert total == pytest.approx(atoms.get_volume(), rel=1e-6)
    assert rows[1]["spread_Mo"] > 0.1


def test_a_planted_screw_dislocation(tmp_path):
    """u_z = b θ / 2π about the axis of a cylinder along [111], b = a/2 [111] (Volterra)."""
    from ase.build import cut

    unit = cut(bulk("Mo", "bcc", a=A0, cubic=True), a=(1, -1, 0), b=(1, 1, -2), c=(0.5, 0.5, 0.5))
    unit.rotate(unit.cell[2], "z", rotate_cell=True)
    unit.rotate(unit.cell[0], "x", rotate_cell=True)
    atoms = unit * (16, 10, 6)
    centre = atoms.positions.mean(axis=0) + np.array([0.31, 0.23, 0.0])
    x, y = (atoms.positions - centre)[:, :2].T
    b = A0 * np.sqrt(3) / 2
    atoms.positions[:, 2] += b * np.arctan2(y, x) / (2 * np.pi)
    atoms = atoms[np.hypot(x, y) < 25.0]
    atoms.set_cell([*(atoms.cell.lengths()[:2] + 20.0), atoms.cell.lengths()[2]])
    atoms.pbc = (False, False, True)
    atoms.wrap()
    file = extxyz(tmp_path / "screw.extxyz", atoms)
    (row,), _ = measured(Dislocations, DislocationSettings(), file)
    assert row["n_lines"] == 1
    assert row["length_1/2<111>"] == pytest.approx(6 * b, rel=0.05)
    assert row["length"] == row["length_1/2<111>"]
    assert row["density"] == pytest.approx(row["length"] / atoms.get_volume() * 1e20, rel=1e-6)


def test_a_bicrystal_has_two_grains(tmp_path):
    crystal = bcc(14)
    crystal.positions -= crystal.positions.mean(axis=0) - 0.01
    turned = crystal.copy()
    turned.rotate(30, "z")
    half = 14.0
    inside = [np.abs(a.positions).max(axis=1) < half for a in (crystal, turned)]
    left = crystal[inside[0] & (crystal.positions[:, 0] < -0.6)]
    right = turned[inside[1] & (turned.positions[:, 0] > 0.6)]
    atoms = left + right
    atoms.set_cell([40.0] * 3)
    atoms.pbc = False
    (row,), _ = measured(Grains, GrainSettings(), extxyz(tmp_path / "two.extxyz", atoms))
    assert row["n_grains"] == 2
    assert row["largest"] < 0.55 * row["n_grains"] * row["mean_size"]
    # the rest is at the surface (two layers of so small a body) or in the boundary
    assert row["outside"] == pytest.approx(1 - 2 * row["mean_size"] / len(atoms))
    assert 0.4 < row["outside"] < 0.75


def test_neighbours_of_a_crystal_and_density_of_a_gas(tmp_path):
    rng = np.random.default_rng(5)
    settings = RdfSettings(cutoff_angstrom=6.0, bins=120)
    _, crystal = measured(RadialDistributions, settings, dump(bcc(4), tmp_path / "a"))
    table = crystal.tables([])["rdf"]
    (curve,) = table.curves
    density = 2 / A0**3
    near = table.x < 2.95
    shell = 4 * np.pi * table.x**2 * (6.0 / 120) * density
    assert (curve.y * shell)[near].sum() == pytest.approx(8.0, rel=0.01)
    assert curve.error is None  # one frame
    gas = [bcc(5) for _ in range(10)]
    for atoms in gas:
        atoms.set_scaled_positions(rng.random((len(atoms), 3)))
        atoms.symbols[:50] = "W"
    _, measure = measured(RadialDistributions, settings, joined(tmp_path / "gas", *gas))
    table = measure.tables([])["rdf"]
    assert [c.label for c in table.curves] == ["Mo-Mo", "Mo-W", "W-W"]
    far = table.x > 2.0
    for curve in table.curves:
        off = (curve.y - 1.0)[far] / curve.error[far]
        # weighted by volume these are all pairs: 1,400 of W-W, 4,500 and more of the others
        mean = np.average(curve.y[far], weights=table.x[far] ** 2)
        assert mean == pytest.approx(0.98 if curve.label == "W-W" else 1.0, abs=0.08)
        assert np.sqrt(np.mean(off**2)) < 2.5  # errors of five blocks each


def walk(path, *, n_atoms, n_frames, sigma, seed, drift=0.0):
    """A random walk in a small periodic box: D = σ²/2 per step of one ps; ids in no order."""
    rng = np.random.default_rng(seed)
    place, box, lines = rng.random((n_atoms, 3)) * 6.0, 6.0, []
    for step in range(n_frames):
        lines += [f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{n_atoms}"]
        lines += [
            "ITEM: BOX BOUNDS pp pp pp",
            *3 * [f"0 {box}"],
            "ITEM: ATOMS id type element x y z",
        ]
        for k in rng.permutation(n_atoms):
            kind = "1 Mo" if k % 2 else "2 W"
            lines.append(f"{k + 1} {kind} " + " ".join(f"{x:.8f}" for x in place[k] % box))
        scale = np.where(np.arange(n_atoms) % 2, 1.0, 2.0)[:, None]
        place = place + drift + scale * sigma * rng.standard_normal((n_atoms, 3))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_diffusion_of_a_random_walk_is_within_its_error(tmp_path):
    """Mo: D = σ²/2, W twice as far a step: four times that. A common drift does not count."""
    file = walk(tmp_path / "a", n_atoms=60, n_frames=161, sigma=0.2, seed=6, drift=0.3)
    settings = MsdSettings(windows=8, timestep_ps=1.0)
    _, measure = measured(MeanSquaredDisplacement, settings, file)
    found = measure.quantities()
    for symbol, truth in (("Mo", 0.02), ("W", 0.08)):
        d = found[f"diffusion_{symbol}"]
        assert d.n_samples == 8
        assert abs(d.value - truth * 1e-8) < 4 * d.error
        assert d.error < 0.25 * truth * 1e-8
    curve = measure.tables([])["msd"].curves[0]
    assert len(curve.y) == 21
    assert curve.y[0] == 0.0
    assert curve.y[1] == pytest.approx({"Mo": 0.12, "W": 0.48}[curve.label], rel=0.1)


def test_both_ways_to_diffusion_agree(tmp_path):
    """`moalloy simulate thermal` has the other one: of the same frames both say the same."""
    file = walk(tmp_path / "a", n_atoms=100, n_frames=401, sigma=0.1, seed=7)
    _, measure = measured(MeanSquaredDisplacement, MsdSettings(windows=8, timestep_ps=1.0), file)
    positions = []
    for frame in Trajectory([file]).frames():
        order = np.argsort(np.array(frame.data.particles.identifiers))
        positions.append(np.array(frame.data.particles.positions)[order])
    path = unwrap(positions, np.broadcast_to(6.0 * np.eye(3), (401, 3, 3)))
    for symbol, truth in (("Mo", 0.005), ("W", 0.02)):
        own = path[:, 1::2] if symbol == "Mo" else path[:, ::2]
        other = diffusion_coefficient(own, interval_ps=1.0)
        found = measure.quantities()[f"diffusion_{symbol}"]
        assert abs(other.value - truth) < 4 * other.error
        error = np.hypot(found.error * 1e8, other.error)
        assert abs(found.value * 1e8 - other.value) < 3 * error
        assert error < 0.2 * truth


def test_what_msd_cannot_do_without(tmp_path):
    file = walk(tmp_path / "a", n_atoms=8, n_frames=12, sigma=0.1, seed=1)
    with pytest.raises(DataError, match="expected 21 frames or more for 5 windows, found 12"):
        measured(MeanSquaredDisplacement, MsdSettings(), file)
    with pytest.raises(DataError, match=r"expected times in the frames .*: give --timestep-ps"):
        measured(MeanSquaredDisplacement, MsdSettings(windows=2), file)
    lost = joined(tmp_path / "b", *(bcc(2)[: 16 - (k > 3)] for k in range(6)))
    with pytest.raises(DataError, match="expected the atoms of the first frame, found others"):
        measured(MeanSquaredDisplacement, MsdSettings(windows=1, timestep_ps=1.0), lost)
