"""Split a dataset into train, valid and test without leaks.

A group (one relaxation, one trajectory block, one decoration of the sites) holds nearly equal
cells: with some of them in train and some in test, the test error measures memory. So groups stay
whole unless ``frame_wise`` is asked for, which is there to reproduce the random splits of the
literature and to measure what they flatter.

The random order is the order of SHA-256 digests of seed and name, not that of a random number
generator: it is the same on every machine and with every version of NumPy, and it does not depend
on the order of the frames in the file.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from moalloy_md.config import StrictModel
from moalloy_md.datasets.frames import Frame
from moalloy_md.elements import ChemicalSymbol
from moalloy_md.errors import ConfigError, DataError

PARTS = ("train", "valid", "test")


class _Protocol(StrictModel):
    seed: int = Field(default=0, ge=0)
    """Chooses the random order in which groups are drawn."""

    frame_wise: bool = False
    """Draw single frames instead of whole groups. Frames of one group then stand on both sides:
    the leaked fraction says how many."""

    valid_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Part of the frames left after the test set that validates the training."""


class Iid(_Protocol):
    """Test cells are like training cells: groups drawn at random."""

    protocol: Literal["iid"] = "iid"
    """Random groups."""

    test_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Part of all frames that tests."""


class _HeldOut(_Protocol):
    held_out: ChemicalSymbol
    """Chemical symbol of the dopant that is held out, such as W."""


class LodoStrict(_HeldOut):
    """Leave one dopant out: a frame is in test exactly if it contains the held-out element."""

    protocol: Literal["lodo-strict"] = "lodo-strict"
    """The held-out dopant is never seen in training."""


class LodoRelaxed(_HeldOut):
    """Leave one dopant out: a frame is in test exactly if the held-out element is its only dopant.

    One such atom or more; beside other dopants the element is still seen in training.
    """

    protocol: Literal["lodo-relaxed"] = "lodo-relaxed"
    """The held-out dopant is seen in training beside other dopants only."""


Protocol = Iid | LodoStrict | LodoRelaxed


class SplitConfig(StrictModel):
    """A split in a configuration file: ``split: {protocol: lodo-strict, held_out: W}``."""

    split: Protocol = Field(discriminator="protocol")
    """The protocol with its settings."""
    repeats: int = Field(default=1, ge=1)
    """How many splits to draw, with the seeds seed, seed + 1 and so on. More than one are written
    into the folders 00, 01 and so on."""


def protocol_class(name: str) -> type[Protocol]:
    """Class of the protocol that is called ``iid``, ``lodo-strict`` or ``lodo-relaxed``.

    Raises
    ------
    ConfigError
        If there is no such protocol.
    """
    classes: dict[str, type[Protocol]] = {
        "iid": Iid,
        "lodo-strict": LodoStrict,
        "lodo-relaxed": LodoRelaxed,
    }
    if name not in classes:
        raise ConfigError(f"expected a protocol among {', '.join(classes)}, found {name!r}")
    return classes[name]


@dataclass(frozen=True)
class Split:
    """A partition of a list of frames, and what is to be known about it.

    Attributes
    ----------
    protocol
        How it was drawn.
    train, valid, test
        Indices into the frames, ascending.
    leaked_fraction
        Part of the test frames that have a frame of their group in train; 0 for whole groups.
    repeated_fraction
        Part of the test frames of which an identical copy (same `frame_hash`) is in train: the
        dataset holds a cell twice, under two groups or drawn frame by frame.
    elements_not_in_train
        Elements of valid or test that train never sees. For ``lodo-strict`` the held-out one.
    protocols_coincide
        Whether ``lodo-strict`` and ``lodo-relaxed`` give the same test set for the held-out
        element, because no frame has it beside another dopant; None for ``iid``.
    """

    protocol: Protocol
    train: tuple[int, ...]
    valid: tuple[int, ...]
    test: tuple[int, ...]
    leaked_fraction: float
    repeated_fraction: float
    elements_not_in_train: tuple[str, ...]
    protocols_coincide: bool | None


@dataclass(frozen=True)
class _Unit:
    """Frames that are drawn together: a group, or a single frame."""

    key: str
    members: tuple[int, ...]
    elements: frozenset[str]


def split_frames(frames: Sequence[Frame], protocol: Protocol) -> Split:
    """Split frames into train, valid and test.

    Parameters
    ----------
    frames
        The dataset.
    protocol
        `Iid`, `LodoStrict` or `LodoRelaxed` with its settings.

    Returns
    -------
    Split
        Groups are drawn whole, in random order, as far as they fit into the wanted number of
        frames; at the end one may exceed it where that comes closer. A group that is the last to hold an element is passed over, so
        that train sees every element of test and valid. In a dataset so small that no group could
        be drawn then, that is given up, and `Split.elements_not_in_train` says so.

    Raises
    ------
    DataError
        If train, valid or test would be empty, the held-out element does not occur, or a group
        would have to be torn apart; the text has the counts.
    """
    if isinstance(protocol, Iid):
        parts = _random_parts(frames, protocol)
        coincide = None
    else:
        parts = _held_out_parts(frames, protocol)
        coincide = not any(
            protocol.held_out in frame.dopants and len(frame.dopants) > 1 for frame in frames
        )
    train, valid, test = parts
    in_train = {frames[i].group for i in train}
    hashes = {frames[i].sha256 for i in train}
    return Split(
        protocol=protocol,
        train=train,
        valid=valid,
        test=test,
        leaked_fraction=sum(frames[i].group in in_train for i in test) / len(test),
        repeated_fraction=sum(frames[i].sha256 in hashes for i in test) / len(test),
        elements_not_in_train=tuple(
            sorted(_elements(frames, valid + test) - _elements(frames, train))
        ),
        protocols_coincide=coincide,
    )


_Parts = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def _random_parts(frames: Sequence[Frame], protocol: Iid) -> _Parts:
    units = _units(frames, range(len(frames)), frame_wise=protocol.frame_wise)
    kind = "frames" if protocol.frame_wise else "groups"
    if len(units) < 3:
        raise DataError(
            f"expected at least 3 {kind}, one each for train, valid and test, found {len(units)} "
            f"(frames in all: {len(frames)}). {_how_to_get_more(protocol)}"
        )
    wanted = protocol.test_fraction * len(frames)
    test_units, rest = _draw(
        _shuffled(units, protocol.seed, "test"),
        wanted,
        n_keep=2,
        protect=(frozenset(_holders(units)),),
    )
    test = _members(test_units)
    return *_train_and_valid(rest, _elements(frames, test), protocol), test


def _held_out_parts(frames: Sequence[Frame], protocol: LodoStrict | LodoRelaxed) -> _Parts:
    in_test = [_is_held_out(frame, protocol) for frame in frames]
    if not any(in_test):
        raise DataError(_why_nothing_is_held_out(frames, protocol))
    if not protocol.frame_wise:
        _refuse_torn_groups(frames, in_test, protocol)
    test = tuple(i for i, held_out in enumerate(in_test) if held_out)
    left = [i for i, held_out in enumerate(in_test) if not held_out]
    units = _units(frames, left, frame_wise=protocol.frame_wise)
    kind = "frames" if protocol.frame_wise else "groups"
    if len(units) < 2:
        raise DataError(
            f"{protocol.protocol} with {protocol.held_out} held out: expected at least 2 {kind} "
            f"for train and valid beside the {len(test)} test frames, found {len(units)} "
            f"(frames left: {len(left)}). {_how_to_get_more(protocol)}"
        )
    return *_train_and_valid(units, _elements(frames, test), protocol), test


def _is_held_out(frame: Frame, protocol: LodoStrict | LodoRelaxed) -> bool:
    if isinstance(protocol, LodoStrict):
        return protocol.held_out in frame.dopants
    return frame.dopants == {protocol.held_out}


def _why_nothing_is_held_out(frames: Sequence[Frame], protocol: LodoStrict | LodoRelaxed) -> str:
    element = protocol.held_out
    beside = sum(element in frame.dopants for frame in frames)
    if beside:
        return (
            f"lodo-relaxed: expected frames with {element} as their only dopant, found "
            f"{beside} of {len(frames)} frames with {element}, all beside another dopant: the "
            "test set would be empty. Use lodo-strict, or hold out another element"
        )
    counts = Counter(dopant for frame in frames for dopant in frame.dopants)
    found = ", ".join(f"{dopant} in {n}" for dopant, n in sorted(counts.items())) or "none"
    return (
        f"{protocol.protocol}: expected frames with the dopant {element}, found none in "
        f"{len(frames)} frames: the test set would be empty. Dopants found: {found}. Hold out one "
        "of these"
    )


def _refuse_torn_groups(
    frames: Sequence[Frame], in_test: Sequence[bool], protocol: LodoStrict | LodoRelaxed
) -> None:
    inside = Counter(f.group for f, held_out in zip(frames, in_test, strict=True) if held_out)
    outside = Counter(f.group for f, held_out in zip(frames, in_test, strict=True) if not held_out)
    torn = sorted(inside.keys() & outside.keys())
    if torn:
        group = torn[0]
        raise DataError(
            f"{protocol.protocol} with {protocol.held_out} held out: expected each group to be "
            f"wholly inside or outside the test set, found group {group!r} with {inside[group]} "
            f"frames inside and {outside[group]} outside ({len(torn)} such groups). Give cells of "
            "different composition different groups, or use --frame-wise"
        )


def _how_to_get_more(protocol: Protocol) -> str:
    if protocol.frame_wise:
        return "Add cells"
    return "Add cells, give unrelated frames groups of their own (info group), or split frame by frame (--frame-wise)"


def _train_and_valid(
    units: Sequence[_Unit], tested: frozenset[str], protocol: Protocol
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Draw valid from what test left; an element that is `tested` must stay in train above all."""
    wanted = protocol.valid_fraction * sum(len(unit.members) for unit in units)
    everything = frozenset(_holders(units))
    valid, train = _draw(
        _shuffled(units, protocol.seed, "valid"), wanted, n_keep=1, protect=(everything, tested)
    )
    return _members(train), _members(valid)


