"""Studies: what of their settings may change once runs were begun, and what they are not done again for."""

import json
import shutil

import pytest
from ase.io import read, write
from rich.console import Console
from support.studies import changed_study, files_below

from moalloy_md.errors import RunDirectoryError
from moalloy_md.workflows.study.workflow import run_study

QUIET = Console(quiet=True)


def test_another_dataset_needs_another_folder(tiny, tmp_path):
    images = read(tiny.folder / "data.extxyz", ":")
    write(tmp_path / "less.extxyz", images[1:])
    text = (tiny.folder / "study.yaml").read_text()
    text = text.replace(str(tiny.folder / "data.extxyz"), str(tmp_path / "less.extxyz"))
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(RunDirectoryError, match="data_sha256"):
        run_study(tmp_path / "study.yaml", out=tiny.out, console=QUIET)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["paradigms"]["tuned"]["optimisation"].update(max_epochs=2),
            r"tuned\.optimisation\.max_epochs was 1 and is now 2, after iid/00/tuned/good and 1 more",
        ),
        (
            lambda c: c["paradigms"]["tuned"].update(start={"e0s": "average"}),
            r"paradigms\.tuned\.start\.e0s was not given and is now 'average'",
        ),
        (
            lambda c: c["paradigms"].update(
                first={"kind": "fine-tune"}, tuned=c["paradigms"].pop("tuned")
            ),
            r"paradigms\.refined\.refines was 'tuned' and is now 'first'",
        ),
        (
            lambda c: c["sizes"]["good"].update(foundation="base-small"),
            r"sizes\.good\.foundation was '.*' and is now 'base-small', after iid/00/",
        ),
        (
            lambda c: c["protocols"]["iid"].update(seed=5),
            r"protocols\.iid\.seed was 0 and is now 5",
        ),
    ],
)
@pytest.mark.parametrize("recorded", [True, False])
def test_settings_of_runs_that_were_begun_do_not_change(tiny, tmp_path, change, message, recorded):
    """Otherwise the report would show the new ones beside the old numbers."""
    out = tmp_path / "out"
    shutil.copytree(tiny.out, out)
    if not recorded:  # as versions before this test left it
        for path in (out / "runs").rglob("manifest.json"):
            content = json.loads(path.read_text())
            content.pop("settings", None)
            path.write_text(json.dumps(content))
    before = files_below(out)
    with pytest.raises(RunDirectoryError, match=message):
        run_study(changed_study(tiny, tmp_path, change), out=out, console=QUIET)
    assert files_below(out) == before


@pytest.mark.parametrize(("committee", "message"), [(None, None), (3, "committee was not given")])
def test_settings_that_are_newer_than_a_run_had_their_defaults(tiny, tmp_path, committee, message):
    """An upgrade must not end a study of weeks, nor let a new setting in under old numbers."""
    out = tmp_path / "out"
    shutil.copytree(tiny.out, out)
    for path in (out / "runs").rglob("manifest.json"):
        content = json.loads(path.read_text())
        if "settings" in content:
            del content["settings"]["paradigms"]["committee"]
            path.write_text(json.dumps(content))
    file = changed_study(
        tiny, tmp_path, lambda c: c["paradigms"]["tuned"].update(committee=committee)
    )
    if message is None:
        found = run_study(file, out=out, only="iid/00/tuned/good", console=QUIET)
        assert found.done == ("iid/00/tuned/good",)
    else:
        with pytest.raises(RunDirectoryError, match=message):
            run_study(file, out=out, console=QUIET)


def test_a_setting_does_not_change_by_taking_a_paradigm_out_and_in_again(tiny, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(tiny.out, out)

    def without(content):
        del content["paradigms"]["tuned"], content["paradigms"]["refined"]

    only = "iid/00/zero-shot/good"
    run_study(changed_study(tiny, tmp_path, without), out=out, only=only, console=QUIET)
    file = changed_study(
        tiny, tmp_path, lambda c: c["paradigms"]["tuned"]["optimisation"].update(batch_size=3)
    )
    with pytest.raises(RunDirectoryError, match=r"tuned\.optimisation\.batch_size was 2"):
        run_study(file, out=out, console=QUIET)


def test_studies_grow_and_what_failed_before_it_began_may_change(tiny, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(tiny.out, out)

    def more(content):
        content["paradigms"]["longer"] = {"kind": "fine-tune", "optimisation": {"max_epochs": 2}}
        content["sizes"]["late"]["foundation"] = "somewhere/else.model"  # its runs failed
        content["protocols"]["iid"] |= {"repeats": 2, "train_fractions": [0.6, 1.0]}
        content["protocols"]["strict"] = {"protocol": "lodo-strict", "held_out": ["Al"]}
        content["slurm"] = {"partition": "gpu"}

    only = "iid/01/zero-shot/good"
    found = run_study(changed_study(tiny, tmp_path, more), out=out, only=only, console=QUIET)
    assert found.done == (only,)
