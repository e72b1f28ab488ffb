"""Export a model: write its files, load each in a fresh process, compare, and only then keep."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from moalloy_md.bundle import FORMAT, KIND, NATIVE, TORCHSCRIPT, Bundle, open_bundle
from moalloy_md.config import DType, NativeFile
from moalloy_md.errors import ExportError, ModelError, RunDirectoryError, UnsupportedModelError
from moalloy_md.rundir import MANIFEST, now, read_json, sha256, versions, write_json

NOT_ASKED_FOR = "not asked for (--native off)"


def export(
    model: Path | str,
    *,
    out: Path,
    head: str | None = None,
    elements: list[str] | None = None,
    dtype: DType | None = None,
    native: NativeFile = "auto",
    say: Callable[[str], None] = lambda _text: None,
) -> Bundle:
    """Write a bundle from a mace-torch model.

    The TorchScript file is loaded by a fresh ``lmp``, and the native engine's file by a fresh
    Python. Both evaluate a rattled, triclinic, doped cell with every element; energy, forces and
    stress are compared with the source model. A file that fails is not kept.

    Parameters
    ----------
    model
        A ``.model`` file of mace-torch (a pickle, so it has to be your own), or the name of a foundation,
        such as ``base-small``.
    out
        Folder to make. An existing bundle of the same model and options is returned as it is.
    head
        Head to export; needed only where the model has several.
    elements
        Symbols to keep: a smaller, faster file. All of the model's where None.
    dtype
        Precision of the files; the model's own where None.
    native
        Whether to write the file for the native engine: ``"auto"`` where the engine can evaluate
        the model, and else the manifest says why not; ``"required"`` or fail; ``"off"``.
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
    UnsupportedModelError
        If the file for the native engine is required and the engine cannot evaluate the model.
    ExportError
        If an exported file deviates from its source.
    LammpsError
        If ``lmp`` cannot evaluate the TorchScript file.
    PluginError
        If the plugin cannot be compiled.
    RunDirectoryError
        If the folder holds something else.
    """
    from moalloy_md.lammps.plugin import build_torch_plugin
    from moalloy_md.potentials.export import open_source

    source = open_source(model, head=head, elements=elements, dtype=dtype)
    reason = _why_no_native(source, native)
    if native == "auto" and reason:
        say(f"warning: no {NATIVE}. {reason}")
    if found := _existing(out, source.sha256, _options(source), wants_native=reason is None):
        say(f"{out} is already the export of this model")
        return found
    build_torch_plugin(say=say)
    out.parent.mkdir(parents=True, exist_ok=True)
    # beside its final place, so that the last step is one rename
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        parity = _write_files(source, partial, with_native=reason is None, say=say)
        manifest = _manifest(model, source, partial, parity, why_no_native=reason)
        write_json(partial / MANIFEST, manifest)
        partial.chmod(0o755)  # mkdtemp makes a private folder
        if out.exists():
            out.rmdir()  # empty, or `_existing` would have refused it
        partial.replace(out)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return open_bundle(out)


def _options(source: Any) -> dict[str, Any]:
    """Return what an export can be asked for, as the manifest has it."""
    return {"head": source.head, "elements": source.elements, "dtype": source.dtype}


def _manifest(
    model: Path | str,
    source: Any,
    folder: Path,
    parity: dict[str, dict[str, Any]],
    *,
    why_no_native: str | None,
) -> dict[str, Any]:
    """Say what the files in `folder` are, whose reports are `parity` by their names."""
    return {
        "kind": KIND,
        "format": FORMAT,
        "created": now(),
        **_options(source),
        "r_max_angstrom": source.r_max_angstrom,
        "n_layers": source.n_layers,
        "reference_energies_ev": source.reference_energies_ev,
        "files": {name: sha256(folder / name) for name in parity},
        "native": {
            "file": NATIVE if NATIVE in parity else None,
            "reason": why_no_native,
            "parity": parity.get(NATIVE),
        },
        "source": {"path": _where(model), "sha256": source.sha256},
        "training_set_sha256": _training_set(Path(model), source.sha256),
        "parity": parity[TORCHSCRIPT],
        "versions": versions("torch", "mace-torch", "e3nn", "lammps"),
    }


def _why_no_native(source: Any, native: NativeFile) -> str | None:
    """Say why there is to be no file for the native engine; None if there is to be one."""
    from moalloy_md.potentials.export import why_not_native

    if native == "off":
        return NOT_ASKED_FOR
    reason: str | None = why_not_native(source)
    if reason and native == "required":
        raise UnsupportedModelError(f"{reason} (and --native auto)")
    return reason


def _existing(
    out: Path, model_hash: str | None, options: dict[str, Any], *, wants_native: bool
) -> Bundle | None:
    """Return the bundle at `out` if it is what would be written; None if there is nothing."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not (out / MANIFEST).is_file() or read_json(out / MANIFEST).get("kind") != KIND:
        raise RunDirectoryError(
            f"{out}: expected an empty folder or a bundle, found other things: choose another --out"
        )
    bundle = open_bundle(out)
    same = (
        bundle.manifest["source"]["sha256"] == model_hash
        and all(bundle.manifest[key] == value for key, value in options.items())
        and (bundle.native is not None) == wants_native
    )
    if not same:
        raise RunDirectoryError(
            f"{out}: expected an empty folder, found the export of another model or with other "
            "options: choose another --out, or remove it"
        )
    return bundle


