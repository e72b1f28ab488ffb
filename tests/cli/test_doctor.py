"""``moalloy doctor`` as a user meets it."""

import json
import os
import subprocess
import sys

import pytest


def doctor(*arguments, **env):
    return subprocess.run(
        [sys.executable, "-m", "moalloy_md.cli.app", "doctor", *arguments],
        env={**os.environ, "COLUMNS": "100", "TERM": "dumb", **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def sick(tmp_path_factory):
    """Without the plugin, and with an OVITO that cannot be imported."""
    folder = tmp_path_factory.mktemp("sick")
    (folder / "ovito").mkdir()
    (folder / "ovito" / "__init__.py").write_text("raise ImportError('libGL.so.1: no such file')")
    return {"MOALLOY_CACHE": str(folder / "cache"), "PYTHONPATH": str(folder)}


def test_healthy(torch_plugin):
    answer = doctor("--atoms", "100", "--json")
    assert answer.returncode == 0, answer.stdout
    found = json.loads(answer.stdout)
    assert set(found) == {"healthy", "checks", "versions", "wall_s"}
    assert found["healthy"] is True
    for check in found["checks"]:
        assert set(check) == {"name", "status", "found", "mend"}
        assert check["status"] in {"ok", "warning"}
        assert check["found"]
        assert bool(check["mend"]) == (check["status"] != "ok")
    memory = next(check for check in found["checks"] if check["name"] == "memory")
    assert "100 atoms" in memory["found"]
    assert answer.stderr.strip() == ""


def test_sick_in_words(sick):
    answer = doctor(**sick)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stdout + answer.stderr
    lines = answer.stdout.splitlines()
    assert any(line.startswith("✓  lmp ") for line in lines)
    assert any(line.startswith("✓  pair_style mace/native") for line in lines)
    assert any(line.startswith("✗  pair_style mace ") for line in lines)
    assert any(line.startswith("!  2-atom energy, mace") for line in lines)
    assert any("→ Run: moalloy plugin build" in line for line in lines)
    assert any("2 failures, 1 warning." in line for line in lines)
    assert all(len(line) <= 100 for line in lines)


def test_sick_in_json(sick):
    answer = doctor("--json", **sick)
    assert answer.returncode == 1
    found = json.loads(answer.stdout)
    assert found["healthy"] is False
    failed = {c["name"]: c for c in found["checks"] if c["status"] == "failure"}
    assert set(failed) == {"pair_style mace", "OVITO"}
    assert all(c["mend"] for c in failed.values())


def test_no_atoms():
    answer = doctor("--atoms", "0")
    assert answer.returncode == 2
    assert "--atoms" in answer.stderr
