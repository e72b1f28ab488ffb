"""States that contradict forces or positions, and groups that leak or cannot be split."""

from collections import Counter, defaultdict
from collections.abc import Iterable

import numpy as np

from moalloy_md.datasets.checks.config import CheckConfig
from moalloy_md.datasets.checks.findings import Check, Finding, Seen
from moalloy_md.datasets.decorations import Decoration, decoration


class StateContradiction(Check):
    """``relaxed`` cells have small forces, ``ideal`` ones stand on lattice sites."""

    name = "state"
    why = (
        "results are reported by state, and relaxed energies are compared with relaxed ones: a "
        "cell under a wrong state spoils both"
    )
    mend = "relax the cell further, or write state=noneq on its comment line"

    def see(self, seen: Seen) -> Iterable[Finding]:
        frame = seen.frame
        if frame.state == "relaxed":
            lengths = np.linalg.norm(frame.forces, axis=1)
            limit, what = self.config.relaxed_below_ev_per_angstrom, "a force of {:.3f} eV/Å"
        elif frame.state == "ideal" and seen.lattice is not None:
            lengths = np.linalg.norm(seen.lattice.displacements, axis=1)
            limit = self.config.ideal_below_angstrom
            what = f"an atom {{:.3f}} Å off its {seen.lattice.lattice} site"
        else:
            return
        atom = int(lengths.argmax())
        if lengths[atom] > limit:
            yield self.finding(
                "warning",
                f"state {frame.state} with {what.format(lengths[atom])} (expected at most {limit:g})",
                frame=seen.index,
                atom=atom,
                name=frame.name,
            )


class Groups(Check):
    """Every frame names its group; a group has one set of dopants; a decoration one group."""

    name = "group"
    why = (
        "groups keep nearly equal cells on one side of a split; without them the test error "
        "measures memory"
    )
    mend = (
        "import from the DFT output with moalloy dataset import, or write group=... on the comment "
        "lines: one name for each relaxation, trajectory block or decoration"
    )

    def __init__(self, file: str, config: CheckConfig) -> None:
        super().__init__(file, config)
        self.unnamed: list[int] = []
        self.dopants: dict[str, dict[frozenset[str], int]] = defaultdict(dict)
        self.decorations: dict[Decoration, dict[str, int]] = defaultdict(dict)

    def see(self, seen: Seen) -> Iterable[Finding]:
        frame = seen.frame
        if not frame.has_named_group:
            self.unnamed.append(seen.index)
            return ()
        self.dopants[frame.group].setdefault(frame.dopants, seen.index)
        if frame.state != "noneq" and frame.dopants and seen.lattice is not None:
            found = decoration(seen.lattice, frame.atoms.numbers)
            self.decorations[found].setdefault(frame.group, seen.index)
        return ()

    def finish(self) -> Iterable[Finding]:
        if self.unnamed:
            yield self.finding(
                "warning",
                f"{len(self.unnamed)} frames name no group: each is taken for its own",
                frame=self.unnamed[0],
            )
        for group, kinds in self.dopants.items():
            if len(kinds) > 1:
                sets = "; ".join(", ".join(sorted(kind)) or "none" for kind in kinds)
                yield self.finding(
                    "warning",
                    f"group {group!r} holds cells with different dopants ({sets}), so leaving one "
                    "dopant out would tear it apart",
                    frame=list(kinds.values())[1],
                    mend="give cells of different composition different groups",
                )
        for found, groups in self.decorations.items():
            if len(groups) > 1:
                names = Counter(groups)
                yield self.finding(
                    "warning",
                    f"the same decoration {found.name} is in {len(names)} groups "
                    f"({', '.join(map(repr, sorted(groups)[:4]))}): a split may put it on both sides",
                    frame=list(groups.values())[1],
                )
