"""Who labels cells: a DFT code, a teacher potential, or any ASE calculator."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from moalloy_md.config import Device, DType, StrictModel
from moalloy_md.errors import ConfigError

Settings = dict[str, Any]


class MaceTeacher(StrictModel):
    """A MACE model, evaluated by mace-torch."""

    kind: Literal["mace"] = "mace"
    """Tag: a ``.model`` file."""
    model: Path
    """The file. Loading it runs code in it: trust its maker."""
    device: Device = "auto"
    """Where to compute."""
    dtype: DType | None = None
    """Floating-point type; the file's own where null."""
    head: str | None = None
    """Head of the model, where it has several."""


class NativeTeacher(StrictModel):
    """A MACE model, evaluated by the native engine."""

    kind: Literal["native"] = "native"
    """Tag: a bundle or its ``model.safetensors``."""
    model: Path
    """The bundle or file."""
    precision: DType | None = None
    """Of the arithmetic; the file's own where null."""
    threads: int | None = Field(default=None, ge=1)
    """OpenMP threads; all cores where null."""


class _Code(StrictModel):
    interpreter: tuple[str, ...] = ()
    """Command that starts the Python in which the calculator lives, and MPI before it:
    ``[mpirun, -np, "4", gpaw, python]``; ours unless said. GPAW and VASP always run in a process of
    their own, other calculators if this or ``timeout_s`` is given."""
    timeout_s: float | None = Field(default=None, gt=0.0)
    """A cell that takes longer is ended and counted as failed, s."""
    environment: dict[str, str] = Field(default={})
    """Environment variables for it, such as ``OMP_NUM_THREADS: "1"``."""


class Gpaw(_Code):
    """GPAW."""

    kind: Literal["gpaw"] = "gpaw"
    """Tag: GPAW."""
    settings: Settings
    """Arguments of ``gpaw.GPAW``: ``{mode: {name: pw, ecut: 350}, xc: PBE, kpts: {size: [3, 3, 3],
    gamma: true}, occupations: {name: fermi-dirac, width: 0.1}}``. Its log is gpaw.txt."""


class Vasp(_Code):
    """VASP through ASE's calculator."""

    kind: Literal["vasp"] = "vasp"
    """Tag: VASP."""
    settings: Settings
    """Arguments of ``ase.calculators.vasp.Vasp``: ``{xc: PBE, encut: 520, kpts: [3, 3, 3], gamma:
    true, ismear: 1, sigma: 0.1, ediff: 1.0e-6}``. Cells that carry magnetic moments are computed
    with spin."""
    command: str | None = None
    """How VASP is started: ``mpirun -np 64 vasp_std``; ``ASE_VASP_COMMAND`` where null."""
    pseudopotentials: Path | None = None
    """Folder that holds ``potpaw_PBE``; ``VASP_PP_PATH`` where null."""

    @field_validator("settings")
    @classmethod
    def _single_points(cls, value: Settings) -> Settings:
        if value.get("nsw", 0) != 0:
            raise ValueError(
                f"expected nsw 0, found {value['nsw']}: labels belong to the cell as it is, not to "
                "where a relaxation ends. Relax first, and import the whole relaxation with 'moalloy dataset import'"
            )
        return value


class Factory(_Code):
    """Any ASE calculator."""

    kind: Literal["factory"] = "factory"
    """Tag: a class or function that returns a calculator."""
    target: str
    """``module:name``, such as ``ase.calculators.emt:EMT``; a module in the folder in which the
    command runs is found too."""
    arguments: Settings = Field(default={})
    """Keyword arguments of the call."""
    energy_is_free: bool = False
    """Take the plain energy of a calculator that knows no free energy: right where the forces are
    its derivative, as for a classical potential; wrong for DFT with smearing."""

    @field_validator("target")
    @classmethod
    def _two_parts(cls, value: str) -> str:
        module, _, name = value.partition(":")
        if not module or not name:
            raise ValueError("expected module:name, such as ase.calculators.emt:EMT")
        return value


Calculator = MaceTeacher | NativeTeacher | Gpaw | Vasp | Factory


class LabelConfig(StrictModel):
    """Settings of ``moalloy dataset label``."""

    calculator: Annotated[Calculator, Field(discriminator="kind")]
    """Who labels: ``{kind: vasp, settings: {...}}``."""
    stress: bool = True
    """Keep the stress where the calculator has one. DFT with plane waves needs a cutoff at which
    it is converged (Pulay stress): where it is not, say false."""


def calculator_from_text(text: str) -> Calculator:
    """Take the calculator from ``--calculator``.

    Parameters
    ----------
    text
        A ``.model`` file, a bundle or ``.safetensors`` file, or ``module:factory``.

    Raises
    ------
    ConfigError
        If it is none of these.
    """
    path = Path(text)
    if path.suffix in {".yaml", ".yml"}:
        raise ConfigError(f"--calculator: found a YAML file: give it as --config {text}")
    if path.is_dir() or path.suffix == ".safetensors":
        return NativeTeacher(model=path)
    if path.exists() or path.suffix == ".model":
        return MaceTeacher(model=path)
    if ":" in text:
        return Factory(target=text)
    raise ConfigError(
        "--calculator: expected a .model file, a bundle, or module:factory such as "
        f"ase.calculators.emt:EMT, found {text!r}, which does not exist. DFT codes need settings: "
        "describe them in a YAML file and give it as --config"
    )
