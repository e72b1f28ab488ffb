"""From the modules of a MACE network to arrays, with e3nn's normalisations folded in.

Each function here takes one module, makes sure that it is of the one kind that the native engine
evaluates, and returns its weights so that the engine has nothing left to normalise. What is of
another kind is refused: a weight whose meaning is not certain is not written.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from moalloy_md.config import DType
from moalloy_md.errors import UnsupportedModelError
from moalloy_md.potentials.quiet import quiet_mace

with quiet_mace():
    import mace.modules  # noqa: F401  sets what e3nn's import needs
    from e3nn import nn, o3
    from e3nn.math import normalize2mom
    from e3nn.nn._fc import _Layer as DenseLayer
    from mace.modules.symmetric_contraction import SymmetricContraction

Array = NDArray[np.float64]
Read = Callable[[torch.Tensor], Array]

#: Merged coefficients of the contraction below this part of the largest one are no terms: exact
#: cancellation leaves 6e-16. Residues of a network built in single precision, 1e-8, are kept,
#: because mace-torch computes with them too.
_NO_TERM = 1e-12


def reader(dtype: DType) -> Read:
    """Return a function that rounds a tensor to `dtype` and gives it as float64 on the CPU.

    So the folded products below are made in double precision of exactly those weights that
    mace-torch has once the model is converted to `dtype`.
    """

    def read(tensor: torch.Tensor) -> Array:
        rounded = tensor.detach().cpu().to(getattr(torch, dtype))
        array: Array = rounded.double().numpy()
        return array

    return read


def unsupported(what: str, *, expected: str, found: object) -> UnsupportedModelError:
    """Make the error that names what the native engine cannot evaluate."""
    return UnsupportedModelError(
        f"{what}: expected {expected}, found {found}, which the native engine cannot evaluate: "
        "use the TorchScript file with pair_style mace"
    )


def need_class(module: object, cls: type, what: str) -> None:
    """Refuse a module that is not of exactly this class.

    Subclasses and stand-ins compute something else: cuequivariance's and openequivariance's
    modules, LoRA's, those of mace-torch's extensions.
    """
    if type(module) is not cls:
        kind = type(module)
        raise unsupported(
            what,
            expected=f"{cls.__module__.partition('.')[0]}'s {cls.__name__}",
            found=f"{kind.__module__.partition('.')[0]}'s {kind.__name__}",
        )


def need_parts(module: torch.nn.Module, names: Iterable[str], what: str) -> None:
    """Refuse a module that has a part of another name than these: it would be left out."""
    if others := sorted({name for name, _ in module.named_children()} - set(names)):
        raise unsupported(
            what, expected=f"no other parts than {', '.join(sorted(names))}", found=others[0]
        )


def need_degrees(irreps: Any, channels: int, what: str) -> int:
    """Refuse irreps other than K×0e + K×1o + K×2e ... ; return the highest degree."""
    found = [(mul, ir.l, ir.p) for mul, ir in irreps]
    if not found or found != [(channels, degree, (-1) ** degree) for degree in range(len(found))]:
        names = " + ".join(f"{channels}x{degree}{'eo'[degree % 2]}" for degree in range(4))
        raise unsupported(what, expected=f"irreps {names}, or the first of these", found=irreps)
    return len(found) - 1


def linear(module: torch.nn.Module, read: Read, what: str) -> list[tuple[int, int, Array]]:
    """Weights of an e3nn linear layer as the numbers that multiply its input.

    Returns
    -------
    list of (block of the input, block of the output, ``(in, out)``)
        In the order in which the module holds them.
    """
    need_class(module, o3.Linear, what)
    if any(instruction.i_in < 0 for instruction in module.instructions):
        raise unsupported(what, expected="no bias", found="a bias")
    return [
        (instruction.i_in, instruction.i_out, read(weight) * instruction.path_weight)
        for _, instruction, weight in module.weight_views(yield_instruction=True)
    ]


def channel_mixing(module: torch.nn.Module, channels: int, read: Read, what: str) -> list[Array]:
    """Weights ``(K, K)`` for each degree of a linear layer that keeps the degrees apart."""
    blocks = linear(module, read, what)
    top = need_degrees(module.irreps_in, channels, what)
    if module.irreps_out != module.irreps_in or [b[:2] for b in blocks] != [
        (degree, degree) for degree in range(top + 1)
    ]:
        raise unsupported(
            what, expected=f"the same irreps {module.irreps_in} in and out", found=module
        )
    return [weights for _, _, weights in blocks]


def coupling(product: torch.nn.Module, degrees: tuple[int, int, int], read: Read) -> Array:
    """Wigner 3j symbol with which a tensor product computes, ``(2l1+1, 2l2+1, 2l3+1)``.

    Where e3nn stores it, the stored one is taken: that of a network built in single precision is
    rounded. Where one degree is zero e3nn divides by √(2l+1) and stores nothing.
    """
    name = "_w3j_{}_{}_{}".format(*degrees)
    for key, buffer in product.named_buffers():
        if key.rpartition(".")[2] == name:
            return read(buffer)
    shape = tuple(2 * degree + 1 for degree in degrees)
    assert 0 in degrees, "e3nn stores every other symbol"  # noqa: S101
    degree = max(degrees)
    unit: Array = np.eye(2 * degree + 1) / np.sqrt(2 * degree + 1)
    return unit.reshape(shape)


class Path(NamedTuple):
    """A path of the convolution: degrees of features, harmonics and message, and the coupling."""

    degrees: tuple[int, int, int]
    coupling: Array


def convolution(module: torch.nn.Module, channels: int, read: Read, what: str) -> list[Path]:
    """Paths of the tensor product of the sender's features with the harmonics.

    The coupling has the path's weight, √(2l3+1), folded in. Path number p takes block p of the
    radial network's output, and block p of the input of the linear layer that follows.
    """
    need_class(module, o3.TensorProduct, what)
    need_degrees(module.irreps_in1, channels, f"{what}, features")
    need_degrees(module.irreps_in2, 1, f"{what}, harmonics")
    paths = []
    for number, path in enumerate(module.instructions):
        if path.connection_mode != "uvu" or not path.has_weight or path.i_out != number:
            raise unsupported(what, expected="weighted 'uvu' paths, one an output", found=path)
        ends = (
            module.irreps_in1[path.i_in1].ir,
            module.irreps_in2[path.i_in2].ir,
            module.irreps_out[path.i_out].ir,
        )
        degrees = (ends[0].l, ends[1].l, ends[2].l)
        paths.append(Path(degrees, coupling(module, degrees, read) * path.path_weight))
    return paths


def element_mixing(
    module: torch.nn.Module, n_elements: int, channels: int, read: Read, what: str
) -> dict[int, Array]:
    """Weights ``(T, K, K)``, element, in, out, for each degree that ``skip_tp`` connects."""
    need_class(module, o3.FullyConnectedTensorProduct, what)
    need_degrees(module.irreps_in1, channels, what)
    need_degrees(module.irreps_out, channels, what)
    if [(mul, str(ir)) for mul, ir in module.irreps_in2] != [(n_elements, "0e")]:
        raise unsupported(what, expected=f"{n_elements}x0e, an element", found=module.irreps_in2)
    mixing: dict[int, Array] = {}
    for _, path, weight in module.weight_views(yield_instruction=True):
        if path.connection_mode != "uvw" or path.i_in1 != path.i_out:
            raise unsupported(what, expected="'uvw' paths between equal degrees", found=path)
        degree = path.i_in1
        diagonal = coupling(module, (degree, 0, degree), read)[0, 0, 0]
        mixing[degree] = read(weight).transpose(1, 0, 2) * (path.path_weight * diagonal)
    return mixing


def network(module: torch.nn.Module, read: Read, what: str) -> tuple[list[Array], set[float]]:
    """Weights ``(in, out)`` of the layers of a radial network, and the constants of its silu.

    Returns
    -------
    list of arrays
        With 1/√in folded in.
    set of float
        The constants c in c·silu(x) of the layers before the last; the last has none.
    """
    need_class(module, nn.FullyConnectedNet, what)
    layers = list(module.children())
    weights, constants = [], set()
    for layer in layers:
        need_class(layer, DenseLayer, what)
        if (layer.var_in, layer.var_out) != (1, 1):
            raise unsupported(what, expected="unit variances", found=(layer.var_in, layer.var_out))
        weights.append(read(layer.weight) / np.sqrt(layer.h_in))
    for layer in layers[:-1]:
        constants.add(silu_constant(layer.act, what))
    if layers[-1].act is not None:
        raise unsupported(what, expected="no activation behind the last layer", found="one")
    return weights, constants


def silu_constant(activation: torch.nn.Module | None, what: str) -> float:
    """Constant c of an activation c·silu(x), which e3nn found by sampling; it is stored."""
    if activation is None:
        raise unsupported(what, expected="silu as activation", found="none")
    need_class(activation, normalize2mom, what)
    function: Any = activation.f
    # by value: a function's name says nothing once it was wrapped or compiled
    x = torch.linspace(-6.0, 6.0, 49, dtype=torch.float64)
    with torch.no_grad():
        same = torch.allclose(function(x), torch.nn.functional.silu(x), rtol=1e-14, atol=1e-15)
    if not same:
        name = getattr(function, "__name__", type(function).__name__)
        raise unsupported(what, expected="silu as activation", found=name)
    return 1.0 if activation._is_id else float(activation.cst)  # noqa: SLF001


class Monomials(NamedTuple):
    """Terms of one order ν of the symmetric contraction.

    Attributes
    ----------
    indices
        ``(Q, ν)``, components of A that are multiplied, ascending in a row.
    coefficients
        ``(Q, 2L+1, n_q)``.
    weights
        ``(T, n_q, K)``.
    """

    indices: NDArray[np.int32]
    coefficients: Array
    weights: Array


def contraction(
    module: torch.nn.Module, n_elements: int, channels: int, read: Read, what: str
) -> dict[int, list[Monomials]]:
    """Polynomials of the symmetric contraction: for each degree L the orders 1 to correlation."""
    need_class(module, SymmetricContraction, what)
    need_degrees(module.irreps_in, channels, f"{what}, message")
    need_degrees(module.irreps_out, channels, f"{what}, output")
    n_components = sum(ir.dim for _, ir in module.irreps_in)
    result = {}
    for degree, part in enumerate(module.contractions):
        highest = int(part.correlation)
        if not 1 <= highest <= 3:
            raise unsupported(what, expected="correlation 1, 2 or 3", found=highest)
        # as mace-torch orders them: the highest, then downwards
        weights = [read(weight) for weight in (part.weights_max, *part.weights)][::-1]
        orders = []
        for order in range(1, highest + 1):
            weight = weights[order - 1]
            if len(weight) == 1:  # use_agnostic_product: one set for all elements
                weight = np.repeat(weight, n_elements, axis=0)
            basis = read(part.U_tensors(order)).reshape(
                2 * degree + 1, n_components**order, weight.shape[1]
            )
            if weight.shape != (n_elements, basis.shape[2], channels):
                raise unsupported(what, expected="weights for each element", found=weight.shape)
            orders.append(Monomials(*merged(basis, n_components, order), weight))
        result[degree] = orders
    return result


def merged(basis: Array, n_components: int, order: int) -> tuple[NDArray[np.int32], Array]:
    """Sum a coupling of commuting factors over their permutations.

    Σ_abc U_abc A_a A_b A_c is a polynomial: all orders of one multiset {a, b, c} multiply the same
    monomial, so their coefficients are added.

    Parameters
    ----------
    basis
        ``(2L+1, n_components**order, n_q)``.
    n_components
        Number of components of A: (l_max+1)².
    order
        Number of factors ν.

    Returns
    -------
    indices
        ``(Q, ν)``, ascending in a row; only monomials that occur.
    coefficients
        ``(Q, 2L+1, n_q)``.
    """
    shape = (n_components,) * order
    tuples = np.sort(np.indices(shape).reshape(order, -1), axis=0)
    codes, monomial = np.unique(np.ravel_multi_index(tuple(tuples), shape), return_inverse=True)
    coefficients = np.zeros((len(codes), basis.shape[0], basis.shape[2]))
    np.add.at(coefficients, monomial, basis.transpose(1, 0, 2))
    largest = max(1.0, float(np.abs(basis).max()))
    kept = np.abs(coefficients).max(axis=(1, 2)) > _NO_TERM * largest
    indices = np.stack(np.unravel_index(codes[kept], shape), axis=1)
    return indices.astype(np.int32), coefficients[kept]
