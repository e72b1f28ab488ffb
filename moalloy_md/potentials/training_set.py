"""What a training needs to know of its data before it starts, and what it refuses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ase import Atoms

from moalloy_md.datasets.checks.checking import check_dataset
from moalloy_md.datasets.frames import Frame, dataset_hash, read_dataset
from moalloy_md.datasets.split_folder import check_against_split
from moalloy_md.errors import ConfigError, DataError
from moalloy_md.potentials.reference_energies import ReferenceEnergies, choose_e0s, in_order
from moalloy_md.potentials.replay import replay_cells
from moalloy_md.potentials.start import StartModel, network_of, open_start, replay_elements
from moalloy_md.potentials.train_config import (
    MaceArchitecture,
    Refine,
    Replay,
    Scratch,
    TrainConfig,
)


@dataclass(frozen=True)
class TrainingSet:
    """Training and validation set of a run, as the manifest records them, and its start."""

    n_train: int
    """Cells in the training set."""
    n_valid: int
    """Cells in the validation set."""
    train_sha256: str
    """`dataset_hash` of the training set: the same for any order of the frames."""
    valid_sha256: str
    """`dataset_hash` of the validation set."""
    elements: tuple[str, ...]
    """Chemical symbols by atomic number: the element table of the model."""
    e0s_ev: dict[str, float]
    """Energy of each element that the network's own energy is counted from, eV."""
    e0s_from: str
    """Where the E0s come from, in words."""
    unseen: dict[str, str]
    """Elements of the table of which no training cell has an atom, and where their E0 is from."""
    held_out: str | None
    """The dopant that the split holds out strictly: in the table, and in no training cell."""
    start: StartModel | None
    """The model that training goes on from; None from scratch."""
    network: MaceArchitecture | None
    """The network to build from scratch."""
    replay: tuple[Atoms, ...] = ()
    """Cells that the model to start from labels, to be trained on beside the training set."""

    @property
    def n_replay(self) -> int:
        """Cells that are replayed."""
        return len(self.replay)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON: of start and replay what identifies them."""
        plain = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if field.name not in {"start", "network", "replay"}
        }
        if self.replay:
            plain["n_replay"] = self.n_replay
        if self.network is not None:
            plain["network"] = self.network.model_dump(mode="json")
        if self.start is not None:
            foundation = self.start.foundation
            plain["start"] = {
                "name": foundation.name,
                "sha256": foundation.sha256,
                "proxies": self.start.proxies,
            }
        return plain


def read_training_set(
    config: TrainConfig, *, before: Mapping[str, Any] | None = None
) -> TrainingSet:
    """Read and check the data of a training run, and open the model that it starts from.

    Parameters
    ----------
    config
        The run.
    before
        `TrainingSet.as_dict` of a run that was killed: of the same data the reference energies are
        taken from it, so that the model need not be evaluated again.

    Raises
    ------
    DataError
        If a set is missing, empty, damaged or unlabelled; a set from a split folder is no longer
        what its split.json says was drawn; the validation or test set holds a frame of the
        training set; validation has an element that training lacks; or a strictly held-out
        dopant is in a training cell.
    ConfigError
        If a batch is larger than the training set, or the E0 of an element is missing.
    ModelError
        If the model to start from cannot be had, or lacks an element.
    """
    train, split = _read(config.train)
    valid, _ = _read(config.valid)
    _refuse_overlap(train, config.train, valid, config.valid)
    test: list[Frame] = []
    if config.test is not None:
        test, _ = _read(config.test)
        _refuse_overlap(train, config.train, test, config.test)
        _refuse_overlap(valid, config.valid, test, config.test)
    _refuse_large_batch(config, len(train))
    _refuse_elements_of_validation(config, train, valid)
    replay = _replay(config, train)
    held_out = _held_out(split, train, valid, config)
    _refuse_held_out_in_replay(held_out, replay)
    table = _table(config, train, test, split, replay)
    start, network = _start(config, table, train)
    if isinstance(config.start, Refine) and start is not None:
        table = in_order({*table, *start.foundation.elements})  # it keeps what it knew
    hashes = {"train_sha256": dataset_hash(train), "valid_sha256": dataset_hash(valid)}
    energies = _known_energies(before, hashes, table) or _energies(config, train, table, start)
    return TrainingSet(
        n_train=len(train),
        n_valid=len(valid),
        **hashes,
        elements=tuple(table),
        e0s_ev=energies.e0s_ev,
        e0s_from=energies.origin,
        unseen=energies.unseen,
        held_out=held_out,
        start=start,
        network=network,
        replay=tuple(replay),
    )


def refuse_failed_checks(config: TrainConfig) -> None:
    """Refuse to train on cells in which ``moalloy dataset check`` finds errors.

    Raises
    ------
    DataError
        Naming the first few.
    """
    if config.allow_failed_checks:
        return
    for path in (config.train, config.valid):
        report = check_dataset(path)
        if not report.n_errors:
            continue
        shown = [f"{f.place}: {f.found}" for f in report.findings[: min(3, report.n_errors)]]
        raise DataError(
            f"{path}: expected cells without errors, found {report.n_errors}: {'; '.join(shown)}. "
            f"See 'moalloy dataset check {path}' for all and how to mend them, or say "
            "allow_failed_checks: true"
        )


def _read(path: Path) -> tuple[list[Frame], dict[str, Any] | None]:
    """Read a dataset; where it is a part of a split, make sure that it is still what was drawn."""
    frames = read_dataset(path)
    return frames, check_against_split(path, frames)


def _refuse_large_batch(config: TrainConfig, n_train: int) -> None:
    batch_size = config.optimisation.batch_size
    if batch_size > n_train:
        raise ConfigError(
            f"optimisation.batch_size: expected at most {n_train}, the number of cells in "
            f"{config.train}, found {batch_size}: no batch would ever be full"
        )


def _refuse_elements_of_validation(
    config: TrainConfig, train: Sequence[Frame], valid: Sequence[Frame]
) -> None:
    known = {name for frame in train for name in frame.elements}
    unseen = in_order({name for frame in valid for name in frame.elements} - known)
    if unseen:
        raise DataError(
            f"{config.valid}: expected only elements that {config.train} holds too, found "
            f"{', '.join(unseen)}: nothing would be learnt of them. Split the data again"
        )


def _held_out(
    split: Mapping[str, Any] | None,
    train: Sequence[Frame],
    valid: Sequence[Frame],
    config: TrainConfig,
) -> str | None:
    """Return the strictly held-out dopant; make sure that no cell for training has an atom of it."""
    if split is None or split.get("protocol") != "lodo-strict":
        return None
    held_out = str(split["held_out"])
    for path, frames in ((config.train, train), (config.valid, valid)):
        for index, frame in enumerate(frames):
            if held_out in frame.elements:
                raise DataError(
                    f"{path}: frame {index} (the first is 0): expected no atom of the strictly "
                    f"held-out dopant {held_out}, found some. Split the data again"
                )
    return held_out


def _refuse_held_out_in_replay(held_out: str | None, replay: Sequence[Atoms]) -> None:
    for index, atoms in enumerate(replay):
        if held_out in atoms.symbols:
            raise DataError(
                f"start.method.cells: frame {index} (the first is 0): expected no atom of the strictly "
                f"held-out dopant {held_out}, found some: leave such cells out"
            )


def _table(
    config: TrainConfig,
    train: Sequence[Frame],
    test: Sequence[Frame],
    split: Mapping[str, Any] | None,
    replay: Sequence[Atoms],
) -> list[str]:
    """Elements of the model: those of the data, of the split that they are from, and those given."""
    elements = {name for frame in [*train, *test] for name in frame.elements}
    elements |= {str(name) for atoms in replay for name in atoms.symbols}
    elements |= set(config.elements) | set((split or {}).get("elements_not_in_train", ()))
    return in_order(elements)


def _replay(config: TrainConfig, train: Sequence[Frame]) -> list[Atoms]:
    if isinstance(config.start, Scratch) or not isinstance(config.start.method, Replay):
        return []
    return replay_cells(config.start.method, train)


def _start(
    config: TrainConfig, table: Sequence[str], train: Sequence[Frame]
) -> tuple[StartModel | None, MaceArchitecture | None]:
    if isinstance(config.start, Scratch):
        return None, network_of(config.start)
    wanted = set(table) | replay_elements(config)
    return open_start(config.start, wanted, device=config.device, host=train[0].host), None


def _known_energies(
    before: Mapping[str, Any] | None, hashes: Mapping[str, str], table: Sequence[str]
) -> ReferenceEnergies | None:
    if before is None or before.get("elements") != list(table):
        return None
    if any(before.get(key) != value for key, value in hashes.items()):
        return None
    return ReferenceEnergies(before["e0s_ev"], before["e0s_from"], before["unseen"])


def _energies(
    config: TrainConfig, train: Sequence[Frame], table: Sequence[str], start: StartModel | None
) -> ReferenceEnergies:
    return choose_e0s(
        config.start.e0s,
        config.start.unseen_e0s,
        train,
        table,
        start=None if start is None else start.energies,
    )


def _refuse_overlap(
    first: Sequence[Frame], first_path: Path, second: Sequence[Frame], second_path: Path
) -> None:
    seen = {frame.sha256: index for index, frame in enumerate(first)}
    for index, frame in enumerate(second):
        if frame.sha256 in seen:
            raise DataError(
                f"{second_path}: frame {index} (the first is 0): expected frames that are not in "
                f"{first_path}, found its frame {seen[frame.sha256]} again: errors on it would "
                "say nothing. Split the data again"
            )
