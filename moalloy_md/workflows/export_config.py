"""Settings of ``moalloy export``. No torch here: the command line reads this to explain itself."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from moalloy_md.config import DType, NativeFile, StrictModel
from moalloy_md.elements import ChemicalSymbol


class ExportConfig(StrictModel):
    """Settings of ``moalloy export``."""

    model: str
    """A ``.model`` file (loading one runs code in it: trust its maker), or the name of a foundation,
    such as ``base-small``."""
    out: Path
    """Folder to make. An export of the same model with the same settings is left as it is."""
    elements: Annotated[tuple[ChemicalSymbol, ...], Field(min_length=1)] | None = None
    """Keep only these: a smaller, faster file. All of the model's where null."""
    dtype: DType | None = None
    """Precision of the files; the model's own where null."""
    head: str | None = None
    """Head to export; needed where the model has several."""
    native: NativeFile = "auto"
    """File for the native engine: where it can be (``auto``), by all means (``required``), or not
    (``off``)."""
