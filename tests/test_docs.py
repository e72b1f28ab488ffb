"""The documentation says what the code does."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from moalloy_md.config import validate
from moalloy_md.potentials.train_config import TrainConfig

TOP = Path(__file__).parent.parent
PAGES = [TOP / "README.md", TOP / "CONTRIBUTING.md", *sorted((TOP / "docs").glob("*.md"))]


def test_option_tables_are_up_to_date():
    path = TOP / "docs" / "generate_options.py"
    spec = importlib.util.spec_from_file_location("generate_options", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text() == module.page(), "run: python docs/generate_options.py"


def test_example_configuration_is_valid():
    text = (TOP / "docs" / "train.md").read_text()
    for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL):
        config = validate(yaml.safe_load(block), TrainConfig, source="docs/train.md")
        assert config.start.model.channels == 32


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
