"""Splits: partitions without leaks whose members follow the protocol's definition."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st

from moalloy_md.config import validate
from moalloy_md.datasets.bundled import load_bundled
from moalloy_md.datasets.frames import frame_from_atoms
from moalloy_md.datasets.split import (
    PARTS,
    Iid,
    LodoRelaxed,
    LodoStrict,
    SplitConfig,
    protocol_class,
    split_frames,
)
from moalloy_md.errors import ConfigError, DataError

BUNDLED = load_bundled()


def frame(number, dopants, group):
    """Frame `number` of a dataset: 3 atoms of Mo and the dopants."""
    symbols = ["Mo"] * 3 + list(dopants)
    atoms = Atoms(symbols, positions=np.arange(3.0 * len(symbols)).reshape(-1, 3) * 0.7)
    atoms.info.update(REF_energy=float(number), host="Mo", state="noneq")
    if group is not None:
        atoms.info["group"] = group
    atoms.arrays["REF_forces"] = np.full((len(symbols), 3), 0.1)
    return frame_from_atoms(atoms)


def dataset(*groups):
    """Frames of ``(name, dopants, number of frames)``."""
    frames = []
    for name, dopants, n in groups:
        frames += [frame(len(frames) + k, dopants, name) for k in range(n)]
    return frames


DECORATIONS = st.sampled_from(
    [[], ["W"], ["V"], ["Ti"], ["Y"], ["W", "W"], ["W", "V"], ["V", "W"], ["V", "V"], ["Y", "W"]]
)


@st.composite
def datasets(draw, *, min_groups=3, max_groups=25):
    """Groups of one decoration each, in shuffled order of frames."""
    sizes = draw(st.lists(st.integers(1, 5), min_size=min_groups, max_size=max_groups))
    groups = [(f"g{k}", draw(DECORATIONS), n) for k, n in enumerate(sizes)]
    return draw(st.permutations(dataset(*groups)))


def hashes(frames, split):
    return {part: frozenset(frames[i].sha256 for i in getattr(split, part)) for part in PARTS}


def split_or_none(frames, protocol):
    try:
        return split_frames(frames, protocol)
    except DataError:
        return None


def check_partition(frames, split):
    indices = [*split.train, *split.valid, *split.test]
    assert sorted(indices) == list(range(len(frames)))
    assert all(getattr(split, part) for part in PARTS)
    assert all(list(getattr(split, part)) == sorted(getattr(split, part)) for part in PARTS)


def groups_of(frames, indices):
    return {frames[i].atoms.info["group"] for i in indices}


def symbols_of(frames, indices):
    return {symbol for i in indices for symbol in frames[i].atoms.get_chemical_symbols()}


SEEDS = st.integers(0, 10**9)


@given(frames=datasets(), seed=SEEDS, test_fraction=st.floats(0.05, 0.6))
def test_iid_is_a_partition_of_whole_groups(frames, seed, test_fraction):
    split = split_frames(frames, Iid(seed=seed, test_fraction=test_fraction))
    check_partition(frames, split)
    parts = [groups_of(frames, getattr(split, part)) for part in PARTS]
    assert not (parts[0] & parts[1] or parts[0] & parts[2] or parts[1] & parts[2])
    assert split.leaked_fraction == 0
    assert split.protocols_coincide is None
    unseen = symbols_of(frames, split.valid + split.test) - symbols_of(frames, split.train)
    assert set(split.elements_not_in_train) == unseen


@given(frames=datasets(min_groups=1), seed=SEEDS)
def test_elements_of_three_groups_are_always_trained(frames, seed):
    common = [f"{x}{k}" for x in ("W", "V", "Ti", "Y") for k in range(3)]
    frames = frames + dataset(*((name, [name[:-1]], 1) for name in common))
    split = split_frames(frames, Iid(seed=seed, test_fraction=0.3))
    assert symbols_of(frames, split.train) == symbols_of(frames, range(len(frames)))
    assert split.elements_not_in_train == ()


@given(frames=datasets(), seed=SEEDS, frame_wise=st.booleans(), random=st.randoms())
def test_same_seed_same_split_whatever_the_order(frames, seed, frame_wise, random):
    protocol = Iid(seed=seed, frame_wise=frame_wise)
    split = split_or_none(frames, protocol)
    assert split == split_or_none(frames, protocol)
    shuffled = list(frames)
    random.shuffle(shuffled)
    if split is not None:
        assert hashes(shuffled, split_frames(shuffled, protocol)) == hashes(frames, split)


def test_seeds_differ():
    tests = {split_frames(BUNDLED, Iid(seed=seed)).test for seed in range(20)}
    assert len(tests) == 20


def test_every_group_gets_tested_by_some_seed():
    """No group is favoured: each of 20 equal ones is in test about equally often."""
    frames = dataset(*((f"g{k}", ["W"], 1) for k in range(20)))
    n_seeds = 2000
    counts = Counter(
        i for seed in range(n_seeds) for i in split_frames(frames, Iid(seed=seed)).test
    )
    expected = n_seeds * 2 / 20
    sigma = np.sqrt(n_seeds * 0.1 * 0.9)
    assert all(abs(counts[i] - expected) < 4.5 * sigma for i in range(20))


@pytest.mark.parametrize("frame_wise", [False, True])
@pytest.mark.parametrize(("n", "counts"), [(1000, (810, 90, 100)), (53, (43, 5, 5))])
def test_the_proportions_of_the_protocol(n, counts, frame_wise):
    frames = [frame(k, ["W"], f"g{k}") for k in range(n)]
    split = split_frames(frames, Iid(frame_wise=frame_wise))
    assert (len(split.train), len(split.valid), len(split.test)) == counts


@given(seed=SEEDS)
def test_bundled_set_for_quickstart(seed):
    split = split_frames(BUNDLED, Iid(seed=seed, test_fraction=0.3))
    check_partition(BUNDLED, split)
    assert len(split.test) == 16
    assert len(split.valid) == 4
    assert len(groups_of(BUNDLED, split.train) & groups_of(BUNDLED, split.test)) == 0
    assert symbols_of(BUNDLED, split.test) <= symbols_of(BUNDLED, split.train)
    assert len(symbols_of(BUNDLED, split.train)) == 9


@given(
    frames=datasets(min_groups=1),
    seed=SEEDS,
    element=st.sampled_from(["W", "V", "Ti", "Y"]),
    frame_wise=st.booleans(),
)
def test_lodo_membership_is_the_definition(frames, seed, element, frame_wise):
    dopants = [set(f.atoms.get_chemical_symbols()) - {"Mo"} for f in frames]
    strict = {i for i, d in enumerate(dopants) if element in d}
    relaxed = {i for i, d in enumerate(dopants) if d == {element}}
    for protocol_type, members in ((LodoStrict, strict), (LodoRelaxed, relaxed)):
        protocol = protocol_type(held_out=element, seed=seed, frame_wise=frame_wise)
        split = split_or_none(frames, protocol)
        left = [i for i in range(len(frames)) if i not in members]
        enough = len(left) >= 2 if frame_wise else len(groups_of(frames, left)) >= 2
        assert (split is not None) == (bool(members) and enough)
        if split is None:
            continue
        check_partition(frames, split)
        assert set(split.test) == members
        assert split.protocols_coincide == (strict == relaxed)
        if not frame_wise:
            assert not groups_of(frames, split.train) & groups_of(frames, split.valid)
        if protocol_type is LodoStrict:
            assert element in split.elements_not_in_train
            assert element not in symbols_of(frames, split.train + split.valid)


def test_lodo_on_the_bundled_set():
    """Counted by hand from the list of names: W1 and W2 are alone, WRe, WTi and WHf are not."""
    strict = split_frames(BUNDLED, LodoStrict(held_out="W"))
    relaxed = split_frames(BUNDLED, LodoRelaxed(held_out="W"))
    names = sorted(BUNDLED[i].name for i in strict.test)
    alone = [
        *("W1-ideal", "W1-rattle06"),
        *("W2-shell1-ideal", "W2-shell2-ideal", "W2-shell3-ideal"),
    ]
    beside = ["WHf-shell3-rattle06", "WRe-shell1-rattle06", "WTi-shell2-rattle06"]
    assert names == sorted(alone + beside)
    assert sorted(BUNDLED[i].name for i in relaxed.test) == alone
    assert strict.protocols_coincide is False
    assert strict.elements_not_in_train == ("W",)
    assert relaxed.elements_not_in_train == ()
    zr = split_frames(BUNDLED, LodoStrict(held_out="Zr"))
    assert zr.protocols_coincide is True
    assert zr.test == split_frames(BUNDLED, LodoRelaxed(held_out="Zr")).test


@given(frames=datasets(), seed=SEEDS)
def test_leaked_fraction_is_counted(frames, seed):
    split = split_frames(frames, Iid(seed=seed, frame_wise=True, test_fraction=0.3))
    check_partition(frames, split)
    trained = groups_of(frames, split.train)
    leaked = [i for i in split.test if frames[i].atoms.info["group"] in trained]
    assert split.leaked_fraction == pytest.approx(len(leaked) / len(split.test), abs=1e-15)


def test_one_long_relaxation_leaks_wholly_frame_by_frame():
    frames = dataset(("relaxation", ["W"], 40))
    assert split_frames(frames, Iid(frame_wise=True)).leaked_fraction == 1


def test_identical_copies_are_counted():
    frames = [frame(k % 10, ["W"], f"g{k}") for k in range(20)]
    split = split_frames(frames, Iid(test_fraction=0.25))
    trained = {frames[i].energy_ev for i in split.train}
    expected = sum(frames[i].energy_ev in trained for i in split.test) / len(split.test)
    assert split.repeated_fraction == pytest.approx(expected)
    assert split.repeated_fraction > 0
    assert split_frames(BUNDLED, Iid()).repeated_fraction == 0


def test_frames_without_group_stand_alone():
    frames = [frame(k, ["W"], None) for k in range(10)]
    split = split_frames(frames, Iid(test_fraction=0.3))
    assert len(split.test) == 3
    assert split.leaked_fraction == 0
    assert hashes(frames[::-1], split_frames(frames[::-1], Iid(test_fraction=0.3))) == hashes(
        frames, split
    )


def test_a_group_larger_than_wanted_is_still_drawn():
    frames = dataset(("a", ["W"], 30), ("b", ["W"], 20), ("c", ["W"], 10))
    split = split_frames(frames, Iid(test_fraction=0.05))
    assert groups_of(frames, split.test) == {"c"}
    assert groups_of(frames, split.valid) == {"b"}


def test_the_last_holder_of_a_tested_element_is_not_validated():
    """W is tested, one W group is left: valid must take Ti although both are last holders."""
    frames = dataset(("a", ["W"], 1), ("b", ["W"], 1), ("c", ["Ti"], 1))
    for seed in range(30):
        split = split_frames(frames, Iid(seed=seed, test_fraction=0.3))
        assert symbols_of(frames, split.test) <= symbols_of(frames, split.train)
        assert split.elements_not_in_train == ("Ti",)


def test_the_split_is_the_same_in_a_fresh_process():
    """Python hashes strings anew in each process; a split must not feel it."""
    code = (
        "from moalloy_md.datasets.bundled import load_bundled\n"
        "from moalloy_md.datasets.split import Iid, split_frames\n"
        "print(split_frames(load_bundled(), Iid(seed=5, test_fraction=0.3)).test)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    expected = split_frames(BUNDLED, Iid(seed=5, test_fraction=0.3)).test
    assert answer.stdout.strip() == str(expected)


REFUSED = {
    "two groups": (
        dataset(("a", ["W"], 4), ("b", ["W"], 5)),
        Iid(),
        r"at least 3 groups, .* found 2 \(frames in all: 9\)\. .*--frame-wise",
    ),
    "two frames": (
        dataset(("a", ["W"], 2)),
        Iid(frame_wise=True),
        r"at least 3 frames, .* found 2 \(frames in all: 2\)\. Add cells",
    ),
    "no frames": ([], Iid(), r"found 0 \(frames in all: 0\)"),
    "element absent": (
        dataset(("a", ["W"], 4), ("b", ["W", "Ti"], 2), ("c", [], 1)),
        LodoStrict(held_out="Nb"),
        r"lodo-strict: expected .* the dopant Nb, found none in 7 frames.*: Ti in 2, W in 6\.",
    ),
    "no dopants": (
        dataset(("a", [], 4)),
        LodoRelaxed(held_out="Nb"),
        "found none in 4 frames.*Dopants found: none",
    ),
    "the host": (
        dataset(("a", ["W"], 4), ("b", ["W"], 5)),
        LodoStrict(held_out="Mo"),
        "expected frames with the dopant Mo, found none in 9 frames",
    ),
    "never alone": (
        dataset(("a", ["W", "Ti"], 4), ("b", ["Ti"], 5), ("c", ["V"], 5)),
        LodoRelaxed(held_out="W"),
        "found 4 of 14 frames with W, all beside another dopant.*Use lodo-strict",
    ),
    "one group left": (
        dataset(("a", ["W"], 4), ("b", ["Ti"], 5)),
        LodoStrict(held_out="W"),
        r"at least 2 groups for train and valid beside the 4 test frames, found 1 \(frames left: 5\)",
    ),
    "nothing left": (
        dataset(("a", ["W"], 4)),
        LodoStrict(held_out="W", frame_wise=True),
        r"at least 2 frames for train and valid beside the 4 test frames, found 0 \(frames left: 0\)",
    ),
    "a torn group": (
        [*dataset(("a", ["W"], 2), ("b", ["V"], 2), ("c", ["V"], 1)), frame(9, ["V"], "a")],
        LodoStrict(held_out="W"),
        r"group 'a' with 2 frames inside and 1 outside \(1 such groups\)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_splits_that_cannot_be_are_refused_with_the_counts(case):
    frames, protocol, sentence = REFUSED[case]
    with pytest.raises(DataError, match=sentence):
        split_frames(frames, protocol)


def test_a_torn_group_is_allowed_frame_wise():
    frames = [*dataset(("a", ["W"], 2), ("b", ["V"], 4)), frame(9, ["V"], "a")]
    split = split_frames(frames, LodoStrict(held_out="W", frame_wise=True, seed=1))
    assert set(split.test) == {0, 1}
    in_train = 6 in split.train
    assert split.leaked_fraction == (1.0 if in_train else 0.0)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"protocol": "iid", "held_out": "W"}, "held_out"),
        ({"protocol": "lodo-strict", "held_out": "W", "test_fraction": 0.2}, "test_fraction"),
        ({"protocol": "lodo-strict"}, "held_out: expected a value, found none"),
        (
            {"protocol": "iid", "test_fraction": 1.0},
            "test_fraction: expected a number below 1, found 1",
        ),
        (
            {"protocol": "iid", "valid_fraction": 0},
            "valid_fraction: expected a number above 0, found 0",
        ),
        ({"protocol": "iid", "seed": -1}, "seed: expected a number of 0 or more, found -1"),
        ({"protocol": "iid", "sead": 1}, "did you mean 'seed'"),
        ({"protocol": "random"}, "protocol"),
        (
            {"protocol": "lodo-strict", "held_out": "Qq"},
            "held_out: expected a chemical symbol such as Mo or W, found 'Qq': check the spelling$",
        ),
        (
            {"protocol": "lodo-strict", "held_out": "w"},
            "held_out: expected a chemical symbol such as Mo or W, found 'w': did you mean W\\?$",
        ),
        ({"protocol": "lodo-relaxed", "held_out": 3}, "held_out: expected text, found 3"),
    ],
)
def test_settings_are_checked(content, sentence):
    with pytest.raises(ConfigError, match=sentence):
        validate({"split": content}, SplitConfig, source="x.yaml")


def test_protocols_by_name():
    for name in ("iid", "lodo-strict", "lodo-relaxed"):
        chosen = protocol_class(name)
        settings = {} if name == "iid" else {"held_out": "W"}
        assert chosen(**settings).protocol == name
    with pytest.raises(ConfigError, match="iid, lodo-strict, lodo-relaxed, found 'random'"):
        protocol_class("random")
