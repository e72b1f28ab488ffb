"""Forces: their sum, and the largest of them."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from moalloy_md.datasets.checks.config import CheckConfig
from moalloy_md.datasets.checks.findings import Check, Finding, Seen, robust_scale

#: Fewer frames of a kind say nothing about what is usual among them.
_ENOUGH = 8
#: Smallest spread of the logarithm of the largest force that is believed: a factor of 1.35.
_SMALLEST_LOG_SCALE = 0.3


class NetForce(Check):
    """The forces of a cell sum to zero."""

    name = "net-force"
    why = (
        "no external force acts on a cell, so its forces sum to zero; what is left is the error of "
        "the DFT forces, or a torn or edited frame, and no potential can fit it"
    )
    mend = (
        "small: tighter EDIFF, a finer grid (ADDGRID, PREC = Accurate), or subtract the mean "
        "force. Large: find the missing atoms or columns, or remove the frame"
    )

    def see(self, seen: Seen) -> Iterable[Finding]:
        frame = seen.frame
        residual = float(np.linalg.norm(frame.forces.sum(axis=0))) / frame.n_atoms
        if residual > self.config.net_force_warning_ev_per_angstrom:
            wrong = residual > self.config.net_force_error_ev_per_angstrom
            total = frame.forces.sum(axis=0)
            yield self.finding(
                "error" if wrong else "warning",
                f"forces sum to {np.round(total, 4).tolist()} eV/Å, {1000 * residual:.2f} meV/Å "
                "an atom",
                frame=seen.index,
                name=frame.name,
            )


class ForceOutlier(Check):
    """No largest force far above those of the other frames of the same state."""

    name = "force-outlier"
    why = (
        "a few huge forces dominate the loss and spoil the fit; they come from atoms on top of "
        "each other, electrons that did not converge, or wrong units"
    )
    mend = (
        "look at the frame: converge its electrons, correct the units (eV/Å; 1 Ry/bohr is 25.7 "
        "eV/Å), or remove it. Keep it if such short distances are what you want to learn"
    )

    def __init__(self, file: str, config: CheckConfig) -> None:
        super().__init__(file, config)
        self.largest: dict[str, list[tuple[int, int, float, str]]] = defaultdict(list)

    def see(self, seen: Seen) -> Iterable[Finding]:
        lengths = np.linalg.norm(seen.frame.forces, axis=1)
        atom = int(lengths.argmax())
        self.largest[seen.frame.state].append(
            (seen.index, atom, float(lengths[atom]), seen.frame.name)
        )
        return ()

    def finish(self) -> Iterable[Finding]:
        for state, members in self.largest.items():
            if len(members) < _ENOUGH:
                continue
            forces = np.array([force for _, _, force, _ in members])
            middle, scale = robust_scale(np.log(np.maximum(forces, 1e-4)))
            allowed = float(
                np.exp(middle + self.config.outlier_sigmas * max(scale, _SMALLEST_LOG_SCALE))
            )
            allowed = max(allowed, self.config.force_floor_ev_per_angstrom)
            limit = min(allowed, self.config.force_ceiling_ev_per_angstrom)
            for index, atom, force, name in members:
                if force > limit:
                    yield self.finding(
                        "warning",
                        f"a force of {force:.3g} eV/Å, where the largest force of {state} frames "
                        f"is {np.exp(middle):.3g} eV/Å in the median and {limit:.3g} is usual",
                        frame=index,
                        atom=atom,
                        name=name,
                    )
