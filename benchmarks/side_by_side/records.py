"""The record of a run: what it was made with, and where it is kept."""

import json
import sys
from pathlib import Path
from typing import Any

from side_by_side.machine import describe_machine, describe_versions, now
from side_by_side.peers import benchmark_cache

_RESULTS = Path(__file__).parents[1] / "results"


def new_record(what: str) -> dict[str, Any]:
    """Return a record of the benchmark that runs: what it measures, when, by which command, on what."""
    return {
        "what": what,
        "date": now(),
        "command": ["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]],
        "machine": describe_machine(),
        "versions": describe_versions(),
    }


def default_path(name: str, record: dict[str, Any], *, quick: bool = False) -> Path:
    """Return where a record goes; one that only shows that the benchmark works is not kept."""
    if quick:
        return benchmark_cache() / f"quick-{name}.json"
    return _RESULTS / f"{name}-{record['date'][:16].replace(':', '')}.json"


def write_record(record: dict[str, Any], path: Path) -> None:
    """Write it, and its folder if there is none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
