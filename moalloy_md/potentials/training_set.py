"""What a training needs to know of its data before it starts, and what it refuses."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from moalloy_md.config import TrainConfig
from moalloy_md.datasets.frames import Frame, dataset_hash, read_dataset
from moalloy_md.datasets.split_folder import check_against_split
from moalloy_md.elements import atomic_number
from moalloy_md.errors import ConfigError, DataError


@dataclass(frozen=True)
class TrainingSet:
    """Training and validation set of a run, as the manifest records them."""

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

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)


def read_training_set(config: TrainConfig) -> TrainingSet:
    """Read and check the data of a training run.

    Raises
    ------
    DataError
        If a set is missing, empty, damaged or unlabelled; a set from a split folder is no longer
        what its split.json says was drawn; the validation or test set holds a frame of the
        training set; or validation has an element that training lacks.
    ConfigError
        If a batch is larger than the training set, or the E0 of an element is missing.
    """
    train, valid = _read(config.train), _read(config.valid)
    _refuse_overlap(train, config.train, valid, config.valid)
    if config.test is not None:
        test = _read(config.test)
        _refuse_overlap(train, config.train, test, config.test)
        _refuse_overlap(valid, config.valid, test, config.test)
    batch_size = config.optimisation.batch_size
    if batch_size > len(train):
        raise ConfigError(
            f"optimisation.batch_size: expected at most {len(train)}, the number of cells in "
            f"{config.train}, found {batch_size}: no batch would ever be full"
        )
    e0s, origin = _reference_energies(config.start.e0s, train, valid, config)
    return TrainingSet(
        n_train=len(train),
        n_valid=len(valid),
        train_sha256=dataset_hash(train),
        valid_sha256=dataset_hash(valid),
        elements=tuple(e0s),
        e0s_ev=e0s,
        e0s_from=origin,
    )


def _read(path: Path) -> list[Frame]:
    """Read a dataset; where it is a part of a split, make sure that it is still what was drawn."""
    frames = read_dataset(path)
    check_against_split(path, frames)
    return frames


def average_e0s(frames: Sequence[Frame]) -> tuple[dict[str, float], int]:
    """Fit one energy an element to total energies, by least squares over the compositions.

    ``E_s ≈ Σ_Z n_sZ E0_Z``, with ``n_sZ`` the number of atoms of element Z in cell s: what
    mace-torch calls ``average``. Where the compositions do not determine the E0s, the solution
    of smallest norm is taken.

    Returns
    -------
    e0s
        By chemical symbol in the order of the atomic numbers, eV.
    rank
        Rank of the matrix of compositions; less than the number of elements where the E0s are
        not determined.
    """
    elements = _in_order({name for frame in frames for name in frame.elements})
    counts = np.array([[frame.atoms.symbols.count(name) for name in elements] for frame in frames])
    energies = np.array([frame.energy_ev for frame in frames])
    solution, _, rank, _ = np.linalg.lstsq(counts.astype(float), energies, rcond=None)
    return dict(zip(elements, solution.tolist(), strict=True)), int(rank)


def _reference_energies(
    given: Literal["average"] | dict[str, float],
    train: Sequence[Frame],
    valid: Sequence[Frame],
    config: TrainConfig,
) -> tuple[dict[str, float], str]:
    wanted = {name for frame in [*train, *valid] for name in frame.elements}
    if isinstance(given, dict):
        missing = _in_order(wanted - given.keys())
        if missing:
            raise ConfigError(
                f"start.e0s: expected an energy for each element of the training and validation "
                f"set, found none for {', '.join(missing)}. Add them, or say e0s: average"
            )
        # Elements beyond those of the data would be in the table with nothing learnt of them.
        return {name: given[name] for name in _in_order(wanted)}, "given in the configuration"
    e0s, rank = average_e0s(train)
    unseen = _in_order(wanted - e0s.keys())
    if unseen:
        raise DataError(
            f"{config.valid}: expected only elements that {config.train} holds too, found "
            f"{', '.join(unseen)}: nothing would be learnt of them. Split the data again"
        )
    origin = f"least squares over the compositions of {len(train)} training cells"
    if rank < len(e0s):
        origin += f" (rank {rank} of {len(e0s)}: not determined, smallest norm taken)"
    return e0s, origin


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


def _in_order(elements: set[str]) -> list[str]:
    return sorted(elements, key=atomic_number)
