"""``cell.json``: what a cell is, beside the VASP inputs that were written for it.

VASP carries no host, group, state or name through a run; this file does.
"""

import json
from pathlib import Path
from typing import Literal

from ase import Atoms
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from moalloy_md.elements import ChemicalSymbol
from moalloy_md.errors import DataError

CELL_INFO = "cell.json"


class CellInfo(BaseModel):
    """What `write_cell_info` wrote, as far as the dataset contract knows it."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    name: str = Field(min_length=1)
    """Of the cell."""
    formula: str
    """Its atoms, in Hill's order."""
    host: ChemicalSymbol | None = None
    """Element of the host."""
    group: str | None = None
    """What a split keeps together."""
    state: Literal["ideal", "relaxed", "noneq"] | None = None
    """Of the cell as it was written, before VASP."""


def write_cell_info(folder: Path, atoms: Atoms) -> None:
    """Write the plain values of a cell's ``info``, and its formula."""
    info = {k: v for k, v in atoms.info.items() if isinstance(v, str | int | float | bool)}
    content = {**info, "formula": atoms.get_chemical_formula("hill")}
    (folder / CELL_INFO).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_cell_info(folder: Path) -> CellInfo | None:
    """Read what `write_cell_info` wrote; None where there is no file.

    Raises
    ------
    DataError
        If a file of this name is damaged, or somebody else's.
    """
    path = folder / CELL_INFO
    if not path.exists():
        return None
    try:
        return CellInfo.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        found = error.errors()[0] if isinstance(error, ValidationError) else None
        where = ".".join(map(str, found["loc"])) if found else ""
        what = f"{where}: {found['msg']}".removeprefix(": ") if found else str(error)
        raise DataError(
            f"{path}: expected name, formula, host, group and state as moalloy structures writes "
            f"them, found another file of this name ({what})"
        ) from error
