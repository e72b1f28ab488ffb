"""moalloy-base: pretrained MACE models that come with the package, in files that cannot execute.

A size is two files in ``moalloy_md/data/base``: the weights (safetensors: numbers and nothing else) and a
JSON file with the architecture, from which a mace-torch module is built anew, the SHA-256 of
the weights, and the model card's numbers. ``pretraining/`` in the repository makes them.
"""

import difflib
import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from moalloy_md.config import Device, DType
from moalloy_md.errors import ModelError
from moalloy_md.potentials.loading import resolve_device
from moalloy_md.potentials.quiet import quiet_mace
from moalloy_md.rundir import replacing, sha256

with quiet_mace():
    import mace.modules
    from e3nn import o3
    from mace.tools.scripts_utils import extract_config_mace_model
    from mace.tools.torch_tools import default_dtype

#: Arguments of `mace.modules.ScaleShiftMACE` that are kept as they are.
_PLAIN = (
    "r_max", "num_bessel", "num_polynomial_cutoff", "max_ell", "num_interactions", "num_elements",
    "avg_num_neighbors", "correlation", "radial_type", "radial_MLP", "pair_repulsion",
    "use_reduced_cg", "heads",
)  # fmt: skip
_IRREPS = ("hidden_irreps", "MLP_irreps")
_BLOCKS = ("interaction_cls", "interaction_cls_first")


@dataclass(frozen=True)
class BaseFiles:
    """The two files of one size."""

    weights: Path
    """Safetensors: every parameter and buffer of the network."""
    description: Path
    """JSON: ``architecture``, ``weights_sha256`` and ``card``."""


def base_sizes() -> tuple[str, ...]:
    """Names of the sizes that come with the package, smallest file first."""
    descriptions = [
        file for file in _folder().glob("*.json") if file.with_suffix(".safetensors").exists()
    ]
    ordered = sorted(descriptions, key=lambda file: file.with_suffix(".safetensors").stat().st_size)
    return tuple(file.stem for file in ordered)


def load_base(
    size: str = "small", *, device: Device = "cpu", dtype: DType | None = None
) -> torch.nn.Module:
    """Load a base model: a MACE for Mo and its 20 dopants, to fine-tune or to try.

    Parameters
    ----------
    size
        One of `base_sizes`. ``docs/base_model.md`` says what each is good for and what not.
    device
        Where the model goes; ``"auto"`` takes a CUDA device if there is one.
    dtype
        Floating-point type to convert it to; None keeps that of the file, float32.

    Returns
    -------
    torch.nn.Module
        A `mace.modules.ScaleShiftMACE` in evaluation mode, with one head.

    Raises
    ------
    ModelError
        If there is no such size, or its files were damaged.
    """
    return load_weights(base_files(size), device=device, dtype=dtype)


def base_card(size: str = "small") -> dict[str, Any]:
    """Return the model card's numbers: how it was trained, and its errors."""
    card: dict[str, Any] = _description(base_files(size).description)["card"]
    return card


