"""What the installed torch was built for."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class TorchBuild:
    """The installed torch.

    Attributes
    ----------
    version
        As torch says it, such as ``2.13.0+cpu``.
    cuda
        Version of CUDA that it was built with; None for a build for the CPU.
    devices
        Names of the GPUs that it can use.
    cxx11_abi
        Whether its C++ strings have the form that every compiler has made since 2015. Our plugin
        and LAMMPS have it too; a library with the other form cannot be linked with them.
    """

    version: str
    cuda: str | None
    devices: tuple[str, ...]
    cxx11_abi: bool


def torch_build() -> TorchBuild:
    """Ask torch how it was built and which GPUs it sees."""
    n_devices = torch.cuda.device_count() if torch.version.cuda else 0
    return TorchBuild(
        version=str(torch.__version__),
        cuda=torch.version.cuda,
        devices=tuple(torch.cuda.get_device_name(k) for k in range(n_devices)),
        cxx11_abi=bool(torch.compiled_with_cxx11_abi()),
    )
