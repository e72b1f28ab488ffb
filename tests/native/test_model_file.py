"""The loader of model.safetensors reads every valid file and refuses all others in a sentence."""

import copy
import json
import os
import pickle
import re
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_native_file import is_read, pack, random_file, refusal

SMALL = random_file()
BYTES = SMALL.to_bytes()
HEADER, DATA = SMALL.header_and_data()
DATA_START = len(BYTES) - len(DATA)
NEWER = {"format": "moalloy-mace", "format_version": "2"}

quick = settings(max_examples=300, deadline=None)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Path to write a file to; one for all examples of a property."""
    return tmp_path_factory.mktemp("native") / "model.safetensors"


# --- what is valid

VALID = {
    "default of mace_run_train": {},
    "all that a file can hold": {
        "l_max": 2,
        "density": (True, True),
        "agnesi": True,
        "zbl": True,
        "dtype": "float64",
    },
    "one layer": {"n_layers": 1, "l_hidden": 0},
    "residual twice": {"residual": (True, True), "correlation": 3, "l_max": 2},
    "residual first": {"residual": (True, False)},
    "features beyond the harmonics": {"l_hidden": 2, "correlation": 1},
    "scalars": {"l_hidden": 0, "correlation": 3},
}


@pytest.mark.parametrize("kind", VALID)
def test_valid_file_is_read(kind, file):
    assert is_read(random_file(**VALID[kind]).write(file))


def test_numbers_may_be_written_in_any_way_of_json(file):
    spoilt = SMALL.copy()
    spoilt.model |= {"r_max": 5, "scale": 8e-1, "head": "D\u00e9faut \U0001f600"}
    header, data = spoilt.header_and_data()
    text = json.dumps(dict(reversed(header.items())), indent=3)  # any order, any white space
    file.write_bytes(pack(text + "   \n", data))
    assert is_read(file)


def test_tensors_beyond_four_gigabytes_are_found(file):
    """A sparse file; only an unknown tensor in front, of zeros, makes it large."""
    gap = 5 << 30
    header = copy.deepcopy(HEADER)
    for name in SMALL.tensors:
        header[name]["data_offsets"] = [gap + at for at in header[name]["data_offsets"]]
    header["zeros"] = {"dtype": "F32", "shape": [5, 1 << 28], "data_offsets": [0, gap]}
    with file.open("wb") as stream:
        stream.write(pack(header, b""))
        stream.seek(gap, os.SEEK_CUR)
        stream.write(DATA)
    # zeros are no ascending rows of indices: were they read instead, that would be refused
    assert "only the tensors that the header's model calls for, found 'zeros'" in refusal(file)
    file.unlink()


# --- what is no such file


def zipped(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", b"x")


FOREIGN = {
    "zip": (zipped, r"a zip archive: a .model .* or TorchScript .* 'moalloy export MODEL --out"),
    "pickle": (lambda p: p.write_bytes(pickle.dumps([1, 2])), "a Python pickle.* 'moalloy export"),
    "LFS": (
        lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "a Git LFS pointer.* 'git lfs pull'",
    ),
    "html": (
        lambda p: p.write_text("<html>\n<p>Köln: 404"),
        r"text that begins '<html>'\. A failed",
    ),
    "one letter": (lambda p: p.write_text("x"), "text that begins 'x'"),
    "empty": (lambda p: p.write_bytes(b""), "an empty file.* Copy the file again"),
    "a few bytes": (lambda p: p.write_bytes(BYTES[:8]), "a file of 8 bytes.* Copy"),
    "folder": (lambda p: p.mkdir(), r"a folder\. If it is a bundle"),
    "pipe": (os.mkfifo, "a device or a pipe"),
    "missing": (lambda p: None, r"no such file\. Check the path"),
    "noise": (lambda p: p.write_bytes(bytes(range(256, 0, -2)[1:])), "something else that begins"),
    "other safetensors": (
        lambda p: p.write_bytes(
            pack(
                {
                    "__metadata__": {"format": "pt"},
                    "w": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]},
                },
                b"ab",
            )
        ),
        r"a safetensors file of something else \(format 'pt'\).* 'moalloy export",
    ),
    "no metadata": (lambda p: p.write_bytes(pack({}, b"")), r"something else \(without a format\)"),
    "newer": (
        lambda p: p.write_bytes(pack({"__metadata__": NEWER, "new": {"dtype": "F4"}}, b"")),
        r"expected format_version 1, found '2': a newer one\. Update moalloy_md",
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_foreign_file_is_recognised_by_its_content(kind, tmp_path):
    path = tmp_path / "model.safetensors"
    make, expected = FOREIGN[kind]
    make(path)
    assert re.search(expected, refusal(path), re.DOTALL)


def test_path_is_looked_at_first(tmp_path):
    assert "no such file" in refusal(tmp_path / ("x" * 50 + "/y"))
    assert "cannot be opened (File name too long)" in refusal(tmp_path / ("x" * 300))


# --- damaged containers


@quick
@given(length=st.integers(1, len(BYTES) - 1))
def test_truncated_anywhere(file, length):
    file.write_bytes(BYTES[:length])
    sentence = refusal(file)
    if length > 8:
        assert re.search("the file's end after|bytes of data behind the header", sentence)


@quick
@given(extra=st.binary(min_size=1))
def test_longer_than_its_tensors(file, extra):
    file.write_bytes(BYTES + extra)
    assert f"{len(DATA)} bytes of data behind the header" in refusal(file)


@quick
@given(at=st.integers(0, DATA_START - 1), byte=st.integers(0, 255))
def test_any_byte_of_the_header_may_be_another(file, at, byte):
    """Where another digit or letter still makes a model it is read; no third thing happens."""
    file.write_bytes(BYTES[:at] + bytes([byte]) + BYTES[at + 1 :])
    is_read(file)


@quick
@given(content=st.binary(max_size=400) | st.binary(max_size=400).map(lambda b: pack(b, b"")))
def test_noise(file, content):
    file.write_bytes(content)
    assert refusal(file)


def entry(**changes):
    """Spoil the entry of the tensor `bessel`: 3 doubles, between others."""

    def change(header):
        header["bessel"] |= changes

    return change


BESSEL = HEADER["bessel"]["data_offsets"]
CONTAINERS = {
    "shape overflows": (entry(shape=[2**62, 2**62]), r"less than 2\^64 bytes"),
    "shape overflows to its size": (entry(shape=[2**61 + 3]), r"less than 2\^64 bytes"),
    "shape is huge": (entry(shape=[2**40]), "8796093022208 bytes for tensor 'bessel'"),
    "shape beyond 64 bits": (entry(shape=[2**64]), "shape as integers from 0"),
    "shape is negative": (entry(shape=[-1, -3]), "shape as integers from 0, found -1"),
    "shape is fractional": (entry(shape=[3.0]), "shape as integers from 0, found 3"),
    "unknown dtype": (entry(dtype="F16"), "dtype as F64, F32 or I32, found 'F16'"),
    "extra field": (entry(strides=[8]), "only fields that .* knows, found tensor 'bessel'"),
    "three offsets": (entry(data_offsets=[*BESSEL, 0]), r"data_offsets as \[begin, end\]"),
    "ends before it begins": (entry(data_offsets=BESSEL[::-1]), "an end before the begin"),
    "overlap": (entry(data_offsets=[at - 8 for at in BESSEL]), "at byte .* where the one before"),
    "beyond the end": (
        entry(data_offsets=[at + 2**62 for at in BESSEL]),
        "at byte .* where the one before",
    ),
    "hole": (lambda header: header.pop("bessel"), "at byte .* where the one before"),
    "metadata not text": (
        lambda header: header["__metadata__"].update(model=3),
        "__metadata__.model as text, found 3",
    ),
    "unknown metadata": (
        lambda header: header["__metadata__"].update(note="x"),
        "the metadata format, format_version and model, found 'note'",
    ),
    "version is no number": (
        lambda header: header["__metadata__"].update(format_version="one"),
        "format_version 1, found 'one'",
    ),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_damaged_table_of_tensors(kind, file):
    change, expected = CONTAINERS[kind]
    header = copy.deepcopy(HEADER)
    change(header)
    file.write_bytes(pack(header, DATA))
    assert re.search(expected, refusal(file))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1, "a": 2}', "each key of an object in the header once, found 'a' twice"),
        ('{"a": NaN}', "a JSON value at byte 6 of the header, found 'NaN}'"),
        ('{"a": 1e999}', "a number that a double can hold"),
        ('{"a": 01}', "',' or '}'"),
        ('{"a": "\\ud800"}', "the second half of a surrogate pair"),
        (b'{"a": "\xed\xa0\x80"}', "UTF-8 text"),
        ('{"a": "\t"}', "UTF-8 text"),
        ('{"a": 1} x', "nothing more"),
        ('{"a":' * 100_000, "at most 32 levels of nesting"),
        ('{"a":[' + "0," * 400_000 + "0]}", "at most 300000 values"),
        ("{" + " " * (16 << 20) + "}", "a header of at most 16777216 bytes"),
    ],
    ids=range(11),
)
def test_header_that_is_no_json_of_ours(text, expected, file):
    file.write_bytes(pack(text, b""))
    assert expected in refusal(file)


@pytest.mark.parametrize("length", [0, 1, 2**32 - 1, 2**62, 2**63, 2**64 - 1])
def test_length_of_the_header(length, file):
    file.write_bytes(struct.pack("<Q", length) + BYTES[8:])
    assert refusal(file)
