"""What a training will cost: one step of it, timed here."""

import time
from collections.abc import Sequence

import torch

from moalloy_md.config import Device
from moalloy_md.datasets.frames import Frame
from moalloy_md.elements import atomic_number
from moalloy_md.errors import ModelError
from moalloy_md.potentials.elements_subset import set_elements
from moalloy_md.potentials.foundations import resolve_foundation
from moalloy_md.potentials.loading import model_heads, resolve_device
from moalloy_md.potentials.predict import make_batch
from moalloy_md.potentials.quiet import quiet_mace
from moalloy_md.potentials.reference_energies import in_order
from moalloy_md.potentials.train_config import MaceArchitecture

with quiet_mace():
    import mace.modules
    from e3nn import o3
    from mace.tools.torch_tools import default_dtype

#: Steps that are timed after a first one, which is slower; the quickest counts.
_STEPS = 2
_BATCH = 8


def seconds_per_atom(
    network: MaceArchitecture | str, frames: Sequence[Frame], *, device: Device = "auto"
) -> float:
    """Time a training step: forward and backward, forces included.

    Parameters
    ----------
    network
        The network to build, or the name or path of a foundation.
    frames
        Cells of the kind that is trained on; some of them are used.
    device
        Where.

    Returns
    -------
    float
        Seconds an atom and epoch, float32.

    Raises
    ------
    ModelError
        If the foundation cannot be had, or knows the elements of no cell.
    """
    target = resolve_device(device)
    if isinstance(network, MaceArchitecture):
        chosen = _largest(frames)
        model = random_network(network, in_order({x for frame in chosen for x in frame.elements}))
    else:
        foundation = resolve_foundation(network)
        model, known = foundation.network, set(foundation.elements)
        chosen = _largest([frame for frame in frames if frame.elements <= known])
        if not chosen:
            raise ModelError(
                f"{network}: expected a foundation that knows the elements of some training cells, "
                f"found that each of the {len(frames)} has one that it lacks (it knows "
                f"{', '.join(foundation.elements)}). Take another one"
            )
        elements = in_order({x for frame in chosen for x in frame.elements})
        set_elements(model, {z: z for z in map(atomic_number, elements)})
    model = model.float().to(target).train()
    batch = make_batch(
        model, [frame.atoms for frame in chosen], head=model_heads(model)[0]
    ).to_dict()
    n_atoms = sum(frame.n_atoms for frame in chosen)
    times = []
    for _ in range(1 + _STEPS):
        start = time.perf_counter()
        _step(model, batch)
        if target == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times[1:]) / max(n_atoms, 1)


def _largest(frames: Sequence[Frame]) -> list[Frame]:
    return sorted(frames, key=lambda frame: frame.n_atoms)[-_BATCH:]


def _step(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> None:
    out = model(batch, training=True, compute_force=True)
    (out["energy"].square().sum() + out["forces"].square().sum()).backward()
    for parameter in model.parameters():
        parameter.grad = None


def random_network(network: MaceArchitecture, elements: Sequence[str]) -> torch.nn.Module:
    """Build a network of this size with random weights, float32, on the processor."""
    residual = mace.modules.interaction_classes["RealAgnosticResidualInteractionBlock"]
    irreps = "+".join(
        f"{network.channels}x{ell}{'eo'[ell % 2]}" for ell in range(network.max_l + 1)
    )
    with quiet_mace(), default_dtype(torch.float32):
        model: torch.nn.Module = mace.modules.ScaleShiftMACE(
            r_max=network.r_max_angstrom,
            num_bessel=network.num_radial_basis,
            num_polynomial_cutoff=network.num_cutoff_basis,
            max_ell=network.max_ell,
            interaction_cls=residual,
            interaction_cls_first=residual,
            num_interactions=network.num_interactions,
            num_elements=len(elements),
            hidden_irreps=o3.Irreps(irreps),
            MLP_irreps=o3.Irreps(f"{network.readout_channels}x0e"),
            gate=torch.nn.functional.silu,
            atomic_energies=torch.zeros(len(elements)),
            avg_num_neighbors=20.0,
            atomic_numbers=[atomic_number(x) for x in elements],
            correlation=network.correlation,
            radial_type="bessel",
            radial_MLP=list(network.radial_mlp),
            pair_repulsion=network.pair_repulsion,
            atomic_inter_scale=1.0,
            atomic_inter_shift=0.0,
            heads=["Default"],
        )
    return model