def _units(frames: Sequence[Frame], indices: Iterable[int], *, frame_wise: bool) -> list[_Unit]:
    if frame_wise:
        return [_Unit(frames[i].sha256, (i,), frames[i].elements) for i in indices]
    groups: dict[str, list[int]] = {}
    for i in indices:
        groups.setdefault(frames[i].group, []).append(i)
    return [
        _Unit(key, tuple(members), _elements(frames, members)) for key, members in groups.items()
    ]


def _shuffled(units: Iterable[_Unit], seed: int, purpose: str) -> list[_Unit]:
    """Put the units into random order: that of the SHA-256 of seed, purpose and name."""

    def rank(unit: _Unit) -> bytes:
        return hashlib.sha256(f"{seed}/{purpose}/{unit.key}".encode()).digest()

    return sorted(units, key=rank)


def _draw(
    units: Sequence[_Unit],
    wanted: float,
    *,
    n_keep: int,
    protect: Sequence[frozenset[str]],
) -> tuple[list[_Unit], list[_Unit]]:
    """Draw at least one unit, about `wanted` frames, and leave at least `n_keep` units.

    The undrawn units keep each element of ``protect[0]`` that they have; where that forbids every
    draw, those of ``protect[1]``, and so on.
    """
    drawn: list[_Unit] = []
    for elements in (*protect, frozenset[str]()):
        drawn = drawn or _draw_closer(units, wanted, n_keep=n_keep, protect=elements)
        drawn = drawn or _draw_smallest(units, protect=elements)
    keys = {id(unit) for unit in drawn}
    return drawn, [unit for unit in units if id(unit) not in keys]


