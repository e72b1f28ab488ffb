"""Free memory: what the kernel says, within a container's limit."""

import pytest

from moalloy_md import memory

MEMINFO = "MemTotal:       16 kB\nMemFree:        2 kB\nMemAvailable:   4 kB\n"


@pytest.mark.parametrize(
    ("meminfo", "limit", "expected"),
    [
        (MEMINFO, None, 4096.0),
        (MEMINFO, "max\n", 4096.0),
        (MEMINFO, "1000\n", 1000.0),
        ("MemTotal: 16 kB\n", "1000\n", 1000.0),
        ("MemTotal: 16 kB\n", None, None),
        (None, None, None),
    ],
)
def test_free_memory(tmp_path, monkeypatch, meminfo, limit, expected):
    for name, content in (("_MEMINFO", meminfo), ("_CONTAINER_LIMIT", limit)):
        path = tmp_path / name
        monkeypatch.setattr(memory, name, path)
        if content is not None:
            path.write_text(content)
    assert memory.free_memory_bytes() == expected
