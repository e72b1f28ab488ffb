"""How much memory there is."""

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


def free_memory_bytes() -> float | None:
    """Memory that a new process can have, bytes: what is free, within a container's limit.

    None where the system does not tell, as all but Linux.
    """
    lines = _MEMINFO.read_text().splitlines() if _MEMINFO.is_file() else []
    found = [float(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")]
    limit = _CONTAINER_LIMIT.read_text().strip() if _CONTAINER_LIMIT.is_file() else "max"
    if limit.isdigit():
        found.append(float(limit))
    return min(found, default=None)
