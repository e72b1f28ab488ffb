"""What `describe` counts: against how the cells were made."""

import json

import numpy as np
import pytest
from ase.build import bulk
from scipy.spatial.transform import Rotation

from moalloy_md.datasets.bundled import load_bundled
from moalloy_md.datasets.describe import FORCE_EDGES, describe
from moalloy_md.datasets.frames import frame_from_atoms
from moalloy_md.structures.dilute import DiluteConfig, dilute_cells
from moalloy_md.structures.variants import Variant

BUNDLED = load_bundled()


def labelled(atoms, energy=0.0, forces=None, **info):
    """A frame with given labels."""
    atoms = atoms.copy()
    atoms.info |= {"REF_energy": energy, **info}
    atoms.arrays["REF_forces"] = np.zeros((len(atoms), 3)) if forces is None else forces
    return frame_from_atoms(atoms, source="made.extxyz")


@pytest.mark.parametrize("lattice", ["bcc", "fcc"])
def test_pairs_are_found_in_the_shells_that_they_were_put_in(lattice):
    config = DiluteConfig(
        lattice=lattice, repeat=4, dopants=("W", "Ta"), vacancy_shells=(1,),
        variants=(
            Variant(rattle_angstrom=0.1), Variant(strain=-0.03), Variant(shear=0.04),
            Variant(strain=0.02, shear=-0.03, rattle_angstrom=0.08),
        ),
    )  # fmt: skip
    cells = list(dilute_cells(config))
    for k, atoms in enumerate(cells):  # turned around, as another code may have it
        if k % 2:
            atoms.set_cell(
                atoms.cell.array @ Rotation.random(random_state=k).as_matrix(), scale_atoms=True
            )
    found = describe(map(labelled, cells))
    n = 5  # the ideal cell and four variants
    assert found.n_frames == len(cells) == n * (1 + 2 + 3 * 3 + 1 + 2)
    assert found.lattices == {lattice: len(cells)}
    assert found.n_frames_with_vacancies == n * 3
    assert len(found.pairs) == 3
    for counts in found.pairs.values():
        assert counts.cells == {"1": n, "2": n, "3": n}
        assert not counts.contacts
    for counts in found.dopants.values():
        assert counts.single == n * 2  # alone, and beside a vacancy
        assert counts.pairs == n * 2 * 3  # with itself and the other, in three shells
        assert counts.groups == 2 + 6
    assert found.n_dopant_atoms == {0: n * 2, 1: n * 4, 2: n * 9}
    assert found.n_groups == len(cells) / n
    assert found.states == {"ideal": len(cells) / n, "noneq": len(cells) * 4 / n}


def test_images_in_the_small_cells_of_the_bundled_set():
    """Its shells are in its info; its README has the contacts: 1, 2 and 4."""
    found = describe(BUNDLED)
    expected, images = {}, {}
    contacts = {1: 1, 2: 2, 3: 4}
    for frame in BUNDLED:
        dopants = sorted(str(x) for x in frame.atoms.symbols if x != "Mo")
        if len(dopants) == 2:
            shell = frame.atoms.info["shell"]
            pair = expected.setdefault(tuple(dopants), {})
            pair[str(shell)] = pair.get(str(shell), 0) + 1
            key = f"{shell}×{contacts[shell]}"
            images[key] = images.get(key, 0) + 1
    assert {pair: dict(counts.cells) for pair, counts in found.pairs.items()} == expected
    counted = [counts.images for counts in found.pairs.values()]
    assert {key: sum(c[key] for c in counted) for key in images} == images
    assert found.shells("cells") == ["1", "2", "3"]
    assert found.shells("contacts") == []


def test_contacts_in_an_ordered_alloy():
    """B2 order: each of n W atoms has no W in shells 1, 4; 6, 12 and 8 in shells 2, 3 and 5."""
    atoms = bulk("Mo", "bcc", a=3.16, cubic=True).repeat((2, 2, 3))
    atoms.symbols[1::2] = "W"
    n = 12
    found = describe([labelled(atoms)])
    (counts,) = found.pairs.values()
    assert counts.contacts == {"2": n * 6 / 2, "3": n * 12 / 2, "5": n * 8 / 2}
    assert not counts.cells
    assert found.dopants["W"].more == 1
    atoms.symbols[3] = "Ta"
    found = describe([labelled(atoms)])
    mixed = found.pairs["Ta", "W"].contacts
    total = {s: sum(c.contacts[s] for c in found.pairs.values()) for s in ("2", "3", "5")}
    assert total == {"2": 36, "3": 72, "5": 48}
    # along x and y, 2 cells long, W's two neighbours at ±a are one atom
    assert (mixed["2"], mixed["3"], mixed["5"]) == (6, 12, 8)


def test_what_is_no_crystal_is_unknown():
    rng = np.random.default_rng(0)
    atoms = bulk("Mo", "bcc", a=3.16, cubic=True).repeat(3)
    atoms.positions += rng.normal(scale=1.0, size=(54, 3))
    atoms.symbols[:2] = "W"
    cluster = bulk("Mo", "bcc", a=3.16, cubic=True).repeat(2)
    cluster.pbc = False
    found = describe([labelled(atoms), labelled(cluster)])
    assert found.lattices == {"unknown": 2}
    assert found.pairs["W", "W"].cells == {"unknown": 1}


