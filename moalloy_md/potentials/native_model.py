"""Write a MACE model as ``model.safetensors``, the file of the native engine.

The file is standard safetensors: arrays, and in its ``__metadata__`` three strings: ``format``
(``moalloy-mace``), ``format_version`` and ``model``, a header in JSON. Nothing in it can execute.
All of e3nn's normalisations are folded into the weights, so that a reader needs the equations of
MACE alone. Reference energies, couplings and radial constants are in double precision always, the
other weights in the precision of the file.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from moalloy_md.config import DType
from moalloy_md.errors import ModelError
from moalloy_md.potentials.loading import model_elements, model_heads
from moalloy_md.potentials.native_folding import (
    Array,
    linear,
    need_class,
    need_degrees,
    need_parts,
    silu_constant,
    unsupported,
)
from moalloy_md.potentials.native_layers import Parts, add_layer
from moalloy_md.potentials.quiet import quiet_mace
from moalloy_md.rundir import replacing

with quiet_mace():
    from e3nn import nn, o3
    from mace import modules
    from mace.modules import blocks, radial

FORMAT = "moalloy-mace"
FORMAT_VERSION = 1

_CLASSES = (modules.MACE, modules.ScaleShiftMACE)
_PARTS = (
    "node_embedding",
    "radial_embedding",
    "pair_repulsion_fn",
    "spherical_harmonics",
    "atomic_energies_fn",
    "interactions",
    "products",
    "readouts",
    "scale_shift",
)
_NOT_FINITE = (
    "expected finite {} weights, found nan or inf: the training diverged, or the weight is too "
    "large for single precision"
)
_BOHR_OF_ZBL_ANGSTROM = 0.529  # as mace-torch has it


def write_native(
    model: torch.nn.Module,
    path: Path,
    *,
    head: int,
    dtype: DType,
    reference_energies: Array,
) -> None:
    """Write `model` as a file for the native engine, whole or not at all.

    Parameters
    ----------
    model
        `mace.modules.MACE` or `ScaleShiftMACE`; it is not changed.
    path
        The file. The same model gives the same bytes.
    head
        Position of the head to write; the others are left out.
    dtype
        Precision of the file. The weights are those of the model converted to it.
    reference_energies
        E0 of each element for that head, ``(n_elements,)``, eV, in double precision.

    Raises
    ------
    UnsupportedModelError
        If the engine cannot evaluate the model, naming what was found and what is supported.
    ModelError
        If a weight is not finite.
    """
    from safetensors.numpy import save

    header, tensors = native_model(
        model, head=head, dtype=dtype, reference_energies=reference_energies
    )
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "model": json.dumps(header, separators=(",", ":"), ensure_ascii=False, allow_nan=False),
    }
    content = _in_order(save(tensors, metadata=metadata))
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def native_model(
    model: torch.nn.Module, *, head: int, dtype: DType, reference_energies: Array
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what `write_native` writes: the header, and the tensors by name.

    Parameters and errors are those of `write_native`.
    """
    _need_supported_model(model)
    parts = Parts(
        dtype=dtype,
        channels=int(model.node_embedding.linear.irreps_out.dim),
        n_elements=len(model.atomic_numbers),
    )
    parts.exact["energies_0"] = np.asarray(reference_energies, dtype=np.float64)
    assert parts.exact["energies_0"].shape == (parts.n_elements,)  # noqa: S101
    _add_embedding(parts, model)
    header: dict[str, Any] = {
        "atomic_numbers": model_elements(model),
        "dtype": dtype,
        "head": model_heads(model)[head],
        "channels": parts.channels,
        "l_max": need_degrees(model.spherical_harmonics.irreps_out, 1, "harmonics"),
        **_add_radial_basis(parts, model),
        **_scale_and_shift(parts, model, head),
        "agnesi": _add_agnesi(parts, model),
        "zbl": _add_zbl(parts, model),
        "layers": [add_layer(parts, model, k) for k in range(len(model.interactions))],
        "readouts": _add_readouts(parts, model, head),
    }
    header["activation_constant"] = _one_silu_constant(parts, "radial network")
    header["readout_constant"] = _one_silu_constant(parts, "readout")
    _need_finite(header)
    return header, _rounded(parts)


