"""What a training starts from: the network to build, or a model that is made ready to train on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moalloy_md.config import Device
from moalloy_md.datasets.frames import Frame, iter_dataset
from moalloy_md.elements import HOST, atomic_number
from moalloy_md.errors import ModelError
from moalloy_md.potentials.elements_subset import set_elements
from moalloy_md.potentials.foundations import Foundation, resolve_foundation
from moalloy_md.potentials.loading import save_model
from moalloy_md.potentials.predict import predict
from moalloy_md.potentials.proxy import proxies_for, with_proxies
from moalloy_md.potentials.quiet import quiet_mace
from moalloy_md.potentials.reference_energies import FloatArray, StartEnergies
from moalloy_md.potentials.train_config import (
    FineTune,
    MaceArchitecture,
    Refine,
    Scratch,
    TrainConfig,
)

with quiet_mace():
    from mace.tools.scripts_utils import extract_config_mace_model

#: Cells that the start model is evaluated on together.
_BATCH = 8


@dataclass(frozen=True)
class StartModel:
    """A model that training goes on from."""

    foundation: Foundation
    """The model, with all elements of the data in its table."""
    proxies: dict[str, str]
    """Elements that it did not know, and whose weights they were given."""

    def errors_ev(self, frames: Sequence[Frame]) -> FloatArray:
        """Return reference less predicted total energies, ``(n_frames,)``, eV."""
        network = self.foundation.network
        predicted = predict(network, [frame.atoms for frame in frames], batch_size=_BATCH)
        reference = np.array([frame.energy_ev for frame in frames])
        errors: FloatArray = reference - predicted.energies_ev
        return errors

    @property
    def energies(self) -> StartEnergies:
        """What the choice of the E0s needs to know of it."""
        return StartEnergies(self.foundation.e0s_ev, self.proxies, self.errors_ev)

    def write(self, path: Path, table: Sequence[str], e0s_ev: dict[str, float] | None) -> None:
        """Write the model with these elements, in their order, for mace-torch to go on from.

        Parameters
        ----------
        path
            The file.
        table
            Elements to keep, by atomic number.
        e0s_ev
            E0s to give it; its own where None. mace-torch takes over those of a model whose table
            is as long as the new one, whatever it was told, so they have to be right here.
        """
        network = self.foundation.network
        set_elements(network, {z: z for z in map(atomic_number, table)})
        if e0s_ev is not None:
            energies = torch.tensor([[e0s_ev[x] for x in table]], dtype=torch.float64)
            old = network.atomic_energies_fn.atomic_energies
            network.atomic_energies_fn.atomic_energies = energies.to(old)
        save_model(network, path)


def open_start(
    start: FineTune | Refine, elements: Collection[str], *, device: Device, host: str = HOST
) -> StartModel:
    """Load the model that training starts from, with all elements of the data in its table.

    Parameters
    ----------
    start
        Fine-tuning from a foundation, or refining of a fine-tuned model.
    elements
        Symbols that have to be in its table.
    device
        Where it is evaluated.
    host
        Not taken for a proxy.

    Raises
    ------
    ModelError
        If it cannot be loaded, is no ScaleShiftMACE, or, for fine-tuning, lacks an element.
    ConfigError
        If a given proxy is not known.
    """
    if isinstance(start, Refine):
        foundation = resolve_foundation(start.model.absolute(), head=start.head, device=device)
        _check_kind(foundation)
        proxies = proxies_for(elements, foundation.elements, start.proxies, host=host)
        with_proxies(foundation.network, proxies)
        return StartModel(foundation, proxies)
    foundation = resolve_foundation(start.foundation, head=start.head, device=device)
    _check_kind(foundation)
    missing = sorted(set(elements) - set(foundation.elements), key=atomic_number)
    if missing:
        raise ModelError(
            f"{start.foundation}: expected a foundation that knows all elements of the data, found "
            f"that it lacks {', '.join(missing)} (it knows {', '.join(foundation.elements)}). Take "
            "another one; or start with kind: refine, which gives each of them the weights of a "
            "proxy to begin with; or with kind: scratch; or leave those cells out"
        )
    return StartModel(foundation, {})


def replay_elements(config: TrainConfig) -> set[str]:
    """Elements of the old cells that a second head is trained on; none without one."""
    if isinstance(config.start, Scratch) or config.start.method.kind != "multihead":
        return set()
    method = config.start.method
    files = [f for f in (method.replay, method.replay_valid) if isinstance(f, Path)]
    return {name for file in files for frame in iter_dataset(file) for name in frame.elements}


def network_of(start: Scratch) -> MaceArchitecture:
    """Return the network to build from random weights.

    Raises
    ------
    ModelError
        If that of the foundation in ``like`` cannot be described by the configuration.
    """
    return start.model if start.like is None else architecture_of(resolve_foundation(start.like))


def architecture_of(foundation: Foundation) -> MaceArchitecture:
    """Describe the network of a model so that the same can be built with random weights.

    Raises
    ------
    ModelError
        If it has a part that `MaceArchitecture` cannot describe.
    """
    network = foundation.network
    _check_kind(foundation)
    found: dict[str, Any] = extract_config_mace_model(network)
    irreps = found["hidden_irreps"]
    max_l = irreps.lmax
    known = {
        "interaction_cls": "RealAgnosticResidualInteractionBlock",
        "interaction_cls_first": "RealAgnosticResidualInteractionBlock",
    }
    other = [found[key].__name__ for key, name in known.items() if found[key].__name__ != name]
    if found["radial_type"] != "bessel" or found["distance_transform"] not in {None, "NoneType"}:
        other.append(f"{found['radial_type']} with {found['distance_transform']}")
    if len({irrep.mul for irrep in irreps}) != 1 or irreps.num_irreps != irreps.count("0e") * (
        max_l + 1
    ):
        other.append(str(irreps))
    if other:
        raise ModelError(
            f"{foundation.name}: expected a network like that of MACE-MP-0, found {other[0]}: "
            "describe the one to build under start.model"
        )
    return MaceArchitecture(
        channels=irreps.count("0e"),
        max_l=max_l,
        r_max_angstrom=float(network.r_max),
        num_radial_basis=found["num_bessel"],
        num_cutoff_basis=int(found["num_polynomial_cutoff"]),
        max_ell=found["max_ell"],
        correlation=found["correlation"],
        num_interactions=found["num_interactions"],
        radial_mlp=tuple(found["radial_MLP"]),
        readout_channels=found["MLP_irreps"].count("0e"),
        pair_repulsion=found["pair_repulsion"],
    )


def _check_kind(foundation: Foundation) -> None:
    found = type(foundation.network).__name__
    if found != "ScaleShiftMACE":
        raise ModelError(
            f"{foundation.name}: expected a ScaleShiftMACE, the only kind that mace-torch trains on "
            f"from, found a {found}"
        )
