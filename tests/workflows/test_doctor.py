"""The doctor: each finding provoked for real where that can be done, and never a traceback."""

import math
import os
import re
import shutil
import sys

import numpy as np
import pytest

from moalloy_md.analysis.ovito_support import OVITO_REQUIREMENT
from moalloy_md.errors import MoAlloyError
from moalloy_md.lammps import installation
from moalloy_md.lammps.installation import torch_plugin as plugin_place
from moalloy_md.workflows.doctor import lammps as doctor_lammps
from moalloy_md.workflows.doctor import machine as doctor_machine
from moalloy_md.workflows.doctor import probes as doctor_probes
from moalloy_md.workflows.doctor.workflow import Check, all_checks, diagnose


def check(*names, **options):
    """Results of the named checks, by name."""
    chosen = [c for c in all_checks(**options) if c.name in names]
    assert len(chosen) == len(names)
    return {result.name: result for result in diagnose(checks=chosen).checks}


def failure(name, **options):
    result = check(name, **options)[name]
    assert result.status == "failure"
    return result


def warning(name, **options):
    result = check(name, **options)[name]
    assert result.status == "warning"
    return result


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOALLOY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def fake_package(tmp_path, monkeypatch):
    """Put a package before the real one, for child processes."""

    def make(name, source):
        (tmp_path / "fake" / name).mkdir(parents=True)
        (tmp_path / "fake" / name / "__init__.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"))

    return make


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_all_good_here(torch_plugin, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    said = []
    diagnosis = diagnose(n_atoms=10, say=said.append)
    # The PATH of whoever runs the tests may hold another lmp; and OVITO's process sometimes crashes
    # after its work, see doctor_machine.ovito: the cause is not known, and the doctor reports it.
    assert [
        c
        for c in diagnosis.checks
        if c.status != "ok"
        and not (c.name == "lmp script" and "is another program" in c.found)
        and not (c.name == "OVITO" and c.found.endswith("crashed (SIGSEGV) while ending"))
    ] == []
    assert diagnosis.healthy
    assert said == [c.name for c in all_checks()]
    found = {c.name: c.found for c in diagnosis.checks}
    assert str(torch_plugin) in found["pair_style mace"]
    assert re.match(r"\d+ [A-Z][a-z]{2} 20\d\d, /", found["lmp"])
    assert diagnosis.versions["numpy"] == np.__version__
    assert None not in diagnosis.versions.values()


def test_no_plugin(empty_cache):
    results = check("pair_style mace", "2-atom energy, mace", "lmp script")
    assert results["pair_style mace"].status == "failure"
    assert "found none" in results["pair_style mace"].found
    assert results["pair_style mace"].mend == "Run: moalloy plugin build"
    assert results["2-atom energy, mace"].status == "warning"
    assert results["2-atom energy, mace"].found == "not tried: it needs pair_style mace"
    # the other style is whole, and lmp finds it
    assert results["lmp script"].found.startswith("finds mace/native by itself: ")
    assert not empty_cache.exists()


def test_the_plugin_of_another_version_is_mentioned(empty_cache):
    other = empty_cache / "plugins" / "lammps-1_torch-1_0" / plugin_place().name
    other.parent.mkdir(parents=True)
    other.touch()
    assert "1 for other versions" in failure("pair_style mace").found


def test_a_broken_plugin(empty_cache):
    plugin_place().parent.mkdir(parents=True)
    plugin_place().write_bytes(b"\x7fELF but not for long")
    result = failure("pair_style mace")
    assert "expected lmp to load" in result.found
    assert "found: file too short" in result.found  # the dynamic linker's words
    assert "\n" not in result.found
    assert result.mend == "Run: moalloy plugin build --force"
    # what the user types says so too, and does not crash
    script = failure("lmp script")
    assert "to find pair_style mace by itself, found mace/native" in script.found
    assert script.mend == "Run: moalloy plugin build --force"


def test_no_native_plugin(empty_cache, monkeypatch):
    """The package was built with another lammps, and nobody has compiled the plugin since."""
    monkeypatch.setattr(installation, "_compiled_package", lambda: empty_cache)
    results = check("pair_style mace/native", "2-atom energy, mace/native")
    assert "built with another lammps" in results["pair_style mace/native"].found
    assert results["pair_style mace/native"].mend == "Run: moalloy plugin build"
    assert results["2-atom energy, mace/native"].status == "warning"


@pytest.mark.parametrize("style", ["mace", "mace/native"])
def test_an_energy_that_deviates(torch_plugin, monkeypatch, style):
    def shifted(name, folder):
        answer = doctor_probes.probe(name, folder)
        return {"energy_ev": answer["energy_ev"] + 4e-6}  # 2e-6 eV per atom

    monkeypatch.setattr(doctor_lammps, "probe", shifted)
    assert "expected the same energy to 1e-06 eV/atom" in failure(f"2-atom energy, {style}").found


def test_an_energy_that_is_not_a_number(torch_plugin, monkeypatch):
    def nan(name, folder):
        doctor_probes.probe(name, folder)
        return {"energy_ev": math.nan}

    monkeypatch.setattr(doctor_lammps, "probe", nan)
    assert "nan" in failure("2-atom energy, mace").found


def test_somebody_elses_broken_entry_point(torch_plugin, tmp_path, monkeypatch):
    info = tmp_path / "evil-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lammps.plugins]\nevil = evil:path\n")
    (tmp_path / "evil.py").write_text("raise RuntimeError('out of order')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = failure("lmp script")
    assert "RuntimeError: out of order" in result.found
    assert "entry point: uninstall" in result.mend


def test_another_lmp_on_the_path(torch_plugin, tmp_path, monkeypatch):
    program(tmp_path / "lmp", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    result = warning("lmp script")
    assert str(tmp_path / "lmp") in result.found
    assert "/activate" in result.mend


def test_a_missing_package(monkeypatch):
    listed = doctor_machine.required_packages()
    monkeypatch.setattr(
        doctor_machine, "required_packages", lambda: [*listed, "no-such-package>=2"]
    )
    result = failure("Python packages")
    assert result.found == "missing: no-such-package"
    assert result.mend == "Run: pip install 'no-such-package>=2'"


def test_a_package_out_of_range(monkeypatch):
    monkeypatch.setattr(doctor_machine, "required_packages", lambda: ["numpy<1", "ase"])
    result = warning("Python packages")
    assert result.found == f"not tested with: numpy {np.__version__} (expected <1)"
    assert result.mend == "Run: pip install 'numpy<1'"


def test_requirements_are_those_of_pyproject(pytestconfig):
    import tomllib

    project = tomllib.loads((pytestconfig.rootpath / "pyproject.toml").read_text())["project"]
    from packaging.requirements import Requirement

    names = {Requirement(text).name for text in project["dependencies"]}
    assert set(doctor_machine.package_versions()) == names
    assert OVITO_REQUIREMENT in project["dependencies"]


def test_python_too_old(monkeypatch):
    monkeypatch.setattr(doctor_machine.platform, "python_version", lambda: "3.9.1")
    assert failure("Python").found == "expected Python >=3.11, found 3.9.1"


def test_torch_that_cannot_be_imported(fake_package):
    fake_package("torch", "raise ImportError('libtorch_cpu.so: cannot open shared object file')")
    result = failure("torch")
    assert "libtorch_cpu.so" in result.found
    assert "pip install" in result.mend


@pytest.mark.parametrize(
    ("build", "status", "found"),
    [
        ({"cuda": None, "devices": [], "cxx11_abi": True}, "ok", "for the CPU"),
        ({"cuda": "12.6", "devices": ["H1"], "cxx11_abi": True}, "ok", "CUDA 12.6; H1"),
        ({"cuda": None, "devices": [], "cxx11_abi": False}, "failure", "ABI of before 2015"),
    ],
)
def test_kinds_of_torch(monkeypatch, build, status, found):
    monkeypatch.setattr(doctor_machine, "probe", lambda _name: {"version": "2.7", **build})
    result = check("torch")["torch"]
    assert result.status == status
    assert found in result.found


def test_a_probe_that_crashes(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(program(tmp_path / "python", "kill -SEGV $$")))
    assert "crashed (SIGSEGV)" in failure("OVITO").found


def test_a_probe_that_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(program(tmp_path / "python", "exec sleep 60")))
    monkeypatch.setattr(doctor_probes, "_TIMEOUT_S", 0.3)
    assert "no answer from python within 0.3 s" in failure("OVITO").found


def test_ovito_without_a_system_library(fake_package):
    fake_package("ovito", "raise ImportError('libEGL.so.1: cannot open shared object file')")
    result = failure("OVITO")
    assert "libEGL.so.1" in result.found + result.mend
    assert "apt-get install" in result.found + result.mend


def test_missing_libraries_are_found_by_loading_them(monkeypatch):
    monkeypatch.setattr(
        doctor_probes, "_OVITO_LIBRARIES", {"libc.so.6": "libc6", "libnosuch.so.1": "libnosuch1"}
    )
    assert doctor_probes._missing_libraries() == {"libnosuch.so.1": "libnosuch1"}


def test_all_missing_libraries_are_named_at_once(monkeypatch):
    answer = {"import_error": "x", "missing": {"libEGL.so.1": "libegl1", "libGL.so.1": "libgl1"}}
    monkeypatch.setattr(doctor_machine, "probe", lambda _name: answer)
    result = failure("OVITO")
    assert "libEGL.so.1, libGL.so.1" in result.found
    assert result.mend.endswith("apt-get install libegl1 libgl1")


def test_ovito_that_cannot_draw(monkeypatch):
    answer = {"version": "3.17", "draw_error": "no Vulkan", "ended_badly": None}
    monkeypatch.setattr(doctor_machine, "probe", lambda _name: answer)
    assert "cannot draw: no Vulkan" in warning("OVITO").found


def test_ovito_whose_process_crashes_after_its_work(tmp_path, monkeypatch):
    """The answer is there and counts, and the crash is not hidden."""
    answer = '{"version": "3.14", "draw_error": null}'
    dying = program(tmp_path / "python", f"echo '{answer}' > \"$4/answer.json\"; kill -SEGV $$")
    monkeypatch.setattr(sys, "executable", str(dying))
    assert warning("OVITO").found == (
        "3.14 draws, but then its process crashed (SIGSEGV) while ending"
    )


def test_no_compiler(empty_cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert "apt-get install g++" in failure("C++ compiler").mend
    plugin_place().parent.mkdir(parents=True)
    plugin_place().touch()
    assert "next update" in warning("C++ compiler").found
    monkeypatch.setenv("CXX", str(program(tmp_path / "cxx", "echo cxx 99")))
    assert check("C++ compiler")["C++ compiler"].found == f"{tmp_path / 'cxx'}: cxx 99"


def test_no_mpiexec(monkeypatch):
    monkeypatch.setattr(installation, "mpi_folder", lambda: None)
    result = failure("MPI")
    assert "expected mpiexec from the mpich wheel, found none" in result.found
    assert result.mend == "Run: pip install --force-reinstall 'lammps[mpi]'"


def test_mpiexec_of_another_mpi(tmp_path, monkeypatch):
    """It starts two separate runs: each says that it is alone."""
    other = program(tmp_path / "mpiexec", 'shift 2; "$@" && "$@"')
    monkeypatch.setattr(doctor_lammps, "mpiexec", lambda: other)
    assert f"expected {other} to start 2 ranks of lmp, found 1" in failure("MPI").found


def test_no_lmp(tmp_path, monkeypatch):
    from moalloy_md.lammps import installation, plugin

    monkeypatch.setattr(installation, "lammps_package", lambda: tmp_path)
    results = check("lmp", "MPI")
    assert results["lmp"].status == "failure"
    assert "expected the lmp binary" in results["lmp"].found
    assert "pip install" in results["lmp"].mend
    assert results["MPI"].found == "not tried: it needs lmp"
    assert plugin.lmp_executable is doctor_lammps.lmp_executable


@pytest.mark.parametrize(
    ("value", "status", "found"),
    [
        ("1", "ok", "1 a rank"),
        ("1,4", "ok", "1 a rank"),
        ("100000", "warning", "OMP_NUM_THREADS=100000, but only"),
        ("many", "warning", "found 'many'"),
        ("0", "warning", "found '0'"),
    ],
)
def test_openmp(monkeypatch, value, status, found):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    result = check("OpenMP threads")["OpenMP threads"]
    assert result.status == status
    assert found in result.found


def test_too_many_atoms_for_the_memory():
    result = warning("memory", n_atoms=10**9)
    assert "1,000,000,000 atoms" in result.found
    assert "fewer atoms" in result.mend


def test_memory_is_what_the_kernel_says():
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0.01 * total < doctor_machine.free_memory_bytes() < total


#: MB of 2^20 bytes: what lmp took, see the comment in doctor_machine.
MEASURED = {
    ("mace", "32x0e, r 5 Å", 1024): 1226,
    ("mace", "128x0e, r 6 Å", 1024): 3423,
    ("mace", "32x0e, r 5 Å", 128): 344,
    ("mace/native", "32x0e, r 5 Å", 65536): 230,
    ("mace/native", "128x0e, r 6 Å", 65536): 226,
    ("mace/native", "128x0e, r 6 Å", 1024): 45,
}


@pytest.mark.parametrize(("style", "model", "n_atoms"), MEASURED, ids=str)
def test_forecast_covers_what_was_measured(style, model, n_atoms):
    need = doctor_machine.APPETITES[style].needs(n_atoms)[model]
    measured = MEASURED[style, model, n_atoms] * 2**20
    assert measured <= need <= 1.6 * measured


@pytest.mark.parametrize(
    ("free", "verdict"),
    [
        (10e9, "3.6 GB (128x0e, r 6 Å)"),
        (2e9, "too little for the larger model in pair_style mace"),
        (1e9, "too little for pair_style mace, take mace/native"),
    ],
)
def test_what_fits(monkeypatch, free, verdict):
    monkeypatch.setattr(doctor_machine, "free_memory_bytes", lambda: free)
    result = check("memory", n_atoms=1000)["memory"]
    assert result.status == "ok"
    assert result.found.endswith(verdict)


def test_room_without_a_number_of_atoms(monkeypatch):
    monkeypatch.setattr(doctor_machine, "free_memory_bytes", lambda: 3.6e9)
    found = check("memory")["memory"].found
    assert "pair_style mace: 2,900 (32x0e, r 5 Å), 1,000 (128x0e, r 6 Å)" in found
    assert "pair_style mace/native: 1,100,000 (32x0e" in found


@pytest.mark.parametrize(("free", "status"), [(1e6, "failure"), (5e8, "warning"), (2e9, "ok")])
def test_disk_of_the_cache(empty_cache, monkeypatch, free, status):
    usage = type(shutil.disk_usage("/"))(1e12, 1e12 - free, free)
    monkeypatch.setattr(doctor_machine.shutil, "disk_usage", lambda _path: usage)
    assert check("cache folder")["cache folder"].status == status


def test_a_cache_that_is_a_file(tmp_path, monkeypatch):
    (tmp_path / "cache").touch()
    monkeypatch.setenv("MOALLOY_CACHE", str(tmp_path / "cache"))
    assert "MOALLOY_CACHE" in failure("cache folder").mend


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (ZeroDivisionError("oh"), "the check itself failed: ZeroDivisionError: oh"),
        (MoAlloyError("expected a, found b"), "expected a, found b"),
        (MoAlloyError("lmp failed\none\ntwo\nERROR: three\nfour"), "lmp failed ERROR: three"),
    ],
    ids=["crash", "sentence", "long"],
)
def test_a_check_that_raises_is_a_failure_of_that_check(error, found):
    def run():
        raise error

    checks = [Check("bad", run, "mend it"), Check("good", lambda: "fine", "")]
    diagnosis = diagnose(checks=checks)
    assert [c.status for c in diagnosis.checks] == ["failure", "ok"]
    assert diagnosis.checks[0].found == found
    assert diagnosis.checks[0].mend == "mend it"
    assert not diagnosis.healthy


def test_every_check_says_how_to_mend_and_needs_only_earlier_ones():
    seen = set()
    for one in all_checks():
        assert one.mend
        assert set(one.needs) <= seen
        seen.add(one.name)