def base_files(size: str) -> BaseFiles:
    """Return where the files of a size lie.

    Raises
    ------
    ModelError
        If there is no such size.
    """
    sizes = base_sizes()
    if size not in sizes:
        near = difflib.get_close_matches(size, sizes, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "give one of these"
        raise ModelError(
            f"base model: expected one of {', '.join(sizes) or 'none (the package lacks them)'}, "
            f"found {size!r}: {hint}"
        )
    return _files(_folder(), size)


def save_weights(
    model: torch.nn.Module, folder: Path, name: str, card: dict[str, Any]
) -> BaseFiles:
    """Write a model as weights and a description.

    Parameters
    ----------
    model
        A ScaleShiftMACE with Bessel functions and one head.
    folder, name
        The files are ``folder/name.safetensors`` and ``folder/name.json``.
    card
        Plain values that are to be known of it.

    Raises
    ------
    ModelError
        If the network that the description makes is not this one.
    """
    architecture = _architecture(model)
    weights = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    _refuse_difference(model, architecture, weights)
    files = _files(folder, name)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(files.weights) as temporary:
        save_file(weights, temporary)
    content = {
        "architecture": architecture,
        "weights_sha256": sha256(files.weights),
        "card": card,
    }
    with replacing(files.description) as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n")
    return files


def load_weights(
    files: BaseFiles, *, device: Device = "cpu", dtype: DType | None = None
) -> torch.nn.Module:
    """Build the network that a description makes and give it the weights.

    Raises
    ------
    ModelError
        If a file is missing, or the weights are not those that the description was made with.
    """
    description = _description(files.description)
    found = sha256(files.weights) if files.weights.exists() else "no file"
    if found != description["weights_sha256"]:
        raise ModelError(
            f"{files.weights}: expected the weights with SHA-256 "
            f"{description['weights_sha256'][:12]}…, found {found[:12]}: damaged or replaced. "
            "Install moalloy_md again"
        )
    model = _build(description["architecture"], load_file(files.weights))
    if dtype is not None:
        model = model.to(getattr(torch, dtype))
    return model.to(resolve_device(device)).eval()


@cache
def _folder() -> Path:
    return Path(str(resources.files("moalloy_md").joinpath("data", "base")))


def _files(folder: Path, name: str) -> BaseFiles:
    return BaseFiles(folder / f"{name}.safetensors", folder / f"{name}.json")


def _description(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path}: expected the description of a base model, found {error}. Install moalloy_md "
            "again"
        ) from error
    return content


def _architecture(model: torch.nn.Module) -> dict[str, Any]:
    """Return what the network is built from, as plain values."""
    config: dict[str, Any] = extract_config_mace_model(model)
    if "error" in config:
        raise ModelError(f"expected a ScaleShiftMACE, found a {type(model).__name__}")
    plain = {key: config[key] for key in _PLAIN}
    plain["avg_num_neighbors"] = float(plain["avg_num_neighbors"])
    return {
        **plain,
        **{key: str(config[key]) for key in _IRREPS},
        **{key: config[key].__name__ for key in _BLOCKS},
        "atomic_numbers": [int(z) for z in model.atomic_numbers],
        "dtype": str(next(model.parameters()).dtype).removeprefix("torch."),
    }


def _build(architecture: dict[str, Any], weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    given = dict(architecture)
    dtype = getattr(torch, given.pop("dtype"))
    for key in _IRREPS:
        given[key] = o3.Irreps(given[key])
    for key in _BLOCKS:
        given[key] = mace.modules.interaction_classes[given[key]]
    with quiet_mace(), torch.random.fork_rng(devices=[]), default_dtype(dtype):
        model: torch.nn.Module = mace.modules.ScaleShiftMACE(
            **given,
            gate=torch.nn.functional.silu,
            atomic_energies=weights["atomic_energies_fn.atomic_energies"].double().numpy(),
            atomic_inter_scale=1.0,  # this and the shift come with the weights
            atomic_inter_shift=0.0,
        )
    model.load_state_dict(weights)
    return model.eval()


def _refuse_difference(
    model: torch.nn.Module, architecture: dict[str, Any], weights: dict[str, torch.Tensor]
) -> None:
    """Build the network from its description and compare, in what the weights do not tell too."""
    wanted = (
        "expected a network that its description makes again (residual blocks, Bessel functions, "
        "one head), found"
    )
    try:
        rebuilt = _build(architecture, weights)
    except (RuntimeError, KeyError) as error:
        raise ModelError(f"{wanted} another: {error}") from error
    pairs = zip(str(model.eval()).splitlines(), str(rebuilt).splitlines(), strict=False)
    for one, other in pairs:
        if one != other:
            raise ModelError(f"{wanted} {one.strip()!r} where that has {other.strip()!r}")