def _draw_closer(
    units: Sequence[_Unit], wanted: float, *, n_keep: int, protect: frozenset[str]
) -> list[_Unit]:
    """Draw in order what fits into `wanted` frames, then what overshoots them by less than lacks.

    Not in one go: a large group at the end would overshoot where small ones further on fit.
    """
    holders = _holders(units)
    drawn: dict[int, _Unit] = {}
    missing = wanted
    for may_overshoot in (False, True):
        for position, unit in enumerate(units):
            if len(units) - len(drawn) <= n_keep:
                break
            size = len(unit.members)
            closer = abs(missing - size) < abs(missing) if may_overshoot else size <= missing
            spare = all(holders[element] > 1 for element in unit.elements & protect)
            if position not in drawn and closer and spare:
                drawn[position] = unit
                missing -= size
                holders.subtract(unit.elements)
    return list(drawn.values())


def _draw_smallest(units: Sequence[_Unit], *, protect: frozenset[str]) -> list[_Unit]:
    holders = _holders(units)
    allowed = [u for u in units if all(holders[element] > 1 for element in u.elements & protect)]
    return [min(allowed, key=lambda unit: len(unit.members))] if allowed else []


def _holders(units: Iterable[_Unit]) -> Counter[str]:
    """Count the units that hold each element."""
    return Counter(element for unit in units for element in unit.elements)


def _members(units: Iterable[_Unit]) -> tuple[int, ...]:
    return tuple(sorted(i for unit in units for i in unit.members))


def _elements(frames: Sequence[Frame], indices: Iterable[int]) -> frozenset[str]:
    return frozenset().union(*(frames[i].elements for i in indices))
