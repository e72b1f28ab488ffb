"""What properties are called, and the reference values that they stand beside."""

import json
from dataclasses import dataclass
from importlib import resources

_FOLDER = ("data", "reference")
_FILES = {"Mo": "molybdenum.json"}

#: A deviation from the reference beyond which it is said aloud, per cent.
NOTABLE_PERCENT = 10.0

#: Name, unit and, where it needs one, format of each property, in the order of the table.
LABELS: dict[str, tuple[str, str, str]] = {
    "lattice_parameter": ("lattice parameter a0", "Å", ".4f"),
    "bulk_modulus": ("bulk modulus B", "GPa", ".1f"),
    "bulk_modulus_derivative": ("its derivative B'", "", ".2f"),
    "c11": ("C11", "GPa", ".1f"),
    "c12": ("C12", "GPa", ".1f"),
    "c44": ("C44", "GPa", ".1f"),
    "c_prime": ("C' = (C11 − C12)/2", "GPa", ".1f"),
    "zener_anisotropy": ("anisotropy C44/C'", "", ".3f"),
    "vacancy_formation": ("vacancy formation", "eV", ".3f"),
    "vacancy_migration": ("vacancy migration", "eV", ".3f"),
    "surface_110": ("surface (110)", "J/m²", ".3f"),
    "surface_100": ("surface (100)", "J/m²", ".3f"),
    "surface_111": ("surface (111)", "J/m²", ".3f"),
    "fcc_minus_bcc": ("fcc − bcc", "eV/atom", ".4f"),
    "phonon_h": ("phonons at H (three alike)", "THz", ".2f"),
    "phonon_n_low": ("lowest phonon at N", "THz", ".2f"),
    "phonon_n_high": ("highest phonon at N", "THz", ".2f"),
    "imaginary_modes": ("imaginary modes", "%", ".1f"),
}


@dataclass(frozen=True)
class Reference:
    """A published value, or the range of several.

    Attributes
    ----------
    low, high
        In the unit of `LABELS`; equal where there is one value.
    kind
        What sort of value it is, in words.
    source
        Where it comes from.
    """

    low: float
    high: float
    kind: str
    source: str

    def deviation_percent(self, value: float) -> float:
        """Tell how far a value is outside of the range, in per cent of the nearer end; 0 inside."""
        nearest = min(max(value, self.low), self.high)
        return 100.0 * (value - nearest) / abs(nearest)

    @property
    def text(self) -> str:
        """The value or the range as it was published, such as ``2.7 to 3.0``."""
        decimals = max(len(f"{x:.6f}".rstrip("0").partition(".")[2]) for x in (self.low, self.high))
        low, high = f"{self.low:.{decimals}f}", f"{self.high:.{decimals}f}"
        return low if low == high else f"{low} to {high}"


def reference_values(element: str) -> dict[str, Reference]:
    """Return the reference values of an element, by the keys of `LABELS`; empty where there are none."""
    if element not in _FILES:
        return {}
    file = resources.files("moalloy_md").joinpath(*_FOLDER, _FILES[element])
    content = json.loads(file.read_text(encoding="utf-8"))
    return {
        key: Reference(
            low=entry["low"],
            high=entry["high"],
            kind=content["kinds"][entry["kind"]],
            source=content["sources"][entry["source"]],
        )
        for key, entry in content["values"].items()
    }
