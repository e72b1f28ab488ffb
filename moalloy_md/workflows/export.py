"""Export a model for LAMMPS: write, load in a fresh ``lmp``, compare, and only then keep."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moalloy_md.bundle import FORMAT, KIND, TORCHSCRIPT, Bundle, open_bundle
from moalloy_md.config import DType
from moalloy_md.errors import ExportError, RunDirectoryError
from moalloy_md.rundir import MANIFEST, now, read_json, sha256, versions, write_json

_NO_NATIVE = "this version of moalloy_md has no native engine yet"


def export(
    model: Path,
    *,
    out: Path,
    head: str | None = None,
    elements: list[str] | None = None,
    dtype: DType | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> Bundle:
    """Write a bundle from a mace-torch model.

    The TorchScript file is loaded by a fresh ``lmp``, which evaluates a rattled, triclinic, doped
    cell with every element; energy, forces and stress are compared with the source model. A file
    that fails is not kept.

    Parameters
    ----------
    model
        A ``.model`` file of mace-torch; a pickle, so it has to be your own.
    out
        Folder to make. An existing bundle of the same model and options is returned as it is.
    head
        Head to export; needed only where the model has several.
    elements
        Symbols to keep: a smaller, faster file. All of the model's where None.
    dtype
        Precision of the file; the model's own where None.
    say
        Called with one line for each step.

    Returns
    -------
    Bundle
        The bundle; its manifest holds the parity report.

    Raises
    ------
    ModelError
        If the model cannot be exported as asked.
    ExportError
        If the exported file deviates from its source, or ``lmp`` cannot evaluate it.
    PluginError
        If the plugin cannot be compiled.
    RunDirectoryError
        If the folder holds something else.
    """
    from moalloy_md.lammps.plugin import build_torch_plugin
    from moalloy_md.potentials.export import open_source, write_torchscript

    source = open_source(model, head=head, elements=elements, dtype=dtype)
    options = {"head": source.head, "elements": source.elements, "dtype": source.dtype}
    model_hash = sha256(model)
    if found := _existing(out, model_hash, options):
        say(f"{out} is already the export of this model")
        return found
    build_torch_plugin(say=say)
    out.parent.mkdir(parents=True, exist_ok=True)
    # beside its final place, so that the last step is one rename
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        say("write TorchScript")
        write_torchscript(source, partial / TORCHSCRIPT)
        say("load it in lmp and compare with the source model")
        parity = _check(source, partial / TORCHSCRIPT)
        write_json(
            partial / MANIFEST,
            {
                "kind": KIND,
                "format": FORMAT,
                "created": now(),
                **options,
                "r_max_angstrom": source.r_max_angstrom,
                "n_layers": source.n_layers,
                "reference_energies_ev": source.reference_energies_ev,
                "files": {TORCHSCRIPT: sha256(partial / TORCHSCRIPT)},
                "native": {"file": None, "reason": _NO_NATIVE},
                "source": {"path": str(model.resolve()), "sha256": model_hash},
                "training_set_sha256": _training_set(model, model_hash),
                "parity": parity,
                "versions": versions("torch", "mace-torch", "e3nn", "lammps"),
            },
        )
        partial.chmod(0o755)  # mkdtemp makes a private folder
        if out.exists():
            out.rmdir()  # empty, or `_existing` would have refused it
        partial.replace(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return open_bundle(out)


def _existing(out: Path, model_hash: str, options: dict[str, Any]) -> Bundle | None:
    """Return the bundle at `out` if it is what would be written; None if there is nothing."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / MANIFEST).is_file() or read_json(out / MANIFEST).get("kind") != KIND:
        raise RunDirectoryError(
            f"{out}: expected an empty folder or a bundle, found other things: choose another --out"
        )
    bundle = open_bundle(out)
    same = bundle.manifest["source"]["sha256"] == model_hash and all(
        bundle.manifest[key] == value for key, value in options.items()
    )
    if not same:
        raise RunDirectoryError(
            f"{out}: expected an empty folder, found the export of another model or with other "
            "options: choose another --out, or remove it"
        )
    return bundle


def _check(source: Any, file: Path) -> dict[str, Any]:
    """Compare the file, as lmp evaluates it, with its source; return the parity report."""
    from moalloy_md.lammps.single_point import single_point
    from moalloy_md.potentials.export import evaluate_source
    from moalloy_md.potentials.parity import Evaluated, compare, parity_cell

    atoms = parity_cell(source.elements)
    with tempfile.TemporaryDirectory(prefix="moalloy-parity-") as folder:
        point = single_point(atoms, potential=file, elements=source.elements, run_dir=Path(folder))
    found = Evaluated(
        energy_ev=point.energy_ev,
        forces=point.forces_ev_per_angstrom,
        stress=point.stress_ev_per_angstrom3,
    )
    parity = compare(evaluate_source(source, atoms), found, dtype=source.dtype)
    if not parity.passed:
        raise ExportError(
            "the exported model deviates from its source and was not kept: expected at most "
            f"{parity.energy_limit_ev_per_atom:.1e} eV/atom, "
            f"{parity.force_limit_ev_per_angstrom:.1e} eV/Å and "
            f"{parity.stress_limit_ev_per_angstrom3:.1e} eV/Å³, found "
            f"{parity.energy_ev_per_atom:.1e}, {parity.force_ev_per_angstrom:.1e} and "
            f"{parity.stress_ev_per_angstrom3:.1e}. "
            + (
                "Export it with --dtype float64"
                if source.dtype == "float32"
                else "Please report this model to the authors of moalloy_md"
            )
        )
    report: dict[str, Any] = parity.as_dict()
    if source.dtype == "float32":
        # what rounding the weights costs, beside what computing in single precision costs
        against_source = compare(
            evaluate_source(source, atoms, own_precision=True), found, dtype=source.dtype
        )
        report["against_unrounded_weights"] = {
            "energy_ev_per_atom": against_source.energy_ev_per_atom,
            "force_ev_per_angstrom": against_source.force_ev_per_angstrom,
            "stress_ev_per_angstrom3": against_source.stress_ev_per_angstrom3,
        }
    return report


def _training_set(model: Path, model_hash: str) -> str | None:
    """Hash of the training set, where `moalloy train` left its manifest beside this model."""
    path = model.parent / MANIFEST
    manifest = read_json(path) if path.is_file() else {}
    if manifest.get("kind") != "train" or manifest.get("model_sha256") != model_hash:
        return None
    return str(manifest["data"]["train_sha256"])
