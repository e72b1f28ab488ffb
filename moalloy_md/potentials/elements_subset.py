"""Cut a MACE model down to some of its elements, or extend it by copies of them, exactly.

Elements enter a MACE model through one-hot vectors of length T: in the node embedding, in the
skip connections, and as the leading axis of the symmetric contraction's weights. e3nn normalises
the first two by 1/sqrt(T) at run time, so T' rows taken out of T are scaled by sqrt(T'/T).
"""

from collections.abc import Mapping

import torch

from moalloy_md.elements import symbol
from moalloy_md.errors import ModelError
from moalloy_md.potentials.loading import model_elements
from moalloy_md.potentials.quiet import quiet_mace

with quiet_mace():
    from e3nn import o3

#: Interaction blocks whose dependence on elements is known: all of it is in ``skip_tp``.
_KNOWN_BLOCKS = {
    "RealAgnosticInteractionBlock",
    "RealAgnosticResidualInteractionBlock",
    "RealAgnosticDensityInteractionBlock",
    "RealAgnosticDensityResidualInteractionBlock",
}


def keep_elements(model: torch.nn.Module, atomic_numbers: list[int]) -> None:
    """Keep only the given elements of `model`, in place; its energies do not change.

    Parameters
    ----------
    model
        `mace.modules.MACE` or `ScaleShiftMACE`.
    atomic_numbers
        The elements to keep; they are put in the order of the model's table.

    Raises
    ------
    ModelError
        If the model lacks one of them, or has a part whose use of elements is not known here.
    """
    set_elements(model, {z: z for z in atomic_numbers})


def set_elements(model: torch.nn.Module, sources: Mapping[int, int]) -> None:
    """Give `model` another table of elements, in place.

    An element with the weights and the E0 of another one is a proxy: the model takes both for the
    same, but for the repulsion at short distances, if it has one, which is by atomic number.

    Parameters
    ----------
    model
        `mace.modules.MACE` or `ScaleShiftMACE`.
    sources
        By atomic number of each wanted element that of the known one whose weights it gets: its
        own, or that of a proxy. The new table is in the order of the atomic numbers.

    Raises
    ------
    ModelError
        If a source is not in the model's table, or the model has a part whose use of elements is
        not known here.
    """
    known = model_elements(model)
    missing = sorted(set(sources.values()) - set(known))
    if missing:
        raise ModelError(
            f"elements: expected some that the model knows ({', '.join(map(symbol, known))}), found "
            f"{', '.join(map(symbol, missing))}: leave them out"
        )
    numbers = sorted(sources)
    rows = [known.index(sources[z]) for z in numbers]
    _refuse_unknown_blocks(model)
    with quiet_mace(), torch.no_grad():
        _cut_embedding(model, rows, len(known))
        for block in model.interactions:
            block.skip_tp = _cut_skip(block.skip_tp, rows, len(known))
        for product in model.products:
            if not getattr(product, "use_agnostic_product", False):
                _cut_contraction(product.symmetric_contractions, rows)
        energies = model.atomic_energies_fn.atomic_energies
        model.atomic_energies_fn.atomic_energies = torch.atleast_2d(energies)[:, rows].clone()
        model.atomic_numbers = torch.tensor(
            numbers, dtype=model.atomic_numbers.dtype, device=model.atomic_numbers.device
        )


def _refuse_unknown_blocks(model: torch.nn.Module) -> None:
    blocks = {type(block).__name__ for block in model.interactions}
    if not blocks <= _KNOWN_BLOCKS:
        raise ModelError(
            f"elements: expected interaction blocks among {', '.join(sorted(_KNOWN_BLOCKS))}, found "
            f"{', '.join(sorted(blocks - _KNOWN_BLOCKS))}: use this model with all its elements and "
            "no others"
        )


def _cut_embedding(model: torch.nn.Module, rows: list[int], n_before: int) -> None:
    old = model.node_embedding.linear
    weight = old.weight.view(n_before, -1)[rows] * (len(rows) / n_before) ** 0.5
    model.node_embedding.linear = _filled(
        o3.Linear(o3.Irreps(f"{len(rows)}x0e"), old.irreps_out), weight.flatten()
    )


def _cut_skip(old: torch.nn.Module, rows: list[int], n_before: int) -> torch.nn.Module:
    new = o3.FullyConnectedTensorProduct(
        old.irreps_in1, o3.Irreps(f"{len(rows)}x0e"), old.irreps_out
    )
    scale = (len(rows) / n_before) ** 0.5
    parts = [view[:, rows, :].flatten() * scale for view in old.weight_views()]
    return _filled(new, torch.cat(parts))


def _cut_contraction(contraction: torch.nn.Module, rows: list[int]) -> None:
    for part in contraction.contractions:
        part.weights_max = torch.nn.Parameter(part.weights_max[rows].clone())
        part.weights = torch.nn.ParameterList(
            [torch.nn.Parameter(weight[rows].clone()) for weight in part.weights]
        )


def _filled(module: torch.nn.Module, weight: torch.Tensor) -> torch.nn.Module:
    """Give a fresh e3nn module its weights, and the dtype and device of these."""
    if module.weight.shape != weight.shape:
        raise ModelError(
            f"elements: expected {module.weight.numel()} weights in {type(module).__name__}, found "
            f"{weight.numel()}: export this model with all its elements"
        )
    module = module.to(dtype=weight.dtype, device=weight.device)
    module.weight.copy_(weight)
    return module
