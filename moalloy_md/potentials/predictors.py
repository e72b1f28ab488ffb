"""Who predicts: mace-torch, the native engine, or a committee. What evaluation needs of each."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from ase import Atoms

from moalloy_md.config import Device, Engine
from moalloy_md.errors import ModelError
from moalloy_md.potentials.spread import FloatArray, mean_and_std
from moalloy_md.rundir import sha256

if TYPE_CHECKING:
    from moalloy_md.potentials.predict import Predictions


@dataclass(frozen=True)
class Deviations:
    """Standard deviation over the models of a committee."""

    energies_ev: FloatArray
    """Of the total energies, ``(n_cells,)``, eV."""
    forces: tuple[FloatArray, ...]
    """Of the force components of each cell, ``(n_atoms, 3)``, eV/Å."""


class Predictor(Protocol):
    """A model that is ready to be evaluated on cells."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides on its numbers, for the manifest of a run."""

    @property
    def proxies(self) -> dict[str, str]:
        """Elements that it lacks, and those whose weights stand in for them."""

    @property
    def n_models(self) -> int:
        """Models that it consists of."""

    def check(self, cells: Sequence[Atoms], *, source: str) -> None:
        """Refuse cells with elements that the model lacks, with `ModelError`."""

    def predict(
        self, cells: Sequence[Atoms], *, source: str, watch: Callable[[int], None] | None
    ) -> "tuple[Predictions, Deviations | None]":
        """Energies and forces of the cells, and how far a committee disagrees about them.

        `source` names the cells in errors; `watch` is called with the number that are done.
        """


@dataclass(frozen=True)
class ProxyChoice:
    """Whether and how elements that a model lacks get a proxy."""

    elements: Collection[str]
    """Symbols that the cells hold."""
    given: Mapping[str, str]
    """Proxies chosen by the user; for the others the nearest known element."""
    host: str
    """Is not taken for a proxy."""


def open_predictor(
    models: Sequence[str | Path],
    *,
    engine: Engine = "mace",
    device: Device = "auto",
    batch_size: int = 8,
    head: str | None = None,
    proxies: ProxyChoice | None = None,
) -> Predictor:
    """Load a model, or the models of a committee, for evaluation.

    Parameters
    ----------
    models
        ``.model`` files or names of foundations for mace-torch; a bundle or ``model.safetensors``
        for the native engine. More than one are a committee.
    engine
        Who computes.
    device, batch_size
        Of mace-torch; the native engine computes on the processor, cell by cell.
    head
        Head of the model, where it has several.
    proxies
        Lets known elements stand in for those that the model lacks; refused if None.

    Raises
    ------
    ModelError
        If a model cannot be loaded, has no such head, or the engine has no such device.
    ConfigError
        If a given proxy is not known.
    """
    members = [
        _open_one(
            model, engine=engine, device=device, batch_size=batch_size, head=head, proxies=proxies
        )
        for model in models
    ]
    return members[0] if len(members) == 1 else _Committee(members)


def _open_one(
    model: str | Path,
    *,
    engine: Engine,
    device: Device,
    batch_size: int,
    head: str | None,
    proxies: ProxyChoice | None,
) -> Predictor:
    if engine == "mace":
        return _MacePredictor(
            model, device=device, batch_size=batch_size, head=head, proxies=proxies
        )
    if device == "cuda":
        raise ModelError(
            "engine native: expected device cpu or auto, found cuda: it computes on the processor"
        )
    if proxies is not None:
        raise ModelError(
            "engine native: expected no proxies, found some asked for: its file cannot be given "
            "other elements. Use engine mace, or export a model that knows them"
        )
    return _NativePredictor(Path(model), head=head)