def test_a_far_pair():
    atoms = bulk("Mo", "bcc", a=3.16, cubic=True).repeat(4)
    far = int(np.argmax(atoms.get_distances(0, range(128), mic=True)))
    atoms.symbols[[0, far]] = "W"
    found = describe([labelled(atoms)])
    assert found.pairs["W", "W"].cells == {"farther": 1}


def test_energies_linear_in_the_composition_leave_nothing():
    e0s = {"Mo": -11.1, "W": -12.9, "Ti": -7.7}
    rng = np.random.default_rng(1)
    frames, residuals = [], []
    for k in range(40):
        atoms = bulk("Mo", "bcc", a=3.16, cubic=True).repeat(2)
        atoms.symbols[rng.permutation(16)[: k % 5]] = ("W", "Ti")[k % 2]
        energy = sum(e0s[x] for x in atoms.symbols)
        frames.append(labelled(atoms, energy))
        residuals.append(0.02 * rng.normal())
    found = describe(frames)
    assert found.references_determined
    assert found.reference_energies_ev == pytest.approx(e0s)
    assert np.abs(found.energies_mev_per_atom).max() < 1e-8
    # An offset of one frame shows up, less what the fit takes of it.
    frames[3] = labelled(frames[3].atoms, frames[3].energy_ev + 16 * 0.05)
    found = describe(frames)
    assert found.energies_mev_per_atom.argmax() == 3
    assert 30 < found.energies_mev_per_atom[3] < 50
    assert not describe([labelled(a.atoms) for a in frames[:1]] * 2).energies_mev_per_atom.any()


def test_references_that_the_data_cannot_determine():
    atoms = bulk("Mo", "bcc", a=3.16, cubic=True).repeat(2)
    atoms.symbols[0], atoms.symbols[1] = "W", "Ti"  # always together
    found = describe([labelled(atoms, -170.0), labelled(atoms, -170.1)])
    assert not found.references_determined
    assert found.energies_mev_per_atom == pytest.approx([50 / 16, -50 / 16])


def test_forces():
    rng = np.random.default_rng(2)
    atoms = bulk("Mo", "bcc", a=3.16, cubic=True).repeat(2)
    fields = [rng.normal(scale=s, size=(16, 3)) for s in (0.01, 0.3, 2.0)]
    frames = [
        labelled(atoms, forces=f, state=s)
        for f, s in zip(fields, ("relaxed", "noneq", "noneq"), strict=True)
    ]
    found = describe(frames)
    every = np.concatenate(fields)
    assert found.mean_abs_force_component == pytest.approx(np.abs(every).mean())
    assert found.rms_force_component == pytest.approx(np.sqrt((every**2).mean()))
    assert found.largest_forces == pytest.approx([np.linalg.norm(f, axis=1).max() for f in fields])
    assert {state: counts.sum() for state, counts in found.force_counts.items()} == {
        "relaxed": 16, "noneq": 32
    }  # fmt: skip
    lengths = np.linalg.norm(every, axis=1)
    total = sum(found.force_counts.values())
    for k in range(len(total)):
        inside = (lengths >= FORCE_EDGES[k]) & (lengths < FORCE_EDGES[k + 1])
        assert total[k] == inside.sum()
    still = describe([labelled(atoms)])  # zero force lies below the first class, and is counted
    assert still.force_counts["noneq"][0] == 16


def test_what_a_file_says_of_itself():
    found = describe(BUNDLED)
    assert (found.n_frames, found.n_atoms, found.n_groups) == (53, 848, 40)
    assert found.hosts == {"Mo": 53}
    assert found.sources == {"mo_dopants_pbe.extxyz": 53}
    assert next(iter(found.largest_groups.items())) == ("Mo16", 6)
    frames = [labelled(f.atoms, f.energy_ev, f.forces) for f in BUNDLED[:4]]
    del frames[0].atoms.info["group"], frames[1].atoms.info["group"]
    frames[2].atoms.info["REF_stress"] = np.zeros(6)
    found = describe(frames)
    assert (found.n_frames_without_group, found.n_frames_with_stress) == (2, 1)


def test_json_holds_it_all():
    found = describe(BUNDLED)
    content = json.loads(json.dumps(found.as_dict()))
    assert content["pairs"]["Re-W"] == {"cells": {"1": 1}, "images": {"1×1": 1}, "contacts": {}}
    assert content["dopants"]["W"]["frames"] == sum("W" in f.dopants for f in BUNDLED) == 8
    assert sum(content["energy_histogram"]["counts"]) == 53
    assert sum(map(sum, content["force_histogram"]["counts"].values())) == 848
    force = content["force_ev_per_angstrom"]
    norms = [np.linalg.norm(f.forces, axis=1).max() for f in BUNDLED]
    assert force["largest_in_frame"] == int(np.argmax(norms))
    assert force["largest"] == pytest.approx(max(norms))
