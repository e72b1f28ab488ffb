"""Tiny models that trainings start from."""

import pytest
from support.models import random_model, save_model
from support.trainings import KNOWN, SHAPE


@pytest.fixture(scope="session")
def foundation(tmp_path_factory):
    """A model with random weights that knows more elements than the data have."""
    path = tmp_path_factory.mktemp("foundation") / "foundation.model"
    save_model(random_model(elements=KNOWN, seed=3, **SHAPE), path)
    return path


@pytest.fixture(scope="session")
def two_elements(tmp_path_factory):
    """A model that knows Ni and Cu, as a fine-tuned one would."""
    path = tmp_path_factory.mktemp("fine-tuned") / "model.model"
    save_model(random_model(elements=("Ni", "Cu"), seed=5, **SHAPE), path)
    return path