def _write_files(
    source: Any, folder: Path, *, with_native: bool, say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Write the files and return the parity report of each, by name; raise if one fails."""
    from moalloy_md.potentials.export import (
        evaluate_source,
        write_native_file,
        write_torchscript,
    )
    from moalloy_md.potentials.parity import parity_cell

    atoms = parity_cell(source.elements)
    references = [evaluate_source(source, atoms)]
    if source.dtype == "float32":
        references.append(evaluate_source(source, atoms, own_precision=True))
    say("write TorchScript")
    write_torchscript(source, folder / TORCHSCRIPT)
    say("load it in lmp and compare with the source model")
    found = _evaluated_by_lmp(source, atoms, folder / TORCHSCRIPT)
    reports = {TORCHSCRIPT: _report(source, references, found, TORCHSCRIPT)}
    if with_native:
        say("write the file for the native engine")
        write_native_file(source, folder / NATIVE)
        say("load it in a fresh Python and compare with the source model")
        found = _evaluated_by_engine(atoms, folder / NATIVE)
        reports[NATIVE] = _report(source, references, found, NATIVE)
    return reports


def _evaluated_by_lmp(source: Any, atoms: Any, file: Path) -> Any:
    from moalloy_md.lammps.single_point import single_point
    from moalloy_md.potentials.parity import Evaluated

    with tempfile.TemporaryDirectory(prefix="moalloy-parity-") as folder:
        point = single_point(atoms, potential=file, elements=source.elements, run_dir=Path(folder))
    return Evaluated(
        energy_ev=point.energy_ev,
        forces=point.forces_ev_per_angstrom,
        stress=point.stress_ev_per_angstrom3,
    )


def _evaluated_by_engine(atoms: Any, file: Path) -> Any:
    from moalloy_md.potentials.native_point import native_point

    try:
        with tempfile.TemporaryDirectory(prefix="moalloy-parity-") as folder:
            return native_point(atoms, potential=file, run_dir=Path(folder))
    except ModelError as error:
        raise ExportError(f"{error}. --native off exports the TorchScript file alone") from error


def _report(source: Any, references: list[Any], found: Any, name: str) -> dict[str, Any]:
    """Compare what was found with what the source says; raise if it deviates."""
    from moalloy_md.potentials.parity import Route, compare

    route: Route = "native" if name == NATIVE else "torchscript"
    parity = compare(references[0], found, dtype=source.dtype, route=route)
    if not parity.passed:
        raise ExportError(
            f"{name}: the exported model deviates from its source and was not kept: expected at "
            f"most {parity.energy_limit_ev_per_atom:.1e} eV/atom, "
            f"{parity.force_limit_ev_per_angstrom:.1e} eV/Å and "
            f"{parity.stress_limit_ev_per_angstrom3:.1e} eV/Å³, found "
            f"{parity.energy_ev_per_atom:.1e}, {parity.force_ev_per_angstrom:.1e} and "
            f"{parity.stress_ev_per_angstrom3:.1e}. {_advice(source.dtype, name)}"
        )
    report: dict[str, Any] = parity.as_dict()
    if source.dtype == "float32":
        # what rounding the weights costs, beside what computing in single precision costs
        against_source = compare(references[1], found, dtype=source.dtype, route=route)
        report["against_unrounded_weights"] = {
            "energy_ev_per_atom": against_source.energy_ev_per_atom,
            "force_ev_per_angstrom": against_source.force_ev_per_angstrom,
            "stress_ev_per_angstrom3": against_source.stress_ev_per_angstrom3,
        }
    return report


def _advice(dtype: DType, name: str) -> str:
    if dtype == "float32":
        return "Export it with --dtype float64"
    without = " --native off exports the TorchScript file alone" if name == NATIVE else ""
    return f"Please report this model to the authors of moalloy_md.{without}"


def _where(model: Path | str) -> str:
    """Whole path of a file; the name of a foundation as it is."""
    return str(Path(model).resolve()) if Path(model).exists() else str(model)


def _training_set(model: Path, model_hash: str | None) -> str | None:
    """Hash of the training set, where `moalloy train` left its manifest beside this model."""
    path = model.parent / MANIFEST
    manifest = read_json(path) if path.is_file() else {}
    if manifest.get("kind") != "train" or manifest.get("model_sha256") != model_hash:
        return None
    return str(manifest["data"]["train_sha256"])
