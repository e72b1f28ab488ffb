"""JSON lists of the Materials Virtual Lab: groups, states, order and sign of the stress."""

import json

import numpy as np
import pytest
from support.labelled import bcc, compute, relaxation, trajectory

from moalloy_md.datasets.frames import read_dataset
from moalloy_md.datasets.importers.config import ImportConfig
from moalloy_md.datasets.importers.importing import import_files
from moalloy_md.errors import DataError

KBAR_PER_EV_A3 = 1602.176634
VASP_ORDER = [0, 1, 2, 5, 3, 4]  # xx yy zz xy yz zx from ASE's xx yy zz yz xz xy


def entry(atoms, tag, note):
    return {
        "structure": {
            "lattice": {"matrix": atoms.cell.array.tolist()},
            "sites": [
                {"species": [{"element": symbol, "occu": 1}], "abc": abc.tolist()}
                for symbol, abc in zip(atoms.symbols, atoms.get_scaled_positions(), strict=True)
            ],
        },
        "outputs": {
            "energy": atoms.get_potential_energy(),
            "forces": atoms.get_forces().tolist(),
            "stress": (-atoms.get_stress()[VASP_ORDER] * KBAR_PER_EV_A3).tolist(),
        },
        "tags": [tag],
        "notes": {tag: note},
        "params": {"pp": {"Mo": "Mo_pv", "W": "W_pv"}, "e_cut": 520, "k_prod": 40},
        "group": "W-Mo",
        "_id": f"id-{tag}-{note}",
    }


def imported(tmp_path, entries, **settings):
    (tmp_path / "set.json").write_text(json.dumps(entries))
    out = tmp_path / "data.extxyz"
    summary = import_files([tmp_path / "set.json"], out, ImportConfig(**settings), overwrite=True)
    return read_dataset(out), summary


def test_labels_and_settings(tmp_path):
    cells = trajectory(3, {0: "W"})
    frames, _ = imported(
        tmp_path, [entry(atoms, "unrelax", str(k)) for k, atoms in enumerate(cells)]
    )
    for frame, atoms in zip(frames, cells, strict=True):
        assert frame.energy_ev == pytest.approx(atoms.get_potential_energy())
        np.testing.assert_allclose(frame.forces, atoms.get_forces(), atol=1e-8)
        np.testing.assert_allclose(frame.stress, atoms.get_stress(), atol=1e-12)
    info = frames[0].atoms.info
    assert info["energy_kind"] == "unstated"
    assert (info["cutoff_ev"], info["pseudopotentials"]) == (520.0, "Mo_pv W_pv")
    assert info["mvl_id"] == "id-unrelax-0"


def test_relaxed_and_unrelaxed_entries_of_a_decoration_are_one_group(tmp_path):
    first, second = relaxation(2, {0: "W"}, end=0.01), relaxation(2, {0: "W", 3: "W"}, end=0.3)
    entries = [
        entry(second[0], "unrelax", "2"),
        entry(first[1], "relax", "1"),
        entry(first[0], "unrelax", "1"),
        entry(second[1], "relax", "2"),
    ]
    frames, summary = imported(tmp_path, entries)
    assert [frame.state for frame in frames] == ["ideal", "relaxed", "ideal", "noneq"]
    (remark,) = summary.remarks
    assert remark.startswith("set.json: 1 relaxations ended with forces above 0.05 eV/Å")
    assert frames[1].group == frames[2].group != frames[0].group == frames[3].group
    assert frames[1].name == "set-1-relax"


def test_snapshots_are_ordered_and_cut(tmp_path):
    cells = trajectory(5)
    entries = [entry(cells[k], "Md", f"300-{k}") for k in (3, 0, 4, 1, 2)]
    entries += [entry(atoms, "Md_90", f"-300-{k}") for k, atoms in enumerate(trajectory(2, seed=9))]
    frames, summary = imported(tmp_path, entries, md_block=2)
    assert [frame.group for frame in frames] == [
        *["set-Md-300K-block0"] * 2,
        *["set-Md-300K-block1"] * 2,
        "set-Md-300K-block2",
        *["set-Md_90-300K-block0"] * 2,
    ]
    for frame, atoms in zip(frames[:5], cells, strict=True):
        assert frame.energy_ev == pytest.approx(atoms.get_potential_energy())
    assert summary.groups == 4


