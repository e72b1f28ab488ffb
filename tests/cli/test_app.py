"""The command line as a user meets it: help, version, one sentence for an error."""

import os
import resource
import subprocess
import sys

import pytest
from support.models import random_model, save_model

from moalloy_md.datasets.bundled import bundled_path, load_bundled
from moalloy_md.datasets.frames import write_dataset

VERBS = [
    [],
    ["doctor"],
    ["quickstart"],
    ["train"],
    ["evaluate"],
    ["export"],
    ["dataset"],
    ["dataset", "split"],
    ["plugin"],
    ["simulate"],
    ["simulate", "thermal"],
    ["plugin", "build"],
]


def moalloy(*arguments, cwd=None, largest_file=None):
    def limit():
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    return subprocess.run(
        [sys.executable, "-m", "moalloy_md.cli.app", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100", "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=limit,
    )


@pytest.mark.parametrize("verb", VERBS, ids=lambda v: "-".join(v) or "moalloy")
def test_every_verb_explains_itself(verb):
    answer = moalloy(*verb, "--help")
    assert answer.returncode == 0
    assert "Usage" in answer.stdout
    assert answer.stderr == ""


def test_version():
    assert moalloy("--version").stdout.startswith("moalloy_md ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("export", "no.model", "--out", "b"), "no.model: cannot be read"),
        (("export", "no.model", "--out", "b", "--elements", "Moo"), "found 'Moo'"),
        (("export", "no.model", "--out", "b", "--elements", ","), "expected symbols such as Mo,W"),
        (("train", "no.yaml", "--out", "r"), "no.yaml: cannot be read"),
        (("quickstart", "--config", "no.yaml"), "no.yaml: cannot be read"),
        (
            ("simulate", "thermal", "--out", "t", "--bundle", "no"),
            "no: expected a bundle, found noth",
        ),
        (
            ("structures", "dilute", "--out", "d", "--dopants", "W", "--a0-angstrom", "-3"),
            "--a0-angstrom: expected a number above 1, found -3",
        ),
        (("structures", "dilute", "--out", "/proc/d", "--dopants", "W", "--repeat", "2"), "/proc"),
        (("evaluate", "--model", "m", "--data", "d"), "--out: expected a value, found none"),
        (("evaluate", "--model", "m", "--data", "no.extxyz", "--out", "e"), "no.extxyz"),
        (
            ("dataset", "split", "no.extxyz", "--protocol", "iid", "--out", "s"),
            "no.extxyz",
        ),
    ],
    ids=lambda a: a[0] if isinstance(a, tuple) else "",
)
def test_an_error_is_a_sentence_and_leaves_nothing(tmp_path, arguments, sentence):
    answer = moalloy(*arguments, cwd=tmp_path)
    assert answer.returncode == 1
    assert answer.stderr.lstrip().startswith("error: ")
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr + answer.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A .model file of mace-torch with random weights."""
    path = tmp_path_factory.mktemp("model") / "tiny.model"
    save_model(random_model(elements=("Mo", "W"), hidden="8x0e"), path)
    return path


ENERGY, FORCES = "REF_energy=-20", "REF_forces:R:3"
TRAIN = "train: {data}\nvalid: {data}\n"


@pytest.mark.parametrize(
    ("old", "new", "arguments", "sentence"),
    [
        (ENERGY, "", "dataset split {data} --protocol iid --out out", "expected REF_energy"),
        (" 0 0 0.1", " 0 0 nan", "train train.yaml --out out", "expected a finite REF_forces"),
        (FORCES, "f:R:3", "dataset split {data} --protocol iid --out out", "expected the columns"),
        ("W ", "Re ", "evaluate --model {model} --data {data} --out out", "Re"),
        ("", "", "evaluate --model {model} --data {data} --out out --head x", "expected head"),
        ("", "", "export {torchscript} --out out", "found TorchScript: a model that is exported"),
    ],
    ids=["no-energy", "nan-force", "no-forces", "element", "head", "torchscript"],
)
def test_bad_files_are_a_sentence_and_leave_nothing(
    tmp_path, model, scripted, old, new, arguments, sentence
):
    data = tmp_path / "data.extxyz"
    frame = (
        f'2\nLattice="3.1 0 0 0 3.2 0 0 0 3.3" Properties=species:S:1:pos:R:3:{FORCES} {ENERGY} '
        "host=Mo group=a state=noneq\nMo 0 0 0 0 0 0.1\nW 1.5 1.6 1.7 0 0 -0.1\n"
    )
    data.write_text(frame.replace(old, new) if old else frame)
    (tmp_path / "train.yaml").write_text(TRAIN.format(data=data))
    # by its content: nothing in its name tells
    exported = tmp_path / "renamed.model"
    exported.write_bytes(scripted(elements=("Mo", "W"), hidden="8x0e")[1].read_bytes())
    before = sorted(tmp_path.iterdir())
    given = arguments.format(model=model, data=data, torchscript=exported)
    answer = moalloy(*given.split(), cwd=tmp_path)
    assert answer.returncode == 1, answer.stdout
    assert answer.stderr.lstrip().startswith("error: ")
    assert sentence in answer.stderr
    assert "Traceback" not in answer.stderr + answer.stdout
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "largest_file"),
    [
        (("dataset", "split", "{data}", "--protocol", "iid", "--out", "out"), 20_000),
        (("evaluate", "--model", "{model}", "--data", "{cells}", "--out", "out"), 1000),
    ],
    ids=lambda a: a[0] if isinstance(a, tuple) else "",
)
def test_no_room_is_a_sentence_and_leaves_nothing(tmp_path, model, arguments, largest_file):
    """As a full disk does, a limit on the size of files breaks a write in its middle."""
    cells = tmp_path / "cells.extxyz"
    write_dataset(cells, [f for f in load_bundled() if set(f.atoms.symbols) <= {"Mo", "W"}][:2])
    given = {"data": bundled_path(), "model": model, "cells": cells}
    answer = moalloy(
        *(str(a).format(**given) for a in arguments), cwd=tmp_path, largest_file=largest_file
    )
    assert answer.returncode == 1, answer.stderr
    assert answer.stderr.lstrip().startswith("error: ")
    assert "room on its disk" in answer.stderr
    assert "Traceback" not in answer.stderr + answer.stdout
    out = tmp_path / "out"
    left = [p for p in out.rglob("*") if p.is_file()] if out.exists() else []
    assert all(p.name in {"manifest.json", "state.json", ".lock"} for p in left), left
    assert [p.name for p in tmp_path.iterdir() if p != out] == ["cells.extxyz"]


def test_plugin_build_explains_without_building():
    answer = moalloy("plugin", "build", "--explain")
    assert answer.returncode == 0
    assert "cmake" in answer.stdout
