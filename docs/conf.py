"""Sphinx's settings. `make docs` builds the site; it loads nothing from elsewhere."""

import posixpath
import re
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

import mmdet_ltnorm

project = "mmdet_ltnorm"
author = "the mmdet_ltnorm authors"
version = release = mmdet_ltnorm.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # the docstrings' Args and Raises
    "sphinx_copybutton",
]
myst_enable_extensions = ["attrs_inline", "colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}

html_theme = "furo"
html_title = "mmdet_ltnorm"
html_static_path = ["_static"]
html_css_files = ["ltnorm.css"]
html_math_renderer = "mathml"
exclude_patterns = ["_build"]
suppress_warnings = ["myst.xref_missing"]  # tests/test_pages.py follows every link
# Pages that stand elsewhere in the repository, and that a page here includes.
INCLUDED = {"README.md": "index.md", "tools/README.md": "tools.md"}
INCLUDED |= {"CONTRIBUTING.md": "contributing.md"}
INCLUDED |= {"configs/README.md": "configs.md", "configs/lvis/README.md": "lvis.md"}
LINK = re.compile(r"(?<=\])\((?!#|[a-z]+:)([^)\s]+)\)")  # of a path

# Of brackets and sums: docutils knows few of these commands, and browsers choose well.
SIZES = re.compile(r"\\([Bb]ig[glr]*|textstyle)(?![A-Za-z])")


def mathml(tex: str, as_block: bool) -> str:
    """Turn a formula into MathML, which browsers draw themselves."""
    return tex2mathml(SIZES.sub("", tex), as_block=as_block)


def inline_math(writer: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    writer.body.append(mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def display_math(writer: HTML5Translator, node: nodes.math_block) -> None:
    """Write a displayed formula."""
    writer.body.append(f'<div class="math">{mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def moved(text: str, folder: str) -> str:
    """Return the text of a page in a folder of the repository with its links as docs/ has them."""

    def link(match: re.Match) -> str:
        path, hash_, anchor = match[1].partition("#")
        there = posixpath.normpath(posixpath.join(folder, path))
        return f"({INCLUDED.get(there) or posixpath.relpath(there, 'docs')}{hash_}{anchor})"

    return LINK.sub(link, text)


def read_source(app: Sphinx, name: str, text: list[str]) -> None:
    """Lead links to a page that the site includes to the page of the site."""
    text[0] = moved(text[0], "docs")


def read_included(app: Sphinx, path: Path, name: str, text: list[str]) -> None:
    """Make the links of a page of another folder lead to where they lead there."""
    text[0] = moved(text[0], posixpath.normpath(posixpath.join("docs", path.parent.as_posix())))


def setup(app: Sphinx) -> None:
    """Register the renderer: MathJax, Sphinx's own, would be loaded from the network."""
    app.connect("source-read", read_source)
    app.connect("include-read", read_included)
    app.add_html_math_renderer("mathml", (inline_math, None), (display_math, None))