def test_a_strain_series_is_one_group(tmp_path):
    cells = []
    for strain in (-0.01, 0.0, 0.01):
        atoms = bcc(1)
        atoms.set_cell(atoms.cell.array @ np.diag([1 + strain, 1, 1]), scale_atoms=True)
        cells.append(entry(compute(atoms), "Strain_new", f"1--{strain:.4f}"))
    frames, _ = imported(tmp_path, cells)
    assert [frame.state for frame in frames] == ["noneq", "ideal", "noneq"]
    assert {frame.group for frame in frames} == {"set-strain"}
    assert frames[0].name == "set-mode1-strain-0.010"


def test_surfaces_are_groups_of_their_own(tmp_path):
    from ase.build import bcc110

    slabs = [compute(bcc110("Mo", size=(1, 1, n), vacuum=8, periodic=True)) for n in (4, 5)]
    frames, _ = imported(tmp_path, [entry(atoms, "Surface", "") for atoms in slabs])
    assert [frame.group for frame in frames] == ["set-0", "set-1"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda e: e["outputs"].pop("energy"), "entry 1 .*KeyError: 'energy'"),
        (lambda e: e["outputs"]["forces"].pop(), "entry 1 .*expected structure, outputs"),
        (lambda e: e["outputs"]["stress"].pop(), "entry 1 .*a stress of shape"),
        (lambda e: e["structure"]["sites"][0]["species"][0].update(occu=0.5), "partial species"),
        (lambda e: e.update(tags=["Md"], notes={"Md": "hot"}), "entry 1 .*notes such as 300-17"),
        (lambda e: e["outputs"].update(energy=float("nan")), "entry 1 .*finite REF_energy"),
    ],
)
def test_damaged_entries_are_named(tmp_path, change, sentence):
    entries = [entry(atoms, "unrelax", str(k)) for k, atoms in enumerate(trajectory(2))]
    change(entries[1])
    with pytest.raises(DataError, match=sentence):
        imported(tmp_path, entries)
    assert not (tmp_path / "data.extxyz").exists()


@pytest.fixture(scope="module")
def published(shared, tmp_path_factory):
    out = tmp_path_factory.mktemp("mvl") / "mo.extxyz"
    files = [shared / f"data/mvl_monbtaw/Mo_{name}.json" for name in ("Elastic", "AIMD", "Surface")]
    import_files(files, out, ImportConfig(md_block=10, md_gap=2))
    return read_dataset(out)


def test_the_published_stress_is_the_derivative_of_the_energy(published):
    """Central differences of energies over strain, against the stress between: sign, unit, order."""
    cells = {frame.name: frame for frame in published if "strain" in frame.name}
    # modes 1 to 3 stretch x, y and z; 4 shears xy, 5 yz and 6 xz (ASE's Voigt index below)
    for mode, component in ((1, 0), (2, 1), (3, 2), (5, 3), (6, 4)):
        for strain in (-0.08, -0.04, 0.05, 0.09):
            low, middle, high = (
                cells[f"Mo_Elastic-mode{mode}-strain{strain + d:+.3f}"] for d in (-0.01, 0, 0.01)
            )
            length = 1 + strain if mode < 4 else 1.0  # strain counts from the unstrained cell
            slope = (high.energy_ev - low.energy_ev) / 0.02 * length
            volume = middle.atoms.get_volume()
            assert middle.stress[component] == pytest.approx(slope / volume, abs=0.004)
            assert abs(middle.stress[component]) > 0.02  # five times the tolerance and more


def test_compressed_published_cells_push_outwards(published):
    means = {}
    for frame in published:
        if "Md" in frame.name:
            kind = frame.name.split("-")[1]
            means.setdefault(kind, []).append(frame.stress[:3].mean())
    assert np.mean(means["Md_90"]) < np.mean(means["Md"]) < np.mean(means["Md_110"])
    assert np.mean(means["Md_90"]) < -0.2  # 32 GPa and more of pressure
    assert np.mean(means["Md_110"]) > 0.03


def test_published_trajectories_are_blocks_of_ten(published):
    groups = {}
    for frame in published:
        if "Md" in frame.name:
            groups.setdefault(frame.group, []).append(int(frame.name.rsplit("step", 1)[1]))
    assert len(groups) == 5 * 4
    assert all(steps == list(range(steps[0], steps[0] + len(steps))) for steps in groups.values())
