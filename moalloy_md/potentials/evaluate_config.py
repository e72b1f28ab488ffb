"""Settings of ``moalloy evaluate``. No torch here: the command line reads this to explain itself."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from moalloy_md.config import Device, Engine, StrictModel
from moalloy_md.potentials.train_config import Proxies


def _listed(model: object) -> object:
    return [model] if isinstance(model, str) else model


class EvaluateConfig(StrictModel):
    """Settings of ``moalloy evaluate``."""

    model: Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)]
    """A ``.model`` file (loading it runs code in it: trust its maker), or the name of a foundation;
    for the native engine a bundle or its ``model.safetensors``. Several, or the folder of a
    committee, are evaluated as a committee."""
    data: Path
    """Labelled cells: extended XYZ."""
    out: Path
    """Folder to make: ``metrics.json``, ``predictions.extxyz``, ``parity.png``."""
    train: Path | None = None
    """Training set: aligns the references of the elements for a second column of energy errors, and
    completes the energies of dilute alloys."""
    proxies: Literal["auto"] | Proxies | None = None
    """Known elements that stand in for those that the model lacks, such as ``{Al: V}``; for the
    others, and with ``auto`` for all, the nearest in the periodic table. Refused if null."""
    engine: Engine = "mace"
    """Who computes: mace-torch, or the native engine."""
    device: Device = "auto"
    """Where to compute."""
    batch_size: int = Field(default=8, ge=1)
    """Cells evaluated together."""
    head: str | None = None
    """Head of the model, where it has several."""
