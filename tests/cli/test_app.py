"""The command line as a user meets it: help, version, one sentence for an error."""

import os
import subprocess
import sys

import pytest

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
    ["plugin", "build"],
]


def moalloy(*arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "moalloy_md.cli.app", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100", "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=False,
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


def test_plugin_build_explains_without_building():
    answer = moalloy("plugin", "build", "--explain")
    assert answer.returncode == 0
    assert "cmake" in answer.stdout
