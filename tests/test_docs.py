"""The documentation says what the code does."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import yaml
from ase.build import bulk
from support.frames import write_dump

from moalloy_md.analysis.trajectory import Trajectory
from moalloy_md.cli.app import app
from moalloy_md.config import load_config, validate
from moalloy_md.potentials.train_config import TrainConfig
from moalloy_md.structures.polycrystal import PolycrystalConfig
from moalloy_md.workflows.analyze.workflow import TOPICS
from moalloy_md.workflows.interaction.config import InteractionConfig
from moalloy_md.workflows.segregation.config import SegregationConfig
from moalloy_md.workflows.sro.config import SroConfig
from moalloy_md.workflows.study.config import StudyConfig
from moalloy_md.workflows.thermal.config import ThermalConfig

TOP = Path(__file__).parent.parent
PAGES = [
    TOP / "README.md",
    TOP / "CONTRIBUTING.md",
    TOP / "lammps_inputs" / "README.md",
    *sorted((TOP / "docs").rglob("*.md")),
    *sorted((TOP / "examples").glob("*/README.md")),
]
PAGES = [page for page in PAGES if "_build" not in page.parts]


def test_option_tables_are_up_to_date():
    path = TOP / "docs" / "generate_options.py"
    spec = importlib.util.spec_from_file_location("generate_options", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text() == module.page(), "run: python docs/generate_options.py"


def blocks(page):
    text = (TOP / page).read_text()
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


def test_example_configurations_are_valid():
    trainings = [validate(b, TrainConfig, source="docs/train.md") for b in blocks("docs/train.md")]
    assert [config.start.kind for config in trainings] == ["scratch", "fine-tune", "refine"]
    assert trainings[0].start.model.channels == 32
    studies = [validate(b, StudyConfig, source="docs/study.md") for b in blocks("docs/study.md")]
    assert len(studies) == 2
    found = blocks("docs/simulate.md")
    thermals = [validate(b, ThermalConfig, source="docs/simulate.md") for b in found]
    assert [config.host for config in thermals] == ["Mo", "Mo", "Mo", "W"]
    for name in ("thermal.yaml", "short.yaml"):
        load_config(TOP / "examples" / "04_thermal" / name, ThermalConfig)
    (order,) = (validate(b, SroConfig, source="docs/sro.md") for b in blocks("docs/sro.md"))
    assert order.temperatures_k == (800, 1200)
    for name in ("sro.yaml", "short.yaml"):
        load_config(TOP / "examples" / "06_short_range_order" / name, SroConfig)
    for block in blocks("docs/interaction.md"):
        validate(block, InteractionConfig, source="docs/interaction.md")
    for path in (TOP / "examples" / "05_interaction").glob("*.yaml"):
        load_config(path, InteractionConfig)
    for block in blocks("docs/segregation.md"):
        validate(block, SegregationConfig, source="docs/segregation.md")
    for path in (TOP / "examples" / "07_segregation").glob("*.yaml"):
        load_config(path, SegregationConfig)
    for block in blocks("docs/structures.md"):
        assert validate(block, PolycrystalConfig, source="docs/structures.md").n_grains == 2
    hot, ordered = blocks("docs/analyses/README.md")
    validate(hot, ThermalConfig, source="docs/analyses/README.md")
    validate(ordered, SroConfig, source="docs/analyses/README.md")
    example = TOP / "examples" / "02_study" / "study.yaml"
    assert load_config(example, StudyConfig).data == "bundled"


def test_tests_that_the_table_of_pains_names_exist():
    rows = re.findall(
        r"^\| (\d+) \|.*\| (.*) \|$", (TOP / "docs" / "pains.md").read_text(), re.MULTILINE
    )
    assert [int(number) for number, _ in rows] == [*range(1, 27)]
    for number, cell in rows:
        file = None
        for name in re.findall(r"`([^`]+)`", cell):
            if "::" in name:
                path, name = name.split("::")  # noqa: PLW2901  a name alone is in the file before it
                file = (TOP / path).read_text()
            assert f"def {name}(" in file, f"row {number}: {name}"


def test_each_analysis_has_a_page():
    """With command, equation, what the error is, and a picture that is no burden to clone."""
    folder = TOP / "docs" / "analyses"
    for topic in (*TOPICS, "compare"):
        text = (folder / f"{topic}.md").read_text()
        assert f"    moalloy analyze {topic} " in text, topic
        assert "$$" in text, topic
        assert "**Error:**" in text, topic
        assert f"]({topic}.png)" in text, topic
        assert 1000 < (folder / f"{topic}.png").stat().st_size < 120_000, topic


@pytest.mark.parametrize("topic", TOPICS)
def test_columns_of_an_analysis_are_on_its_page(topic, tmp_path):
    alloy = bulk("V", a=3.03, cubic=True) * 4
    alloy.symbols[:9] = "Fe"
    file = write_dump(alloy, tmp_path / "frame.dump")
    settings, measure = TOPICS[topic]
    chosen = {"reference": file} if topic == "defects" else {}
    chosen |= {"timestep_ps": 0.001} if topic == "msd" else {}
    made = measure(n_frames=30, settings=settings(**chosen))
    row = made.see(next(Trajectory([file]).frames()))
    page = (TOP / "docs" / "analyses" / f"{topic}.md").read_text()
    for name in row:  # one element, pair, shell or size stands for all
        stem = re.sub(r"(_(V|Fe)(-(V|Fe))?)?(_\d)?$", "", name)
        assert f"`{stem}" in page, name


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def command_lines(page):
    """Lines of code that call moalloy, as words; what continues on the next line is joined."""
    text = re.sub(r"\\\n\s*", " ", page.read_text())
    for line in text.splitlines():
        found = re.match(r"(?:    |)(?:\S+=\S+ )*moalloy ([a-z].*)$", line)
        for call in found[1].split(" && moalloy ") if found else ():
            yield shlex.split(call, comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(TOP)))
def test_commands_in_the_pages_exist(page):
    """With every option that a page gives them."""
    for words in command_lines(page):
        command, call = typer.main.get_command(app), " ".join(words)
        while hasattr(command, "commands"):
            name = words.pop(0)
            assert name in command.commands, f"moalloy {call}: no {name}"
            command = command.commands[name]
        known = {option for parameter in command.params for option in parameter.opts}
        for word in words:
            if word.startswith("--"):
                option = word.split("=")[0]
                assert option in known | {"--help"}, f"moalloy {call}: no {option}"


def test_pages_are_built_without_a_warning(tmp_path):
    """A page that no other leads to, a link into nothing, a docstring that is no reST."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", str(TOP / "docs")]
    done = subprocess.run(
        [*command, "-b", "html", str(TOP), str(tmp_path / "html")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "html" / "docs" / "equations.html").read_text()
    assert "estimate_mean" in page
