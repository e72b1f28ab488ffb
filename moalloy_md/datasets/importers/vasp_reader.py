"""What the readers of VASP's output files have in common."""

import gzip
from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO, cast

from moalloy_md.datasets.importers.runs import Importing, Run, Step
from moalloy_md.datasets.importers.vasp_settings import VaspSettings


def open_text(path: Path) -> IO[bytes]:
    """Open a file that may be compressed with gzip."""
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


class VaspReader(ABC):
    """One pass through an output file of VASP.

    Steps whose electronic loop did not converge are left out with a remark. A file that was cut
    short gives its finished steps.

    Parameters
    ----------
    path
        The file; it may be compressed with gzip.
    importing
        Settings; takes remarks.
    """

    def __init__(self, path: Path, importing: Importing) -> None:
        self.path = path
        self.importing = importing
        self.settings = VaspSettings()

    def runs(self, name: str) -> Iterator[Run]:
        """Give the run in the file under `name`; none where no ionic step was finished."""
        steps = self.steps()
        first = next(steps, None)  # with it come the settings
        if first is None:
            self.importing.remark(f"{self.path}: no finished ionic step in it: nothing to import")
        else:
            yield Run(name, self.settings.kind, chain([first], steps))

    @abstractmethod
    def steps(self) -> Iterator[Step]:
        """Finished ionic steps whose electrons converged."""

    def leave_out_unconverged(self, place: str, loops: int) -> None:
        """Tell the user of a step whose electronic loop gave up after so many steps."""
        self.importing.remark(
            f"{place}: left out: the electronic loop stopped after {loops} steps without "
            "converging. Raise NELM or change ALGO, and run it again"
        )
