"""The DFT cells that ship with the package: 16-atom cells of Mo with one or two dopants."""

from importlib import resources
from pathlib import Path

from moalloy_md.datasets.frames import Frame, read_dataset

_BUNDLED = ("data", "dft_mo_dopants", "mo_dopants_pbe.extxyz")


def bundled_path() -> Path:
    """Path of the bundled dataset; the README.md beside it says what it is and is not."""
    return Path(str(resources.files("moalloy_md").joinpath(*_BUNDLED)))


def load_bundled() -> list[Frame]:
    """Read the bundled dataset.

    Raises
    ------
    DataError
        If the package was installed without it, or the file was damaged.
    """
    return read_dataset(bundled_path())
