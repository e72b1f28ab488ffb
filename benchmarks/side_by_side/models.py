"""Models and cells that all contenders evaluate."""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers
from numpy.typing import NDArray

from moalloy_md.errors import MoAlloyError, ModelError
from moalloy_md.potentials.quiet import known_warnings_ignored
from moalloy_md.rundir import sha256
from side_by_side.peers import benchmark_cache, convert_for_symmetrix

_TESTS = Path(__file__).parents[2] / "tests"

ELEMENTS = ("Mo", "Re")
_LATTICE_PARAMETER_ANGSTROM = 3.165
_DOPANT_FRACTION = 0.02
_RATTLE_ANGSTROM = 0.1

#: Atoms move by at most this between two frames (Å, each component): less than half of the
#: smallest skin, so that nobody lists neighbours in a timed evaluation.
_STEP_ANGSTROM = 0.001
_N_FRAMES = 8

#: Shapes of foundation models: two residual blocks, max_ell 3, correlation 3, radial network
#: 64-64-64. The first is a small one for speed, the others MACE-MP-0 small and medium.
MODELS: dict[str, dict[str, Any]] = {
    "32x0e": {"hidden": "32x0e", "r_max": 5.0, "num_bessel": 8},
    "128x0e": {"hidden": "128x0e", "r_max": 6.0, "num_bessel": 10},
    "128x0e+128x1o": {"hidden": "128x0e + 128x1o", "r_max": 6.0, "num_bessel": 10},
}
#: The model that comes with the package, with the elements of the cell alone.
BASE = "base-small"

NAMES = (*MODELS, BASE)

#: Precisions of a measurement, as the engine calls them.
PRECISIONS = {"float32": "float", "float64": "double"}

#: Its converter refuses models with other harmonics, such as the bundled one.
_L_MAX_OF_SYMMETRIX = 3

_SHAPE = {"max_ell": 3, "correlation": 3, "radial_MLP": [64, 64, 64], "seed": 0}


@dataclass(frozen=True)
class ModelFiles:
    """One model in the format of each contender.

    Attributes
    ----------
    name
        One of `NAMES`, or the stem of the user's file.
    r_max
        Å.
    torch, native, symmetrix
        The files; the last is None when symmetrix-xl is left out, or cannot evaluate the model.
    """

    name: str
    r_max: float
    torch: Path
    native: Path
    symmetrix: Path | None


def need_known_models(option: str, names: Sequence[str], *, or_files: bool = True) -> None:
    """Refuse a model that is none of `NAMES`, nor a file where the benchmark takes one."""
    for name in names:
        if name not in NAMES and not (or_files and Path(name).is_file()):
            files = " or a .model file" if or_files else ""
            raise MoAlloyError(f"{option}: expected {', '.join(NAMES)}{files}, found {name}")


def need_known_precisions(names: Sequence[str]) -> None:
    """Refuse a precision that is none of `PRECISIONS`."""
    for name in names:
        if name not in PRECISIONS:
            raise MoAlloyError(f"--precisions: expected {' or '.join(PRECISIONS)}, found {name}")


def model_files(name: str, *, symmetrix_python: Path | None, folder: Path) -> ModelFiles:
    """Make a model of `NAMES`, or take a ``.model`` file, in everybody's format.

    What takes long is kept in the cache; the engine's file is written anew, into `folder`.

    Raises
    ------
    ModelError
        If a ``.model`` file lacks the elements of the cell, or has several heads.
    """
    import torch

    from moalloy_md.potentials.quiet import quiet_mace

    path = _file_of(name)
    with quiet_mace():
        model = torch.load(path, map_location="cpu", weights_only=False).double()
    if missing := [e for e in ELEMENTS if atomic_numbers[e] not in model.atomic_numbers.tolist()]:
        raise ModelError(f"{path}: expected a model of {' and '.join(ELEMENTS)}, {missing} missing")
    if len(getattr(model, "heads", None) or [""]) > 1:
        raise ModelError(f"{path}: expected a model with one head, found {model.heads}")
    native = folder / f"{path.stem}.safetensors"
    _write_native(model, native)
    return ModelFiles(
        name=name if name in NAMES else path.stem,
        r_max=float(model.r_max),
        torch=path,
        native=native,
        symmetrix=_symmetrix_file(path, symmetrix_python)
        if symmetrix_python and model.spherical_harmonics.irreps_out.lmax == _L_MAX_OF_SYMMETRIX
        else None,
    )


