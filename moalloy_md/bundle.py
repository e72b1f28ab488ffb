"""The bundle: the folder that ``moalloy export`` writes and everything else reads.

``model-lammps.pt``, ``manifest.json``, and ``model.safetensors`` where the native engine can
evaluate the model. `open_bundle` checks each file against its hash before anybody runs it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moalloy_md.errors import ModelError
from moalloy_md.rundir import MANIFEST, read_json, sha256

KIND = "bundle"
FORMAT = 1
TORCHSCRIPT = "model-lammps.pt"
NATIVE = "model.safetensors"


@dataclass(frozen=True)
class Bundle:
    """An exported model.

    Attributes
    ----------
    path
        Its folder.
    manifest
        Elements, r_max, layers, dtype, head, E0s, hashes, and the parity report.
    """

    path: Path
    manifest: dict[str, Any]

    @property
    def torchscript(self) -> Path:
        """File for ``pair_style mace``."""
        return self.path / TORCHSCRIPT

    @property
    def native(self) -> Path | None:
        """File for the native engine; None where there is none, and the manifest says why."""
        name = self.manifest["native"]["file"]
        return None if name is None else self.path / name

    @property
    def elements(self) -> list[str]:
        """Chemical symbols that the model knows."""
        return list(self.manifest["elements"])

    def check(self, elements: Iterable[str]) -> None:
        """Refuse elements of a host and its dopants that the model does not know.

        Raises
        ------
        ModelError
            If one is missing.
        """
        missing = [x for x in dict.fromkeys(elements) if x not in self.elements]
        if missing:
            raise ModelError(
                f"{self.path}: expected a model that knows {', '.join(missing)}, found one of "
                f"{', '.join(self.elements)}: export the model with these elements (moalloy export "
                "--elements), or leave them out (dopants)"
            )


def open_bundle(path: Path) -> Bundle:
    """Open a bundle and check its files against the hashes in its manifest.

    Raises
    ------
    ModelError
        If the folder is no bundle, is of a newer format, or one of its files was changed.
    """
    if not (path / MANIFEST).is_file():
        no_folder = "a file" if path.is_file() else "nothing there"
        what = f"no {MANIFEST} in it" if path.is_dir() else no_folder
        raise ModelError(
            f"{path}: expected a bundle, found {what}: "
            "make one with 'moalloy export MODEL --out BUNDLE'"
        )
    manifest = read_json(path / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise ModelError(
            f"{path}: expected a bundle, found the folder of another command: "
            "make one with 'moalloy export MODEL --out BUNDLE'"
        )
    if manifest["format"] > FORMAT:
        raise ModelError(
            f"{path}: expected a bundle of format {FORMAT} or older, found {manifest['format']}: "
            "update moalloy_md, or export the model again"
        )
    for name, expected in manifest["files"].items():
        file = path / name
        found = sha256(file) if file.is_file() else "no file"
        if found != expected:
            raise ModelError(
                f"{file}: expected SHA-256 {expected[:12]}..., found {found[:12]}: the file was "
                "changed or damaged after the export. Remove this folder and export the model again"
            )
    return Bundle(path=path, manifest=manifest)
