"""Labels that are there under names that nothing reads."""

from collections.abc import Iterable

from moalloy_md.datasets.checks.config import CheckConfig
from moalloy_md.datasets.checks.findings import Check, Finding, Seen

_NAMES = ("stress", "stresses", "virial", "virials")
_UNREAD = frozenset(
    {*_NAMES, *(f"{who}_{name}" for who in ("REF", "dft", "DFT") for name in _NAMES)}
)


class UnreadStress(Check):
    """No stress or virial under a name that is not read."""

    name = "unread-stress"
    why = (
        "only REF_stress is read: a stress or virial under another name is left out of the "
        "training without a word"
    )
    mend = "import the file again with --stress-key NAME (eV/Å³) or --virial-key NAME (eV)"

    def __init__(self, file: str, config: CheckConfig) -> None:
        super().__init__(file, config)
        self.found: dict[str, list[int]] = {}

    def see(self, seen: Seen) -> Iterable[Finding]:
        if seen.frame.stress is None:
            for name in _UNREAD.intersection(seen.frame.atoms.info):
                self.found.setdefault(name, []).append(seen.index)
        return ()

    def finish(self) -> Iterable[Finding]:
        for name, frames in self.found.items():
            yield self.finding(
                "warning",
                f"{len(frames)} frames have {name} and no REF_stress",
                frame=frames[0],
            )