class _MacePredictor:
    n_models = 1

    def __init__(
        self,
        model: str | Path,
        *,
        device: Device,
        batch_size: int,
        head: str | None,
        proxies: ProxyChoice | None,
    ) -> None:
        from moalloy_md.potentials.foundations import open_model
        from moalloy_md.potentials.loading import model_heads, resolve_device
        from moalloy_md.potentials.predict import chosen_head, known_symbols
        from moalloy_md.potentials.proxy import proxies_for, with_proxies

        self._network, digest = open_model(model, device=device)
        # before a run directory is made, in which a wrong name would stay
        chosen_head(model_heads(self._network), head, source=str(model))
        self.proxies: dict[str, str] = {}
        if proxies is not None:
            self.proxies = proxies_for(
                proxies.elements, known_symbols(self._network), proxies.given, host=proxies.host
            )
            with_proxies(self._network, self.proxies)
        self._batch_size, self._head = batch_size, head
        self.identity = {
            "model_sha256": digest,
            "device": resolve_device(device),
            "batch_size": batch_size,
            "head": head,
            **({"proxies": self.proxies} if self.proxies else {}),
        }

    def check(self, cells: Sequence[Atoms], *, source: str) -> None:
        from moalloy_md.potentials.predict import check_elements, known_symbols

        check_elements(known_symbols(self._network), cells, source=source)

    def predict(
        self, cells: Sequence[Atoms], *, source: str, watch: Callable[[int], None] | None
    ) -> "tuple[Predictions, None]":
        from moalloy_md.potentials.predict import predict

        found = predict(
            self._network.requires_grad_(False),
            cells,
            batch_size=self._batch_size,
            head=self._head,
            source=source,
            watch=watch,
        )
        return found, None


class _NativePredictor:
    n_models = 1

    def __init__(self, model: Path, *, head: str | None) -> None:
        from moalloy_md.potentials.native import NativeCalculator

        self._calculator = NativeCalculator(model)
        self.proxies: dict[str, str] = {}
        if head is not None and head != self._calculator.head:
            raise ModelError(
                f"{model}: expected head {head}, found {self._calculator.head}: a file for the "
                "native engine holds one head; export the model again with --head"
            )
        self.identity = {
            "model_sha256": sha256(self._calculator.file),
            "engine": "native",
            "precision": self._calculator.precision,
        }

    def check(self, cells: Sequence[Atoms], *, source: str) -> None:
        from moalloy_md.potentials.predict import check_elements

        check_elements(self._calculator.elements, cells, source=source)

    def predict(
        self, cells: Sequence[Atoms], *, source: str, watch: Callable[[int], None] | None
    ) -> "tuple[Predictions, None]":
        from moalloy_md.potentials.predict import Predictions

        energies, forces, e0s = [], [], []
        for index, atoms in enumerate(cells):
            work = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
            work.calc = self._calculator
            try:
                energies.append(float(work.get_potential_energy()))
            except ModelError as error:
                raise ModelError(f"{source}: frame {index} (the first is 0): {error}") from None
            forces.append(work.get_forces())
            e0s.append(sum(self._calculator.energies_0_ev[s] for s in work.symbols))
            if watch is not None:
                watch(index + 1)
        return Predictions(np.array(energies), tuple(forces), np.array(e0s)), None


class _Committee:
    """Predicts the mean of its models, and how far they disagree."""

    def __init__(self, members: Sequence[Predictor]) -> None:
        self._members = members
        self.n_models = len(members)
        self.proxies = members[0].proxies
        self.identity = {"committee": [member.identity for member in members]}

    def check(self, cells: Sequence[Atoms], *, source: str) -> None:
        for member in self._members:
            member.check(cells, source=source)

    def predict(
        self, cells: Sequence[Atoms], *, source: str, watch: Callable[[int], None] | None
    ) -> "tuple[Predictions, Deviations]":
        from moalloy_md.potentials.predict import Predictions

        found = []
        for k, member in enumerate(self._members):
            found.append(
                member.predict(
                    cells,
                    source=source,
                    watch=None if watch is None else _part_of(watch, k, self.n_models),
                )[0]
            )
        energies, energy_std = mean_and_std([one.energies_ev for one in found])
        forces = [mean_and_std([one.forces[k] for one in found]) for k in range(len(cells))]
        e0s, _ = mean_and_std([one.e0_energies_ev for one in found])
        return (
            Predictions(energies, tuple(mean for mean, _ in forces), e0s),
            Deviations(energy_std, tuple(std for _, std in forces)),
        )


def _part_of(watch: Callable[[int], None], k: int, n: int) -> Callable[[int], None]:
    """Let the k-th of n models count cells as if a cell were done once all have evaluated it."""
    return lambda done: watch(done // n if k < n - 1 else done)
