"""Sphinx's settings for the pages under docs/: `make docs` builds docs/_build/html.

The source folder is the top of the clone, so that pages and the READMEs of examples link to one another as they do
on a forge.
"""

from importlib.metadata import version as installed

project = "moalloy_md"
author = "The moalloy_md founders"
project_copyright = "The moalloy_md founders, GPL-2.0-or-later"
version = release = installed("moalloy_md")

extensions = [
    "myst_parser",  # the pages are Markdown
    "sphinx.ext.autodoc",  # reference pages from docstrings
    "sphinx.ext.napoleon",  # in NumPy's style
    "sphinx.ext.mathjax",
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
