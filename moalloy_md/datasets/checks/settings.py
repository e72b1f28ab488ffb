"""Cells that were computed with different DFT settings."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from moalloy_md.datasets.checks.config import CheckConfig
from moalloy_md.datasets.checks.findings import Check, Finding, Seen, Severity

#: Names of each setting in ``info``: ours first, then what other tools write.
_NAMES = {
    "code": ("dft_code", "calculator", "code"),
    "functional": ("functional", "xc", "GGA"),
    "cutoff": ("cutoff_ev", "encut", "ENCUT", "ecut", "cutoff"),
    "spin": ("spin", "ispin", "ISPIN", "spinpol"),
    "smearing": ("smearing_ev", "sigma", "SIGMA"),
    "k-point spacing": ("kpoint_spacing_per_angstrom", "kspacing", "KSPACING"),
    "k-point product": ("k_prod_angstrom",),
}
#: Entries of ``info`` that say how a frame was computed: of no meaning once it is computed anew.
SETTING_KEYS = frozenset(name for names in _NAMES.values() for name in names) | {
    "pseudopotentials",
    "energy_kind",
}
_SEVERITY: dict[str, Severity] = {
    "code": "error",
    "functional": "error",
    "cutoff": "error",
    "spin": "warning",
    "smearing": "warning",
    "k-point spacing": "warning",
    "k-point product": "warning",
}


class MixedSettings(Check):
    """All cells come from one DFT code with one functional, cutoff, and so on."""

    name = "mixed-settings"
    why = (
        "energies of different settings differ by a constant for each element, and forces "
        "slightly: the model fits the difference between settings as if it were chemistry"
    )
    mend = "run the cells of the smaller part again with the settings of the larger one, or leave them out"

    def __init__(self, file: str, config: CheckConfig) -> None:
        super().__init__(file, config)
        self.values: dict[str, dict[Any, list[int]]] = defaultdict(lambda: defaultdict(list))
        self.potentials: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))

    def see(self, seen: Seen) -> Iterable[Finding]:
        info = seen.frame.atoms.info
        for setting, names in _NAMES.items():
            value = next((info[name] for name in names if name in info), None)
            if setting in {"code", "functional"} and value is not None:
                value = str(value).upper()  # ASE writes vasp and pbe
            self.values[setting][_plain(value)].append(seen.index)
        for title in str(info.get("pseudopotentials", "")).split():
            self.potentials[title.split(":")[0].split("_")[0]][title].append(seen.index)
        return ()

    def finish(self) -> Iterable[Finding]:
        for setting, values in self.values.items():
            known = {value: frames for value, frames in values.items() if value is not None}
            if self._differ(setting, list(known)):
                yield self._mixed(_SEVERITY[setting], setting, known)
            if known and None in values:
                yield self.finding(
                    "warning",
                    f"{len(values[None])} frames do not tell their {setting}, the others do",
                    frame=values[None][0],
                    mend="find out with which settings they were computed, and write them down",
                )
        for element, titles in self.potentials.items():
            if len(titles) > 1:
                yield self._mixed("error", f"pseudopotential of {element}", titles)

    def _differ(self, setting: str, values: list[Any]) -> bool:
        numbers = [value for value in values if isinstance(value, float)]
        if len(numbers) < len(values) or not numbers:
            return len(values) > 1
        low, high = min(numbers), max(numbers)
        if setting == "cutoff":
            return high - low > self.config.cutoff_tolerance_ev
        if setting.startswith("k-point"):
            return high > self.config.kpoint_ratio * low
        return high - low > 1e-6

    def _mixed(self, severity: Severity, what: str, values: dict[Any, list[int]]) -> Finding:
        ordered = sorted(values.items(), key=lambda item: -len(item[1]))
        counts = ", ".join(f"{value} in {len(frames)} frames" for value, frames in ordered[:5])
        more = f" and {len(ordered) - 5} more values" if len(ordered) > 5 else ""
        return self.finding(
            severity, f"different {what}: {counts}{more}", frame=min(ordered[-1][1])
        )


def _plain(value: Any) -> Any:
    """Return a value that can be compared: a number as float, all else as text."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value)
    try:
        return round(float(value), 6)
    except (TypeError, ValueError):
        return str(value)
