"""Who predicts: mace-torch, or the native engine. What evaluation needs of either."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from ase import Atoms

from moalloy_md.config import Device, Engine
from moalloy_md.errors import ModelError
from moalloy_md.rundir import sha256

if TYPE_CHECKING:
    from moalloy_md.potentials.predict import Predictions


class Predictor(Protocol):
    """A model that is ready to be evaluated on cells."""

    @property
    def identity(self) -> dict[str, Any]:
        """What decides on its numbers, for the manifest of a run."""

    def check(self, cells: Sequence[Atoms], *, source: str) -> None:
        """Refuse cells with elements that the model lacks, with `ModelError`."""

    def predict(
        self, cells: Sequence[Atoms], *, source: str, watch: Callable[[int], None] | None
    ) -> "Predictions":
        """Energies and forces of the cells; `source` names them in errors."""


def open_predictor(
    model: Path,
    *,
    engine: Engine = "mace",
    device: Device = "auto",
    batch_size: int = 8,
    head: str | None = None,
) -> Predictor:
    """Load a model for evaluation.

    Parameters
    ----------
    model
        A ``.model`` file for mace-torch; a bundle or ``model.safetensors`` for the native engine.
    engine
        Who computes.
    device, batch_size
        Of mace-torch; the native engine computes on the processor, cell by cell.
    head
        Head of the model, where it has several.

    Raises
    ------
    ModelError
        If the model cannot be loaded, has no such head, or the engine has no such device.
    """
    if engine == "mace":
        return _MacePredictor(model, device=device, batch_size=batch_size, head=head)
    if device == "cuda":
        raise ModelError(
            "engine native: expected device cpu or auto, found cuda: it computes on the processor"
        )
    return _NativePredictor(model, head=head)


class _MacePredictor:
    def __init__(self, model: Path, *, device: Device, batch_size: int, head: str | None) -> None:
        from moalloy_md.potentials.loading import load_model, resolve_device

        self._network = load_model(model, device=device)
        self._batch_size, self._head = batch_size, head
        self.identity = {
            "model_sha256": sha256(model),
            "device": resolve_device(device),
            "batch_size": batch_size,
            "head": head,
        }

    def check(self, cells: Sequence[Atoms], *, source: str) -> None:
        from moalloy_md.potentials.predict import check_elements, known_symbols

        check_elements(known_symbols(self._network), cells, source=source)

    def predict(
        self, cells: Sequence[Atoms], *, source: str, watch: Callable[[int], None] | None
    ) -> "Predictions":
        from moalloy_md.potentials.predict import predict

        return predict(
            self._network.requires_grad_(False),
            cells,
            batch_size=self._batch_size,
            head=self._head,
            source=source,
            watch=watch,
        )


class _NativePredictor:
    def __init__(self, model: Path, *, head: str | None) -> None:
        from moalloy_md.potentials.native import NativeCalculator

        self._calculator = NativeCalculator(model)
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
    ) -> "Predictions":
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
        return Predictions(np.array(energies), tuple(forces), np.array(e0s))
