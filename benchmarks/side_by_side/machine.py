"""What a measurement was made on."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from moalloy_md import __version__
from moalloy_md.rundir import git_commit

_PACKAGES = ("ase", "mace-torch", "numpy", "torch")


def describe_machine() -> dict[str, Any]:
    """Return processor, cores, caches, memory, system and load: no names of hosts or users."""
    return {
        "processor": _first_value(Path("/proc/cpuinfo"), "model name") or platform.processor(),
        "instruction_sets": _instruction_sets(),
        "cores": len(os.sched_getaffinity(0)),
        "caches": _caches(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def describe_versions() -> dict[str, str | None]:
    """Return versions of ours and of what is in our environment."""
    found: dict[str, str | None] = {"moalloy_md": __version__, "git": git_commit()}
    return found | {name: version(name) for name in _PACKAGES}


def load_average() -> list[float]:
    """Return processes that ran or waited to run, over 1, 5 and 15 minutes."""
    return [round(load, 2) for load in os.getloadavg()]


def processor_seconds() -> tuple[float, float]:
    """Return processor time of the whole machine since it started, and of our ended children.

    Between two calls the difference of the first less that of the second is what others used.
    """
    ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]  # and waiting for a disk
    times = os.times()
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK"), (
        times.children_user + times.children_system
    )


def cores_of_others(before: tuple[float, float], wall_s: float) -> float:
    """Return how many cores others used in the `wall_s` seconds since `processor_seconds`."""
    machine, ours = (now - then for now, then in zip(processor_seconds(), before, strict=True))
    return (machine - ours) / wall_s


def now() -> str:
    """Return the date and time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _first_value(path: Path, key: str) -> str | None:
    if not path.is_file():
        return None
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def _instruction_sets() -> list[str]:
    flags = (_first_value(Path("/proc/cpuinfo"), "flags") or "").split()
    return [name for name in ("avx2", "fma", "avx512f", "avx512vl", "amx_tile") if name in flags]


def _caches() -> dict[str, str]:
    caches = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (
            (index / name).read_text().strip() for name in ("level", "type", "size")
        )
        caches[f"L{level} {kind}"] = size
    return caches
