"""Binding energies of models beside those of DFT, in the cells of the DFT."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from rich.console import Console

from moalloy_md.bundle import Bundle, open_bundle
from moalloy_md.datasets.bundled import bundled_path
from moalloy_md.datasets.frames import Frame, read_dataset
from moalloy_md.errors import DataError
from moalloy_md.potentials.dilute import (
    DiluteEnergy,
    DiluteErrors,
    dilute_errors,
    pair_contacts,
    summary,
)
from moalloy_md.workflows.bundle_calculator import bundle_calculator, engine_of
from moalloy_md.workflows.interaction.config import Validation, ValidationModel
from moalloy_md.workflows.label.store import structure_hash
from moalloy_md.workflows.progress_bar import progress_bar

_STATES = {"ideal", "relaxed"}


@dataclass(frozen=True)
class CheckedPair:
    """The binding energy of one pair in one cell, by DFT and by the models."""

    name: str
    """Elements, shell and state of the cells."""
    n_sites: int
    """Of the cell."""
    shell: int | None
    """Neighbour shell of the pair; None if it is none of the first."""
    n_contacts: int | None
    """Images of the second dopant in that shell: what the energy is of."""
    reference_mev: float
    """By DFT, meV."""
    predicted_mev: dict[str, float]
    """By model, meV."""
    seen: dict[str, bool | None]
    """Whether the cell with the pair was in the model's training set; None if that was not given."""


@dataclass(frozen=True)
class ValidationResults:
    """All pairs, and how well the models do."""

    source: str
    """Where the DFT is from."""
    n_left_out: int
    """Cells with an element that one of the models does not know."""
    uncertainty_mev: float
    """How far the DFT's own energies may be off, meV."""
    pairs: tuple[CheckedPair, ...]
    """One by one."""

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models."""
        return tuple(self.pairs[0].predicted_mev)

    def errors(self, model: str, *, unseen: bool = False, shell: int | None = None) -> DiluteErrors:
        """Sum up a model's errors: of all pairs, of those it has not seen, of one shell."""
        chosen = [
            pair
            for pair in self.pairs
            if (not unseen or pair.seen[model] is False) and shell in {None, pair.shell}
        ]
        return summary([_as_energy(pair, model) for pair in chosen], signed=True)

    @property
    def certain(self) -> tuple[CheckedPair, ...]:
        """Pairs whose energy by DFT is larger than its uncertainty: their sign can be asked for."""
        return tuple(p for p in self.pairs if abs(p.reference_mev) > self.uncertainty_mev)

    def sign_agreement(self, model: str) -> float | None:
        """Part of the certain pairs of which a model says rightly whether they attract or repel."""
        return summary([_as_energy(p, model) for p in self.certain], signed=True).sign_agreement

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        shells = sorted({pair.shell for pair in self.pairs if pair.shell is not None})
        return {
            "data": self.source,
            "n_left_out": self.n_left_out,
            "uncertainty_mev": self.uncertainty_mev,
            "n_certain": len(self.certain),
            "models": {
                model: {
                    "all": _numbers(self.errors(model)),
                    "sign_agreement_of_certain": self.sign_agreement(model),
                    "unseen": _numbers(self.errors(model, unseen=True)),
                    "by_shell": {s: _numbers(self.errors(model, shell=s)) for s in shells},
                }
                for model in self.models
            },
            "pairs": [asdict(pair) for pair in self.pairs],
        }


def validate_interactions(config: Validation, *, console: Console) -> ValidationResults:
    """Compute the binding energies that a set of DFT cells allows, by DFT and by models.

    Each cell is evaluated as it is, on the positions of the DFT. See
    `moalloy_md.potentials.dilute.dilute_errors` for which cells go together.

    Parameters
    ----------
    config
        The set and the models.
    console
        Where progress is shown.

    Raises
    ------
    DataError
        If the set cannot be read, or holds no pair with its host and its single dopants.
    ModelError
        If a bundle is none.
    """
    path = bundled_path() if config.is_bundled else config.data
    bundles = {name: open_bundle(model.bundle) for name, model in config.models.items()}
    known = set.intersection(*(set(bundle.elements) for bundle in bundles.values()))
    dilute = [frame for frame in read_dataset(path) if _takes_part(frame)]
    used = [frame for frame in dilute if set(frame.elements) <= known]
    errors: dict[str, DiluteErrors] = {}
    with progress_bar(console, "{} of {} models compared with DFT") as show:
        for k, (name, bundle) in enumerate(bundles.items()):
            show(k, len(bundles), name, is_end=False)
            errors[name] = dilute_errors(used, _energies(bundle, used))["binding"]
            if errors[name].n == 0:
                raise DataError(_nothing_to_compare(path, len(dilute), len(used), known))
        show(len(bundles), len(bundles), "", is_end=True)
    seen = {name: _seen(model) for name, model in config.models.items()}
    return ValidationResults(
        source=str(config.data),
        n_left_out=len(dilute) - len(used),
        uncertainty_mev=config.uncertainty_mev,
        pairs=tuple(_checked(used, errors, seen)),
    )


def _takes_part(frame: Frame) -> bool:
    n_dopants = sum(symbol != frame.host for symbol in frame.atoms.symbols)
    return frame.state in _STATES and n_dopants <= 2


def _energies(bundle: Bundle, frames: Sequence[Frame]) -> Any:
    calculator = bundle_calculator(bundle.path, engine=engine_of(bundle), threads=1)
    energies = []
    for frame in frames:
        atoms = frame.atoms
        work = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        work.calc = calculator
        energies.append(float(work.get_potential_energy()))
    return np.array(energies)


def _seen(model: ValidationModel) -> set[str] | None:
    if model.trained_on is None:
        return None
    return {structure_hash(frame.atoms) for frame in read_dataset(model.trained_on)}


def _checked(
    frames: Sequence[Frame],
    errors: Mapping[str, DiluteErrors],
    seen: Mapping[str, set[str] | None],
) -> list[CheckedPair]:
    columns = [found.energies for found in errors.values()]
    rows = []
    for energies in zip(*columns, strict=True):
        frame = frames[energies[0].cells[0]]
        digest = structure_hash(frame.atoms)
        contacts = pair_contacts(frame)
        rows.append(
            CheckedPair(
                name=energies[0].name,
                n_sites=energies[0].n_atoms,
                shell=contacts and contacts[0],
                n_contacts=contacts and contacts[1],
                reference_mev=energies[0].reference_mev,
                predicted_mev={m: e.predicted_mev for m, e in zip(errors, energies, strict=True)},
                seen={m: None if known is None else digest in known for m, known in seen.items()},
            )
        )
    return rows


def _as_energy(pair: CheckedPair, model: str) -> DiluteEnergy:
    return DiluteEnergy(pair.name, pair.n_sites, (), pair.reference_mev, pair.predicted_mev[model])


def _numbers(errors: DiluteErrors) -> dict[str, Any]:
    content = errors.as_dict()
    del content["energies"]
    return content


def _nothing_to_compare(path: Path, n_dilute: int, n_used: int, known: set[str]) -> str:
    return (
        f"{path}: expected cells with two dopants, and the host and each dopant alone in the same "
        f"cell (state ideal or relaxed), found none that go together among {n_dilute} dilute cells"
        + (
            f", {n_dilute - n_used} of which hold elements that the models do not know "
            f"({', '.join(sorted(known))})"
            if n_used < n_dilute
            else ""
        )
        + ": 'moalloy structures dilute' makes such cells"
    )
