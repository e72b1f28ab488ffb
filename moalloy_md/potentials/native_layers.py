"""The message-passing layers of a MACE model as the tensors of the native engine's file."""

from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray

from moalloy_md.config import DType
from moalloy_md.potentials.native_folding import (
    Array,
    Read,
    channel_mixing,
    contraction,
    convolution,
    element_mixing,
    linear,
    need_class,
    need_degrees,
    need_parts,
    network,
    reader,
    unsupported,
)
from moalloy_md.potentials.quiet import quiet_mace

with quiet_mace():
    from mace.modules import blocks, irreps_tools

_PARTS = (
    "linear_up",
    "conv_tp",
    "conv_tp_weights",
    "density_fn",
    "linear",
    "skip_tp",
    "reshape",
)
#: Interaction blocks, and whether each has a shortcut past the message and normalises by density.
_BLOCKS = {
    blocks.RealAgnosticInteractionBlock: (False, False),
    blocks.RealAgnosticResidualInteractionBlock: (True, False),
    blocks.RealAgnosticDensityInteractionBlock: (False, True),
    blocks.RealAgnosticDensityResidualInteractionBlock: (True, True),
}


@dataclass(frozen=True)
class Parts:
    """What has been read of a model so far.

    Attributes
    ----------
    dtype
        Precision of the file.
    channels, n_elements
        K and T.
    exact
        Tensors of double precision, whatever the file's, and integers; by name.
    weights
        Tensors to be rounded to the precision of the file; by name.
    silu_constants
        Constants c of c·silu(x), in ``"radial network"`` and ``"readout"``.
    """

    dtype: DType
    channels: int
    n_elements: int
    exact: dict[str, NDArray[Any]] = field(default_factory=dict)
    weights: dict[str, Array] = field(default_factory=dict)
    silu_constants: dict[str, set[float]] = field(default_factory=dict)

    @property
    def read(self) -> Read:
        """Function that reads a tensor in the precision of the file."""
        return reader(self.dtype)


def add_layer(parts: Parts, model: torch.nn.Module, number: int) -> dict[str, Any]:
    """Add the tensors of one layer to `parts`.

    Returns
    -------
    dict
        What the header says of the layer.

    Raises
    ------
    UnsupportedModelError
        If the layer is of another kind than the engine evaluates.
    """
    what, name, block = f"layer {number}", f"layers.{number}", model.interactions[number]
    if type(block) not in _BLOCKS:
        known = ", ".join(kind.__name__ for kind in _BLOCKS)
        raise unsupported(what, expected=f"one of {known}", found=type(block).__name__)
    need_parts(block, _PARTS, what)
    need_class(block.reshape, irreps_tools.reshape_irreps, what)
    _need_plain_layout([block, block.reshape, model.products[number]], what)
    residual, density = _BLOCKS[type(block)]
    for degree, mixing in enumerate(
        channel_mixing(block.linear_up, parts.channels, parts.read, f"{what}, linear_up")
    ):
        parts.weights[f"{name}.up.{degree}"] = mixing
    l_in = need_degrees(block.linear_up.irreps_in, parts.channels, what)
    paths = _add_message(parts, block, name, density=density)
    widths = _add_network(parts, block, name, density=density)
    is_last = number == len(model.interactions) - 1
    degrees, correlation = _add_product(
        parts, model.products[number], block, name, scalars_alone=is_last
    )
    l_max = need_degrees(block.linear.irreps_out, parts.channels, what)
    _add_skip(
        parts,
        block,
        name,
        [d for d in degrees if d <= l_in] if residual else list(range(l_max + 1)),
    )
    return {
        "residual": residual,
        "density": density,
        "l_in": l_in,
        "paths": paths,
        "widths": widths,
        "degrees": degrees,
        "correlation": correlation,
    }


def is_residual(block: torch.nn.Module) -> bool:
    """Whether an interaction block has a shortcut past the message."""
    return _BLOCKS[type(block)][0]