def _need_supported_model(model: torch.nn.Module) -> None:
    """Refuse what the model as a whole has and the engine has not."""
    if type(model) not in _CLASSES:
        names = " or ".join(kind.__name__ for kind in _CLASSES)
        raise unsupported("model", expected=f"class {names}", found=type(model).__name__)
    need_parts(model, _PARTS, "model")
    if len(model.interactions) not in (1, 2):
        raise unsupported("model", expected="1 or 2 layers", found=len(model.interactions))
    need_class(model.atomic_energies_fn, blocks.AtomicEnergiesBlock, "reference energies")
    harmonics = model.spherical_harmonics
    need_class(harmonics, o3.SphericalHarmonics, "harmonics")
    if (harmonics.normalize, harmonics.normalization) != (True, "component"):
        raise unsupported("harmonics", expected="normalisation 'component'", found=harmonics)
    highest = need_degrees(harmonics.irreps_out, 1, "harmonics")
    if highest not in (1, 2, 3):
        raise unsupported("harmonics", expected="max_ell 1, 2 or 3", found=highest)


def _add_embedding(parts: Parts, model: torch.nn.Module) -> None:
    what, embedding = "node embedding", model.node_embedding
    need_class(embedding, blocks.LinearNodeEmbeddingBlock, what)
    ((_, _, parts.weights["embedding"]),) = linear(embedding.linear, parts.read, what)
    if need_degrees(embedding.linear.irreps_out, parts.channels, what) != 0:
        raise unsupported(what, expected="scalars alone", found=embedding.linear.irreps_out)


def _add_radial_basis(parts: Parts, model: torch.nn.Module) -> dict[str, Any]:
    what, embedding, read = "radial embedding", model.radial_embedding, parts.read
    need_class(embedding, blocks.RadialEmbeddingBlock, what)
    need_parts(embedding, ("bessel_fn", "cutoff_fn", "distance_transform"), what)
    need_class(embedding.bessel_fn, radial.BesselBasis, "radial basis")
    need_class(embedding.cutoff_fn, radial.PolynomialCutoff, "cutoff")
    parts.exact["bessel"] = read(embedding.bessel_fn.bessel_weights)
    r_max, of_model = float(read(embedding.cutoff_fn.r_max)), float(read(model.r_max))
    if of_model != r_max:
        raise unsupported("cutoff", expected=f"{r_max} Å as in the envelope", found=of_model)
    return {
        "r_max": r_max,
        "cutoff_power": int(embedding.cutoff_fn.p),
        "bessel_prefactor": float(read(embedding.bessel_fn.prefactor)),
        "cutoff_before_network": bool(getattr(embedding, "apply_cutoff", True)),
    }


def _scale_and_shift(parts: Parts, model: torch.nn.Module, head: int) -> dict[str, float]:
    block, what = getattr(model, "scale_shift", None), "scale and shift"
    if block is None:  # class MACE
        return {"scale": 1.0, "shift": 0.0}
    need_class(block, blocks.ScaleShiftBlock, what)
    scale, shift = (np.atleast_1d(parts.read(part)) for part in (block.scale, block.shift))
    n_heads = len(model_heads(model))
    if scale.shape != (n_heads,) or shift.shape != (n_heads,):
        raise unsupported(what, expected=f"one for each of {n_heads} heads", found=scale.shape)
    return {"scale": float(scale[head]), "shift": float(shift[head])}


def _add_agnesi(parts: Parts, model: torch.nn.Module) -> dict[str, float] | None:
    transform = getattr(model.radial_embedding, "distance_transform", None)
    if transform is None:
        return None
    need_class(transform, radial.AgnesiTransform, "distance transform")
    parts.exact["agnesi.radii"] = parts.read(transform.covalent_radii)[model_elements(model)]
    return {name: float(parts.read(getattr(transform, name))) for name in ("a", "q", "p")}


def _add_zbl(parts: Parts, model: torch.nn.Module) -> dict[str, Any] | None:
    if not hasattr(model, "pair_repulsion"):
        return None
    repulsion, read = model.pair_repulsion_fn, parts.read
    need_class(repulsion, radial.ZBLBasis, "pair repulsion")
    parts.exact["zbl.radii"] = read(repulsion.covalent_radii)[model_elements(model)]
    parts.exact["zbl.terms"] = read(repulsion.c)
    return {
        "exponent": float(read(repulsion.a_exp)),
        "length": float(read(repulsion.a_prefactor)) * _BOHR_OF_ZBL_ANGSTROM,
        "cutoff_power": int(repulsion.p),
    }


