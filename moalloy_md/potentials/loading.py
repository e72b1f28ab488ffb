"""Load a MACE model, whatever its file is called, or say what the file is instead.

A ``.model`` file is a Python pickle: loading one from a stranger runs the stranger's program.
Everything that can be recognised without running it is recognised first.
"""

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from moalloy_md.config import Device, DType
from moalloy_md.errors import ModelError
from moalloy_md.potentials.quiet import quiet_mace
from moalloy_md.rundir import replacing

with quiet_mace():
    import mace.modules  # noqa: F401  its classes are what a pickled model refers to

#: What a module must carry to be taken for a MACE energy model.
_MACE_ATTRIBUTES = ("atomic_numbers", "r_max", "atomic_energies_fn", "interactions")

_WANTED = "expected a MACE model file (the .model that 'moalloy train' or mace_run_train writes)"
_HOW_TO_MAKE = "Give the .model file that was written beside it"
#: What to do with a model whose layers are cuequivariance's.
TO_E3NN = (
    "convert it: python -m mace.cli.convert_cueq_e3nn MODEL --output_model NEW.model (mace-torch's)"
)
#: Class of mace-torch that its exporter for LAMMPS's ML-IAP pickles.
_ML_IAP_CLASS = b"LAMMPS_MLIAP_MACE"


def load_model(
    path: Path, *, device: Device = "cpu", dtype: DType | None = None
) -> torch.nn.Module:
    """Load a MACE model as the PyTorch module that mace-torch pickled.

    Parameters
    ----------
    path
        A ``.model`` file: a whole module written by ``torch.save``. It is recognised by its
        content; the name does not matter. Loading a pickle runs code in it: only load files
        that you made or trust.
    device
        Where the model goes; ``"auto"`` takes a CUDA device if there is one.
    dtype
        Floating-point type to convert it to; None keeps the file's own.

    Returns
    -------
    torch.nn.Module
        The model, in evaluation mode.

    Raises
    ------
    ModelError
        If the file is missing or is something else: an exported TorchScript model, a checkpoint,
        bare weights, safetensors, text, another network. The text says what to give instead.
    """
    path = Path(path)
    _refuse_other_kinds(path)
    target = resolve_device(device)
    model = _mace_module(_unpickle(path, target), path)
    if dtype is not None:
        model = model.to(getattr(torch, dtype))
    return model.to(target).eval()


def model_elements(model: torch.nn.Module) -> list[int]:
    """Atomic numbers that a MACE model knows, in the order of its element table."""
    numbers: Any = model.atomic_numbers
    return [int(z) for z in numbers]


def model_dtype(model: torch.nn.Module) -> DType:
    """Floating-point type of a MACE model's weights."""
    found = next(p.dtype for p in model.parameters() if p.is_floating_point())
    return "float64" if found == torch.float64 else "float32"


def model_heads(model: torch.nn.Module) -> list[str]:
    """Names of a model's heads; one called ``Default`` for models from before there were any."""
    heads: Any = getattr(model, "heads", None)
    return list(heads) if heads else ["Default"]


def save_model(model: torch.nn.Module, path: Path) -> None:
    """Write a ``.model`` file as mace-torch does: whole or not at all."""
    with replacing(path) as temporary, quiet_mace():
        write_torch(model, temporary)


def write_torch(content: Any, path: Path) -> None:
    """Write what `torch.load` reads, with the system's error where it cannot be written.

    ``torch.save`` to a path uses a writer of its own, which says ``unexpected pos 64 vs 0`` where
    the disk is full.

    Raises
    ------
    OSError
        If there is no room, or the file may not be written.
    """
    try:
        with path.open("wb") as file:
            torch.save(content, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def resolve_device(device: Device) -> str:
    """Turn ``"auto"`` into ``"cuda"`` or ``"cpu"``.

    Raises
    ------
    ModelError
        If CUDA is asked for and torch finds no CUDA device.
    """
    available = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if available else "cpu"
    if device == "cuda" and not available:
        build = "a CPU-only torch" if torch.version.cuda is None else "no usable CUDA device"
        raise ModelError(
            f"device cuda: expected a CUDA device, found {build} (torch {torch.__version__}). "
            "Use device cpu, or install a CUDA build of torch and check nvidia-smi"
        )
    return device


def _refuse_other_kinds(path: Path) -> None:
    """Recognise by its first bytes what is no pickle at all."""
    if path.is_dir():
        raise ModelError(
            f"{path}: {_WANTED}, found a folder. If it is a training run, give the model.model in "
            "it; if it is an exported bundle, give the .model that it was made from"
        )
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}). Check the path") from error
    if not head:
        raise ModelError(f"{path}: {_WANTED}, found an empty file. Copy or train it again")
    if zipfile.is_zipfile(path):
        _refuse_other_archives(path)
    elif head.startswith(b"PK\x03\x04"):
        raise ModelError(
            f"{path}: {_WANTED}, found a torn archive: its end is missing. Copy or train it again"
        )
    elif _is_safetensors(path, head):
        raise ModelError(
            f"{path}: {_WANTED}, found safetensors: weights for the native engine, without the "
            f"network around them. {_HOW_TO_MAKE.replace('beside it', 'by the training')}"
        )
    elif _is_text(head):
        first = head.decode(errors="replace").splitlines()[0][:60]
        hint = (
            "It is a Git LFS pointer: run 'git lfs pull'"
            if first.startswith("version https://git-lfs")
            else "A failed download leaves such a file; check the path"
        )
        raise ModelError(f"{path}: {_WANTED}, found text that begins {first!r}. {hint}")


