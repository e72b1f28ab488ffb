"""The plain LAMMPS inputs that come with the package, wherever it is installed."""

from pathlib import Path

from moalloy_md.errors import LammpsError

_PACKAGE = Path(__file__).parent.parent

#: In a wheel they lie inside the package; in a clone (editable install) beside it.
_FOLDERS = (_PACKAGE / "lammps_inputs", _PACKAGE.parent / "lammps_inputs")


def input_names() -> tuple[str, ...]:
    """Names of the inputs, such as ``in.npt``, sorted."""
    return tuple(sorted({path.name for folder in _FOLDERS for path in folder.glob("in.*")}))


def input_file(name: str) -> Path:
    """Path of an input that comes with the package.

    Parameters
    ----------
    name
        File name, such as ``in.npt``.

    Raises
    ------
    LammpsError
        If there is no input of that name; those that exist are named.
    """
    for folder in _FOLDERS:
        path = folder / name
        if name in input_names() and path.is_file():
            return path
    known = ", ".join(input_names()) or "none: the installation is incomplete"
    raise LammpsError(
        f"expected the name of a LAMMPS input of this package ({known}), found {name}"
    )