def _file_of(name: str) -> Path:
    if name == BASE:
        return _base_model_file()
    return _random_model_file(name) if name in MODELS else Path(name)


def _base_model_file() -> Path:
    from moalloy_md.potentials.base import base_files, load_base
    from moalloy_md.potentials.elements_subset import keep_elements

    size = BASE.removeprefix("base-")
    digest = sha256(base_files(size).weights)[:12]
    path = benchmark_cache() / f"{BASE}-{digest}.model"
    if not path.is_file():
        model = load_base(size)
        keep_elements(model, [atomic_numbers[element] for element in ELEMENTS])
        _save(model, path)
    return path


def _save(model: Any, path: Path) -> None:
    sys.path.insert(0, str(_TESTS))
    from support.models import save_model

    temporary = path.with_suffix(".part")
    save_model(model, temporary)
    temporary.rename(path)


def _random_model_file(name: str) -> Path:
    spec = {**MODELS[name], **_SHAPE, "elements": ELEMENTS, "mace-torch": version("mace-torch")}
    digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:12]
    path = benchmark_cache() / f"{name}-{digest}.model"
    if not path.is_file():
        sys.path.insert(0, str(_TESTS))
        from support.models import random_model

        with known_warnings_ignored():
            model = random_model(elements=ELEMENTS, **MODELS[name], **_SHAPE)
        _save(model, path)
    return path


def _write_native(model: Any, path: Path) -> None:
    from moalloy_md.potentials.native_model import write_native

    energies = model.atomic_energies_fn.atomic_energies.detach().numpy()
    write_native(
        model, path, head=0, dtype="float64", reference_energies=np.atleast_2d(energies)[0]
    )


def _symmetrix_file(model: Path, python: Path) -> Path:
    digest = hashlib.sha256(model.read_bytes()).hexdigest()[:12]
    path = benchmark_cache() / f"symmetrix-{digest}.json"
    if not path.is_file():
        convert_for_symmetrix(model, path, python)
    return path


def doped_molybdenum(n_atoms: int) -> Atoms:
    """Return a rattled bcc cell of Mo with 2 % Re on random sites.

    Raises
    ------
    ValueError
        If `n_atoms` is not 2n³.
    """
    n = round((n_atoms / 2) ** (1 / 3))
    if 2 * n**3 != n_atoms:
        raise ValueError(
            f"--atoms: expected 2n³ (128, 250, 432, 1024, 2000, 8192, …), found {n_atoms}: "
            f"take {2 * n**3}"
        )
    rng = np.random.default_rng(n_atoms)
    atoms = bulk("Mo", "bcc", a=_LATTICE_PARAMETER_ANGSTROM, cubic=True) * (n, n, n)
    doped = rng.choice(n_atoms, max(1, round(_DOPANT_FRACTION * n_atoms)), replace=False)
    atoms.numbers[doped] = atomic_numbers["Re"]
    atoms.positions += rng.normal(scale=_RATTLE_ANGSTROM, size=(n_atoms, 3))
    return atoms


def write_frames(n_atoms: int, path: Path) -> Atoms:
    """Write the cell a few times, displaced a little, as `evaluators.Frames` reads it."""
    atoms = doped_molybdenum(n_atoms)
    rng = np.random.default_rng(1)
    steps = rng.uniform(-_STEP_ANGSTROM, _STEP_ANGSTROM, size=(_N_FRAMES, n_atoms, 3))
    positions: NDArray[np.float64] = atoms.positions + steps
    np.savez(path, numbers=atoms.numbers, cell=atoms.cell.array, positions=positions)
    return atoms
