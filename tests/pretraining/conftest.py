"""The scripts of pretraining/, which is no package."""

from pathlib import Path

import pytest

PRETRAINING = Path(__file__).parents[2] / "pretraining"


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    """Let tests import them."""
    monkeypatch.syspath_prepend(str(PRETRAINING))
