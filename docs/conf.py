"""Sphinx's settings for the pages under docs/: `make docs` builds docs/_build/html.

The source folder is the top of the clone, so that pages and the READMEs of examples link to one another as they do
on a forge.
"""

from importlib.metadata import version as installed
from typing import TYPE_CHECKING

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

if TYPE_CHECKING:
    from docutils.nodes import Element
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

project = "moalloy_md"
author = "The moalloy_md founders"
project_copyright = "The moalloy_md founders, GPL-2.0-or-later"
version = release = installed("moalloy_md")

extensions = [
    "myst_parser",  # the pages are Markdown
    "sphinx.ext.autodoc",  # reference pages from docstrings
    "sphinx.ext.napoleon",  # in NumPy's style
]
root_doc = "docs/index"
include_patterns = [
    "docs/**",
    "examples/*/README.md",
    "lammps_inputs/README.md",
    "benchmarks/README.md",
    "pretraining/README.md",
    "moalloy_md/data/dft_mo_dopants/README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
]
exclude_patterns = ["docs/_build"]

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # NumPy's docstrings name shapes and units, which say more
autodoc_member_order = "bysource"
napoleon_numpy_docstring = True
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = "moalloy_md"
html_math_renderer = "mathml"


def inline_equation(page: "HTML5Translator", node: "Element") -> None:
    """Write an equation within a line."""
    page.body.append(convert(node.astext(), display="inline"))
    raise SkipNode


def equation(page: "HTML5Translator", node: "Element") -> None:
    """Write an equation that stands alone."""
    style = "overflow-x: auto; padding: 0.5em 0"  # the padding holds what glyphs stick out, or a scroll bar comes
    page.body.append(f'<div style="{style}">{convert(node.astext(), display="block")}</div>')
    raise SkipNode


def setup(app: "Sphinx") -> None:
    """Make equations MathML, which browsers draw themselves: a page on a cluster reaches no MathJax in the net."""
    app.add_html_math_renderer("mathml", (inline_equation, None), (equation, None))
