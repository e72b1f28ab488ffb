"""What runs where."""

from pathlib import Path


def processes_below(folder):
    """Commands that run in `folder` or below; what only waits to be reaped does not count."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            where = (entry / "cwd").readlink() if entry.name.isdigit() else None
            if where is not None and where.is_relative_to(folder):
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return [command for command in found if command]


def pids_with(words):
    """Ids of the processes whose command holds `words`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if entry.name.isdigit() and words in command:
            found.append(int(entry.name))
    return found
