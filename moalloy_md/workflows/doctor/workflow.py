"""``moalloy doctor``: what a run needs, whether it is there, and whether it works together."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

from moalloy_md.analysis.ovito_support import OVITO_REQUIREMENT
from moalloy_md.errors import MoAlloyError
from moalloy_md.workflows.doctor import lammps, machine
from moalloy_md.workflows.doctor.finding import Finding

Status = Literal["ok", "warning", "failure"]

_REPORT = "Please report this, with the output of: moalloy doctor --json"


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes
    ----------
    name
        What was checked.
    status
        ``warning``: works, but something will surprise, or was not tried. ``failure``: does not.
    found
        What is there, or what is wrong.
    mend
        How to mend it, in a sentence; empty where nothing is wrong.
    """

    name: str
    status: Status
    found: str
    mend: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """Result of `diagnose`.

    Attributes
    ----------
    checks
        Results in the order in which things stand on one another.
    versions
        Of each required Python package; None for one that is missing.
    wall_s
        Seconds that it took.
    """

    checks: tuple[CheckResult, ...]
    versions: dict[str, str | None]
    wall_s: float

    @property
    def healthy(self) -> bool:
        """Whether no check failed; warnings are allowed."""
        return all(check.status != "failure" for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Content of ``moalloy doctor --json``."""
        return {
            "healthy": self.healthy,
            "checks": [asdict(check) for check in self.checks],
            "versions": self.versions,
            "wall_s": round(self.wall_s, 2),
        }


@dataclass(frozen=True)
class Check:
    """One check to run.

    Attributes
    ----------
    name
        What is checked.
    run
        Returns what it found; raises `Finding` where that is not as it should be.
    mend
        Advice for an error whose own text has none.
    needs
        Names of the checks without whose success this one says nothing.
    """

    name: str
    run: Callable[[], str]
    mend: str
    needs: tuple[str, ...] = ()


def all_checks(*, n_atoms: int | None = None) -> tuple[Check, ...]:
    """Make the list of checks, in the order in which things stand on one another.

    Parameters
    ----------
    n_atoms
        Size of the run for which the memory is to be judged.
    """
    lmp_again = "Run: pip install --force-reinstall 'lammps[mpi]'"
    rebuild = "Run: moalloy plugin build --force"
    return (
        Check("Python", machine.python, "Make a new environment with a Python that still runs"),
        Check("Python packages", machine.packages, "Run: pip install --force-reinstall moalloy_md"),
        Check("torch", machine.torch, "Run: pip install --force-reinstall 'torch>=2.7'"),
        Check("lmp", lammps.lmp, lmp_again),
        Check("MPI", lammps.mpi, lmp_again, needs=("lmp",)),
        Check("C++ compiler", lammps.compiler, "Install one (Debian, Ubuntu: apt-get install g++)"),
        Check("pair_style mace/native", lammps.native, rebuild, needs=("lmp",)),
        Check("pair_style mace", lammps.plugin, rebuild, needs=("torch", "lmp")),
        *(
            Check(
                f"2-atom energy, {style}",
                partial(lammps.two_atom_energy, style),
                rebuild,
                needs=(f"pair_style {style}",),
            )
            for style in ("mace/native", "mace")
        ),
        Check("lmp script", lammps.lmp_script, lmp_again, needs=("lmp",)),
        Check("OpenMP threads", machine.openmp, "Run: unset OMP_NUM_THREADS"),
        Check("OVITO", machine.ovito, f"Run: pip install --force-reinstall '{OVITO_REQUIREMENT}'"),
        Check("memory", lambda: machine.memory(n_atoms=n_atoms), _REPORT),
        Check("cache folder", machine.cache, "Set MOALLOY_CACHE to a folder that you can write to"),
    )


def diagnose(
    *,
    n_atoms: int | None = None,
    checks: Sequence[Check] | None = None,
    say: Callable[[str], None] = lambda _text: None,
) -> Diagnosis:
    """Run all checks; whatever goes wrong is a result, nothing is raised.

    Parameters
    ----------
    n_atoms
        Size of the run for which the memory is to be judged.
    checks
        The checks to run; `all_checks` where None.
    say
        Called with the name of each check before it runs.
    """
    started = time.monotonic()
    results: list[CheckResult] = []
    unusable: set[str] = set()
    for check in all_checks(n_atoms=n_atoms) if checks is None else checks:
        say(check.name)
        unmet = [need for need in check.needs if need in unusable]
        result = _not_tried(check, unmet) if unmet else _result(check)
        if unmet or result.status == "failure":
            unusable.add(check.name)
        results.append(result)
    return Diagnosis(
        checks=tuple(results),
        versions=_versions(),
        wall_s=time.monotonic() - started,
    )


def _not_tried(check: Check, unmet: list[str]) -> CheckResult:
    names = " and ".join(unmet)
    return CheckResult(
        check.name, "warning", f"not tried: it needs {names}", f"Mend {names} first (above)"
    )


def _result(check: Check) -> CheckResult:
    try:
        return CheckResult(check.name, "ok", check.run())
    except Finding as finding:
        return CheckResult(check.name, finding.status, finding.found, finding.mend or check.mend)
    except MoAlloyError as error:
        return CheckResult(check.name, "failure", _essence(str(error)), check.mend)
    except Exception as error:  # noqa: BLE001  a check that crashes is a finding, not a traceback
        text = f"the check itself failed: {type(error).__name__}: {error}"
        return CheckResult(check.name, "failure", _essence(text), check.mend)


def _essence(text: str) -> str:
    """Cut a program's last words down to the line that matters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) <= 3:
        return " ".join(lines)
    errors = [line for line in lines[1:] if "ERROR" in line or "rror:" in line]
    return " ".join([lines[0], (errors or lines[-1:])[0]])


def _versions() -> dict[str, str | None]:
    try:
        return machine.package_versions()
    except Exception:  # noqa: BLE001  the check of the packages has said why
        return {}
