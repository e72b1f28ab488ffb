"""The chemistry that the package is about: Mo and its 20 substitutional dopants."""

from collections.abc import Mapping
from typing import Annotated

from ase.data import atomic_numbers, chemical_symbols
from pydantic import AfterValidator

from moalloy_md.errors import ConfigError

HOST = "Mo"

#: The dopants of the paper's training set, and the nine that it calls new (REFERENCE.md).
DOPANTS = ("Cr", "Fe", "Mn", "Nb", "Re", "Ta", "Ti", "V", "W", "Y", "Zr")
NEW_DOPANTS = ("Al", "Zn", "Cu", "Ag", "Au", "Hg", "Co", "Ni", "Hf")
ALL_DOPANTS = DOPANTS + NEW_DOPANTS


def atomic_number(symbol: str) -> int:
    """Atomic number of a chemical symbol.

    Raises
    ------
    ConfigError
        If `symbol` is not the symbol of an element.
    """
    number = atomic_numbers.get(symbol, 0)
    if number == 0:
        near = symbol.strip().capitalize()
        hint = f"did you mean {near}?" if near in atomic_numbers else "check the spelling"
        raise ConfigError(f"expected a chemical symbol such as Mo or W, found {symbol!r}: {hint}")
    return int(number)


def symbol(number: int) -> str:
    """Chemical symbol of an atomic number."""
    return str(chemical_symbols[number])


def pairs_text(proxies: Mapping[str, str]) -> str:
    """Write proxies as the command line takes them: ``Al=V Zn=Fe``."""
    return " ".join(f"{x}={known}" for x, known in proxies.items())


def _known(symbol: str) -> str:
    """Return the symbol, or raise the ValueError that pydantic reports with the field."""
    try:
        atomic_number(symbol)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    return symbol


#: Type of a configuration field that holds the symbol of an element.
ChemicalSymbol = Annotated[str, AfterValidator(_known)]
