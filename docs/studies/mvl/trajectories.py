"""Hold out whole trajectories of Mo_AIMD: write a folder for each with train, valid, test and train.yaml.

moalloy dataset import mvl_monbtaw/Mo_AIMD.json mvl_monbtaw/Mo_Elastic.json --out aimd.extxyz
python trajectories.py aimd.extxyz splits
moalloy train splits/3000K/train.yaml --out 3000K
moalloy evaluate --model 3000K/model.model --data splits/3000K/test.extxyz --train splits/3000K/train.extxyz --out 3000K-errors

Every tenth frame of what is left validates.
"""

import sys
from pathlib import Path

from moalloy_md.datasets.frames import read_dataset, write_dataset

SETTINGS = """\
train: {folder}/train.extxyz
valid: {folder}/valid.extxyz
start: {{kind: fine-tune, foundation: base-small}}
device: cpu
optimisation: {{max_epochs: 12, batch_size: 4, learning_rate: 0.005, energy_weight: 200}}
"""

if __name__ == "__main__":
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    frames = read_dataset(data)
    for group in sorted({frame.group for frame in frames if "Md" in frame.group}):
        folder = out / group.removeprefix("Mo_AIMD-Md").strip("-_")
        folder.mkdir(parents=True, exist_ok=True)
        rest = [frame for frame in frames if frame.group != group]
        write_dataset(folder / "test.extxyz", [frame for frame in frames if frame.group == group])
        write_dataset(folder / "valid.extxyz", rest[::10])
        write_dataset(
            folder / "train.extxyz", [frame for k, frame in enumerate(rest) if k % 10 != 0]
        )
        (folder / "train.yaml").write_text(SETTINGS.format(folder=folder))
