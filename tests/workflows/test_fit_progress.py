"""How a training is shown: what of the trainer's results becomes progress, and how it is drawn."""

import json
import re
from io import StringIO

import pytest
from rich.console import Console

from moalloy_md.potentials.training_progress import TrainingProgress, Validation, follow
from moalloy_md.workflows.training_bar import training_bar


class Process:
    """A trainer that has ended."""

    @staticmethod
    def poll():
        return 0


def step(epoch, loss):
    return {"loss": loss, "time": 0.1, "mode": "opt", "epoch": epoch}


def validated(epoch, loss, head="Default"):
    errors = {"mae_e_per_atom": 0.002 * loss, "mae_f": 0.05 * loss}
    return {"loss": loss, **errors, "mode": "eval", "epoch": epoch, "head": head}


def test_epochs_tick_by_training_between_rare_validations(tmp_path):
    """Epochs 0 and 3 and the last one, 4, are validated; two steps each."""
    lines = [validated(None, 9.0)]
    for epoch in range(5):
        lines += [step(epoch, 1.0 + epoch), step(epoch, 2.0 + epoch)]
        if epoch in {0, 3, 4}:
            lines += [validated(epoch, 7.0, head="pt_head"), validated(epoch, 1.0 / (epoch + 1))]
    path = tmp_path / "results.txt"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"loss": 1.0, "mo')
    # what a killed run left is not told again; here nothing is
    assert list(follow(Process, path, 5)) == []
    text = path.read_text()
    path.unlink()

    class Writes(Process):
        def poll(self):
            path.write_text(text)
            return 0

    seen = list(follow(Writes(), path, 5))
    assert [p.epoch for p in seen] == [1, 2, 3, 4, 5]
    assert [p.training_loss for p in seen] == [1.5, 2.5, 3.5, 4.5, 5.5]
    assert [p.validation.epoch for p in seen] == [1, 1, 1, 4, 5]
    assert [p.validation.loss for p in seen] == [1.0, 1.0, 1.0, 0.25, 0.2]
    assert seen[-1].validation.force_mae_mev_per_angstrom == pytest.approx(10)
    assert all(p.n_epochs == 5 for p in seen)


def test_time_left_is_that_of_all_models():
    def left(epoch, model, n_models):
        return TrainingProgress(
            epoch=epoch, n_epochs=10, training_loss=None, validation=None, seconds_per_epoch=2.0,
            model=model, n_models=n_models,
        ).seconds_left  # fmt: skip

    assert left(4, 1, 1) == 12
    assert left(4, 2, 4) == 12 + 2 * 20
    assert left(10, 4, 4) == 0


def progress(epoch, *, pace=13.0, n_epochs=9, validated_at=None, **more):
    validation = Validation(
        epoch=validated_at or epoch, loss=0.1234, energy_mae_mev_per_atom=5.67,
        force_mae_mev_per_angstrom=1043.21,
    )  # fmt: skip
    return TrainingProgress(
        epoch=epoch, n_epochs=n_epochs, training_loss=0.0987, validation=validation,
        seconds_per_epoch=pace, **more,
    )  # fmt: skip


def test_without_a_terminal_a_few_lines():
    text = StringIO()
    with training_bar(Console(file=text, width=200)) as watch:
        for epoch in range(1, 10):
            watch(progress(epoch))
    lines = text.getvalue().splitlines()
    assert len(lines) == 2  # the first and the last: 30 s lie between others
    assert lines[0] == (
        "epoch 1 of 9: loss 0.0987, validation loss 0.123, E 5.7 meV/atom, F 1043.2 meV/Å, "
        "0:01:44 left"
    )
    assert lines[1].startswith("epoch 9 of 9")


@pytest.mark.parametrize("width", [80, 160])
def test_on_a_terminal_a_bar_with_nothing_cut(width):
    """The longest that there will be: a committee, four digits, hours left."""
    text = StringIO()
    screen = Console(file=text, width=width, force_terminal=True, color_system=None)
    with training_bar(screen) as watch:
        watch(progress(1234, n_epochs=2000, validated_at=1230, model=2, n_models=4, pace=3.0))
    lines = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", text.getvalue()).splitlines()
    bar = next(line for line in lines if "model 2 of 4, epoch 1234 of 2000" in line)
    assert "━" * 5 in bar
    assert "0:00:00" in bar
    assert bar.rstrip().endswith("3:58:18 left for all")
    state = next(line for line in lines if "validation loss" in line)
    assert state.split(",") == [
        "loss 0.0987", " validation loss (epoch 1230) 0.123", " E 5.7 meV/atom",
        " F 1043.2 meV/Å",
    ]  # fmt: skip
    assert max(map(len, (bar, state))) <= width
    assert "…" not in text.getvalue()


def test_time_left_is_unknown_at_first():
    text = StringIO()
    with training_bar(Console(file=text, width=80, force_terminal=True)) as watch:
        watch(progress(1, pace=None))
    assert "time left unknown" in text.getvalue()
