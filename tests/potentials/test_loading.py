"""Every wrong kind of file is recognised by its content and named."""

import struct
import zipfile

import pytest
import torch
from support.models import random_model, save_ml_iap

from moalloy_md.errors import ModelError
from moalloy_md.potentials.loading import load_model, model_dtype, model_elements, resolve_device
from moalloy_md.potentials.quiet import known_warnings_ignored


@pytest.fixture(scope="module")
def small_model():
    return random_model(
        elements=("Mo", "W"), hidden="4x0e", n_layers=1, max_ell=1, correlation=1, r_max=4.0
    )


@pytest.fixture(scope="module")
def model_file(small_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "oddly.named"
    with known_warnings_ignored():
        torch.save(small_model, path)
    return path


def test_loads_a_pickled_module_under_any_name(model_file, small_model):
    model = load_model(model_file)
    assert model_elements(model) == [42, 74]
    assert model_dtype(model) == "float64"
    assert not model.training
    for name, weights in small_model.state_dict().items():
        assert torch.equal(model.state_dict()[name], weights)


def test_converts_to_the_wanted_dtype(model_file):
    model = load_model(model_file, dtype="float32")
    assert model_dtype(model) == "float32"
    assert model.atomic_energies_fn.atomic_energies.dtype == torch.float32


class Doubler(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def torchscript(path):
    with known_warnings_ignored():
        torch.jit.save(torch.jit.trace(Doubler(), torch.ones(1)), path)


def safetensors(path):
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))


def zipped_text(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")


def torn(path):
    torch.save({"w": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])


def checkpoint(path):
    layer = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(layer.parameters())
    torch.save({"model": layer.state_dict(), "optimizer": optimizer.state_dict()}, path)


def ml_iap(path):
    save_ml_iap(path, torch.nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "cannot be read .* Check the path"),
        (lambda path: path.write_bytes(b""), "found an empty file"),
        (lambda path: path.mkdir(), "found a folder"),
        (lambda path: path.write_text("name: x\n"), "found text that begins 'name: x'"),
        (
            lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
            "run 'git lfs pull'",
        ),
        (torchscript, "found TorchScript: a model that is exported already"),
        (safetensors, "found safetensors"),
        (zipped_text, "found a zip archive of something else"),
        (torn, "found a torn archive"),
        (checkpoint, "found a training checkpoint"),
        (ml_iap, "found a model that mace-torch exported for ML-IAP. Give the .model"),
        (lambda path: torch.save({"w": torch.ones(2)}, path), "found a state dict"),
        (lambda path: torch.save({"a": 1}, path), "found a dict with the keys a"),
        (lambda path: torch.save([1, 2], path), "found a pickled list"),
        (lambda path: torch.save(torch.nn.Linear(1, 1), path), "found a Linear without"),
        (lambda path: path.write_bytes(bytes(range(256)) * 20), "damaged or no PyTorch file"),
    ],
)
def test_other_files_are_named(tmp_path, write, message):
    path = tmp_path / "file.model"
    write(path)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(path)
    assert str(path) in str(caught.value)


def test_pickle_of_an_unknown_program_is_named(tmp_path, model_file):
    broken = tmp_path / "other.model"
    with zipfile.ZipFile(model_file) as source, zipfile.ZipFile(broken, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, content.replace(b"mace.modules.models", b"mace.modules.nodels"))
    with pytest.raises(ModelError, match="another version of mace-torch"):
        load_model(broken)


def test_cuequivariance_that_is_not_here_says_how_to_convert(tmp_path, model_file):
    other = tmp_path / "cueq.model"
    with zipfile.ZipFile(model_file) as source, zipfile.ZipFile(other, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            # a name as long as the one that it stands for: a pickle counts its letters
            target.writestr(name, content.replace(b"mace.modules.models", b"cuequivariance_torc"))
    with pytest.raises(ModelError, match=r"cuequivariance\. Where that is .*convert_cueq_e3nn"):
        load_model(other)


def test_what_can_be_named_is_not_run(tmp_path):
    """TorchScript is recognised before anything in it is unpickled."""
    ran = tmp_path / "ran"

    class Hostile:
        def __reduce__(self):
            return (exec, (f"open({str(ran)!r}, 'w').close()",))

    path = tmp_path / "exported.model"
    torch.save(Hostile(), path)
    torch.load(path, weights_only=False)
    assert ran.exists()  # the file is hostile indeed
    ran.unlink()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("exported/constants.pkl", b"")
    with pytest.raises(ModelError, match="found TorchScript"):
        load_model(path)
    assert not ran.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_asked_for_and_absent():
    assert resolve_device("auto") == "cpu"
    with pytest.raises(ModelError, match="expected a CUDA device, found"):
        resolve_device("cuda")