def _add_readouts(parts: Parts, model: torch.nn.Module, head: int) -> list[dict[str, int]]:
    """Add the weights of the chosen head; return what the header says of each readout."""
    n_layers = len(model.interactions)
    # a single one reads the last layer (use_last_readout_only)
    layers = [n_layers - 1] if len(model.readouts) == 1 else list(range(n_layers))
    if len(model.readouts) != len(layers):
        raise unsupported("readouts", expected=f"1 or {n_layers}", found=len(model.readouts))
    headers = []
    for number, (layer, readout) in enumerate(zip(layers, model.readouts, strict=True)):
        if type(readout) is blocks.LinearReadoutBlock:
            hidden = _add_linear_readout(parts, model, number, head)
        else:
            hidden = _add_nonlinear_readout(parts, model, number, head)
        headers.append({"layer": layer, "hidden": hidden})
    return headers


def _add_linear_readout(parts: Parts, model: torch.nn.Module, number: int, head: int) -> int:
    what, readout = f"readout {number}", model.readouts[number]
    need_parts(readout, ("linear",), what)
    to_heads = _to_heads(parts, readout.linear, len(model_heads(model)), what)
    parts.weights[f"readout.{number}.weights"] = to_heads[:, head]
    return 0


def _add_nonlinear_readout(parts: Parts, model: torch.nn.Module, number: int, head: int) -> int:
    """Add ``(K, H)`` and ``(H,)`` of one head; return H.

    All heads stand in one hidden layer, one behind the other; mace-torch masks the others.
    """
    what, readout, n_heads = f"readout {number}", model.readouts[number], len(model_heads(model))
    need_class(readout, blocks.NonLinearReadoutBlock, what)
    need_parts(readout, ("linear_1", "non_linearity", "linear_2"), what)
    need_class(readout.non_linearity, nn.Activation, what)
    irreps, in_block = readout.linear_1.irreps_out, getattr(readout, "num_heads", 1)
    if in_block != n_heads:
        raise unsupported(what, expected=f"{n_heads} heads", found=in_block)
    if [str(ir) for _, ir in irreps] != ["0e"] or irreps.dim % n_heads:
        raise unsupported(what, expected=f"hidden scalars for {n_heads} heads", found=irreps)
    ((first, _, weights),) = linear(readout.linear_1, parts.read, what)
    if first != 0:
        raise unsupported(what, expected="scalars first", found=readout.linear_1.irreps_in)
    hidden = irreps.dim // n_heads
    own = slice(head * hidden, (head + 1) * hidden)
    (activation,) = readout.non_linearity.acts
    parts.silu_constants.setdefault("readout", set()).add(silu_constant(activation, what))
    parts.weights[f"readout.{number}.weights"] = weights[:, own]
    to_heads = _to_heads(parts, readout.linear_2, n_heads, what)
    parts.weights[f"readout.{number}.output"] = to_heads[own, head]
    return int(hidden)


def _to_heads(parts: Parts, module: torch.nn.Module, n_heads: int, what: str) -> Array:
    """Weights ``(in, n_heads)`` of a linear layer from scalars to one energy for each head."""
    mixing = linear(module, parts.read, what)
    if [m[:2] for m in mixing] != [(0, 0)] or str(module.irreps_out) != f"{n_heads}x0e":
        raise unsupported(what, expected=f"scalars to {n_heads}x0e", found=module)
    return mixing[0][2]


def _one_silu_constant(parts: Parts, where: str) -> float:
    found = parts.silu_constants.get(where, set())
    if len(found) > 1:
        raise unsupported(where, expected="one constant of silu", found=sorted(found))
    return next(iter(found), 1.0)  # where there is no silu it multiplies nothing


def _need_finite(header: dict[str, Any]) -> None:
    numbers = {**header, **(header["agnesi"] or {}), **(header["zbl"] or {})}
    for name, value in numbers.items():
        if isinstance(value, float) and not np.isfinite(value):
            raise ModelError(f"{name}: {_NOT_FINITE.format(header['dtype'])}")


def _rounded(parts: Parts) -> dict[str, NDArray[Any]]:
    """Round the weights to the precision of the file, once, and refuse what is not finite."""
    with np.errstate(over="ignore"):  # it becomes inf, which is named below
        weights = {name: array.astype(parts.dtype) for name, array in parts.weights.items()}
    tensors: dict[str, NDArray[Any]] = {**parts.exact, **weights}
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise ModelError(f"{name}: {_NOT_FINITE.format(parts.dtype)}")
    # safetensors writes the memory as it lies, whatever the strides say
    return {name: np.ascontiguousarray(array) for name, array in tensors.items()}


def _in_order(content: bytes) -> bytes:
    """Put the metadata of a safetensors file in order: the library leaves that to chance."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    assert len(text) <= length  # noqa: S101  the same keys and numbers, without spaces
    return content[:8] + text.ljust(length) + content[8 + length :]
