"""Studies of tiny trainings: their files, changed."""

import yaml


def changed_study(tiny, folder, change):
    """Write the study's file with a change into another folder."""
    content = yaml.safe_load((tiny.folder / "study.yaml").read_text())
    change(content)
    (folder / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    return folder / "study.yaml"


def files_below(folder):
    """Content of the files that say what was done; locks apart."""
    return {path: path.read_bytes() for path in folder.rglob("*.json")}