def _add_message(
    parts: Parts, block: torch.nn.Module, name: str, *, density: bool
) -> list[list[int]]:
    """Add the paths of the convolution and the linear layer behind them; return their degrees."""
    what = f"{name}, linear"
    paths = convolution(block.conv_tp, parts.channels, parts.read, f"{name}, conv_tp")
    mixing = linear(block.linear, parts.read, what)
    ends = [(number, path.degrees[2]) for number, path in enumerate(paths)]
    if block.linear.irreps_in != block.conv_tp.irreps_out or [m[:2] for m in mixing] != ends:
        raise unsupported(what, expected="one block for each path", found=block.linear)
    # density blocks divide by 1 + Σ d instead, at run time
    neighbours = 1.0 if density else float(block.avg_num_neighbors)
    for number, (path, (_, _, weights)) in enumerate(zip(paths, mixing, strict=True)):
        parts.exact[f"{name}.path.{number}.coupling"] = path.coupling
        parts.weights[f"{name}.path.{number}.linear"] = weights / neighbours
    return [list(path.degrees) for path in paths]


def _add_network(parts: Parts, block: torch.nn.Module, name: str, *, density: bool) -> list[int]:
    """Add the radial network, and the density's; return the widths of the former."""
    layers, constants = network(block.conv_tp_weights, parts.read, f"{name}, radial network")
    parts.silu_constants.setdefault("radial network", set()).update(constants)
    for step, weights in enumerate(layers):
        parts.weights[f"{name}.network.{step}"] = weights
    if density:
        of_density, _ = network(block.density_fn, parts.read, f"{name}, density")
        if [weights.shape[1] for weights in of_density] != [1]:
            raise unsupported(
                f"{name}, density", expected="one layer to one number", found=block.density_fn
            )
        parts.weights[f"{name}.density"] = of_density[0][:, 0]
    return [layers[0].shape[0], *(weights.shape[1] for weights in layers)]


def _add_product(
    parts: Parts,
    product: torch.nn.Module,
    block: torch.nn.Module,
    name: str,
    *,
    scalars_alone: bool,
) -> tuple[list[int], int]:
    """Add the symmetric contraction and its linear layer; return the degrees and correlation."""
    what = f"{name}, product"
    need_class(product, blocks.EquivariantProductBasisBlock, what)
    need_parts(product, ("symmetric_contractions", "linear"), what)
    if is_residual(block) and not product.use_sc:
        raise unsupported(what, expected="the shortcut of a residual block", found="none")
    polynomials = contraction(
        product.symmetric_contractions, parts.n_elements, parts.channels, parts.read, what
    )
    mixing = channel_mixing(product.linear, parts.channels, parts.read, f"{what}, linear")
    if (
        product.symmetric_contractions.irreps_in != block.linear.irreps_out
        or product.symmetric_contractions.irreps_out != product.linear.irreps_in
    ):
        raise unsupported(what, expected=f"the irreps {block.linear.irreps_out}", found=product)
    if scalars_alone:  # nothing reads what else keep_last_layer_irreps keeps
        polynomials = {0: polynomials[0]}
    for degree, orders in polynomials.items():
        for order, terms in enumerate(orders, start=1):
            if len(terms.indices):
                place = f"{name}.product.{degree}.{order}"
                parts.exact[f"{place}.indices"] = terms.indices
                parts.exact[f"{place}.coefficients"] = terms.coefficients
                parts.weights[f"{place}.weights"] = terms.weights
        parts.weights[f"{name}.product.{degree}.linear"] = mixing[degree]
    return list(polynomials), len(polynomials[0])


def _add_skip(parts: Parts, block: torch.nn.Module, name: str, degrees: list[int]) -> None:
    what = f"{name}, skip_tp"
    mixing = element_mixing(block.skip_tp, parts.n_elements, parts.channels, parts.read, what)
    if not set(degrees) <= mixing.keys():
        raise unsupported(what, expected=f"degrees {degrees}", found=sorted(mixing))
    for degree in degrees:
        parts.weights[f"{name}.skip.{degree}"] = mixing[degree]


def _need_plain_layout(modules: list[torch.nn.Module], what: str) -> None:
    """Refuse modules converted for cuequivariance or openequivariance."""
    for module in modules:
        config = getattr(module, "cueq_config", None)
        if getattr(config, "layout_str", "mul_ir") != "mul_ir" or hasattr(module, "conv_fusion"):
            raise unsupported(
                what,
                expected="e3nn's layout of weights",
                found="that of cuequivariance or openequivariance (convert it back first)",
            )
