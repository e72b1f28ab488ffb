"""Foundations: the models that fine-tuning starts from, by path or by name."""

import difflib
import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch

from moalloy_md.config import Device
from moalloy_md.elements import symbol
from moalloy_md.errors import ModelError
from moalloy_md.potentials.base import load_base
from moalloy_md.potentials.loading import (
    load_model,
    model_dtype,
    model_elements,
    model_heads,
)
from moalloy_md.potentials.quiet import quiet_mace
from moalloy_md.rundir import sha256

with quiet_mace():
    from mace.calculators import foundations_models
    from mace.tools.scripts_utils import remove_pt_head
    from mace.tools.torch_tools import default_dtype
    from mace.tools.utils import get_cache_dir

#: Names that begin so are models that come with the package.
BUNDLED = "base-"


@dataclass(frozen=True)
class Foundation:
    """A model to start from."""

    name: str
    """As the user gave it."""
    network: torch.nn.Module
    """The model, with one head."""
    sha256: str
    """Hash of its file; of its weights where it comes with the package."""

    @property
    def elements(self) -> tuple[str, ...]:
        """Chemical symbols that it knows, in the order of its table."""
        return tuple(symbol(z) for z in model_elements(self.network))

    @property
    def e0s_ev(self) -> dict[str, float]:
        """Energy of each element that its own energy is counted from, eV."""
        energies = self.network.atomic_energies_fn.atomic_energies.detach().double().cpu()
        return dict(zip(self.elements, torch.atleast_2d(energies)[0].tolist(), strict=True))


def known_names() -> list[str]:
    """Names that mace-torch knows, which are downloaded when they are first used."""
    return list(foundations_models.mace_mp_urls)


def resolve_foundation(
    name: str | Path, *, head: str | None = None, device: Device = "cpu"
) -> Foundation:
    """Find and load a foundation.

    Parameters
    ----------
    name
        ``base-small`` and its kin, which come with the package; a ``.model`` file (a pickle:
        loading it runs code in it); or a name that mace-torch knows, such as ``medium`` or
        ``medium-mpa-0``, which its own code downloads into its own cache.
    head
        Head to take, where the model has several.
    device
        Where it goes.

    Raises
    ------
    ModelError
        If there is no such file or name, the download fails (the text says how to bring the file
        by hand), the file is no MACE model, or a head has to be chosen.
    """
    network, digest = open_model(name, device=device)
    name = str(name)
    return Foundation(name=name, network=one_head(network, head, name), sha256=digest)


def open_model(name: str | Path, *, device: Device = "cpu") -> tuple[torch.nn.Module, str]:
    """Load a model by path or by the name of a foundation, with all its heads.

    Parameters
    ----------
    name, device
        As in `resolve_foundation`.

    Returns
    -------
    network
        The model, in evaluation mode.
    sha256
        Hash of its file; of its weights where it comes with the package.

    Raises
    ------
    ModelError
        As `resolve_foundation`.
    """
    path, name = Path(name), str(name)
    if path.exists() or path.suffix or "/" in name:
        return load_model(path, device=device), sha256(path)
    if name.startswith(BUNDLED):
        network = load_base(name.removeprefix(BUNDLED), device=device)
        return network, weights_sha256(network)
    if name in known_names():
        file = _downloaded(name)
        return load_model(file, device=device), sha256(file)
    raise ModelError(_unknown(name))


def weights_sha256(network: torch.nn.Module) -> str:
    """SHA-256 over the names and the bytes of all weights and buffers of a model."""
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _downloaded(name: str) -> Path:
    url = foundations_models.mace_mp_urls[name]
    cached = cached_path(name)
    try:
        with quiet_mace():
            return Path(foundations_models.download_mace_mp_checkpoint(name))
    except Exception as error:  # whatever a network can raise
        raise ModelError(
            f"{name}: expected to download it with mace-torch, found that this fails "
            f"({type(error).__name__}: {error}). Fetch {url} on a machine that can, and put it "
            f"here as {cached}: the same command then finds it. Or give the path of any .model file"
        ) from error


def cached_path(name: str) -> Path:
    """Where mace-torch's cache holds the foundation of this name, once it is downloaded."""
    file = foundations_models.mace_mp_urls[name].rsplit("/", 1)[-1]
    return Path(get_cache_dir()) / "".join(c for c in file if c.isalnum() or c == "_")


def _unknown(name: str) -> str:
    names = known_names()
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"names: {', '.join(names)}"
    return (
        f"foundation: expected a .model file, a base model that comes with the package "
        f"({BUNDLED}small), or a name that mace-torch knows, found {name!r}: {hint}"
    )


def one_head(network: torch.nn.Module, head: str | None, name: str) -> torch.nn.Module:
    """Return a model with one head alone; `name` is what errors call it.

    Raises
    ------
    ModelError
        If it has no such head, or has several and none is given.
    """
    heads = model_heads(network)
    if head is None and len(heads) == 1:
        return network
    if head not in heads:
        found = "none given: name one (head)" if head is None else f"{head!r}"
        raise ModelError(f"{name}: expected one of its heads {', '.join(heads)}, found {found}")
    if len(heads) == 1:
        return network
    with quiet_mace(), default_dtype(model_dtype(network)):  # mace-torch builds it anew
        one: torch.nn.Module = remove_pt_head(network, head)
    return one.eval()