def _refuse_other_archives(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.split("/", 1)[-1]: name for name in archive.namelist()}
            pickled = archive.read(names["data.pkl"]) if "data.pkl" in names else b""
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelError(
            f"{path}: {_WANTED}, found a damaged archive ({error}). Copy or train it again"
        ) from error
    if "constants.pkl" in names:
        raise ModelError(
            f"{path}: {_WANTED}, found TorchScript: a model that is exported already (by 'moalloy "
            "export' or mace_create_lammps_model). Give the .model file that it was made from"
        )
    if _ML_IAP_CLASS in pickled:
        raise ModelError(
            f"{path}: {_WANTED}, found a model that mace-torch exported for ML-IAP. Give the .model "
            "file that it was made from"
        )
    if "data.pkl" not in names:
        raise ModelError(f"{path}: {_WANTED}, found a zip archive of something else")


def _is_safetensors(path: Path, head: bytes) -> bool:
    """Look for a length of 8 bytes, little endian, then that many bytes of JSON."""
    length = int.from_bytes(head[:8], "little")
    if not (2 <= length <= path.stat().st_size - 8) or head[8:9] != b"{":
        return False
    with path.open("rb") as file:
        file.seek(8)
        try:
            return isinstance(json.loads(file.read(length)), dict)
        except (UnicodeDecodeError, json.JSONDecodeError):
            return False


def _is_text(head: bytes) -> bool:
    printable = set(range(0x20, 0x7F)) | {0x09, 0x0A, 0x0D}
    return all(byte in printable or byte >= 0x80 for byte in head) and b"\n" in head + b"\n"


def _unpickle(path: Path, device: str) -> Any:
    with quiet_mace():
        try:  # without running anything: checkpoints and bare weights load so
            return torch.load(path, map_location=device, weights_only=True)
        except pickle.UnpicklingError:
            pass  # a whole module, as wanted: or damage, which the next load will find
        except Exception as error:
            raise _not_loadable(path, error) from error
        try:
            return torch.load(path, map_location=device, weights_only=False)
        except Exception as error:
            raise _not_loadable(path, error) from error


def _not_loadable(path: Path, error: Exception) -> ModelError:
    if isinstance(error, ImportError) and str(error.name).startswith("cuequivariance"):
        advice = f"It was made with cuequivariance. Where that is installed, {TO_E3NN}"
    elif isinstance(error, ImportError | AttributeError):
        advice = "It was made by another version of mace-torch, or by another program"
    else:
        advice = "It is damaged or no PyTorch file: copy or train it again"
    return ModelError(
        f"{path}: {_WANTED}, found one that torch cannot load "
        f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}). {advice}"
    )


def _mace_module(content: Any, path: Path) -> torch.nn.Module:
    """Return `content` if it is a MACE energy model; else say what it is."""
    if isinstance(content, dict):
        if {"model", "optimizer"} <= content.keys():
            found = "a training checkpoint (weights and optimizer state)"
        elif content and all(isinstance(v, torch.Tensor) for v in content.values()):
            found = "a state dict (weights without the network around them)"
        else:
            found = f"a dict with the keys {', '.join(map(str, list(content)[:5]))}"
        raise ModelError(f"{path}: {_WANTED}, found {found}. {_HOW_TO_MAKE}")
    if not isinstance(content, torch.nn.Module):
        raise ModelError(f"{path}: {_WANTED}, found a pickled {type(content).__name__}")
    missing = [name for name in _MACE_ATTRIBUTES if not hasattr(content, name)]
    if missing:
        raise ModelError(
            f"{path}: {_WANTED}, found a {type(content).__name__} without {', '.join(missing)}: "
            "another kind of network. Only MACE energy models are supported"
        )
    return content
