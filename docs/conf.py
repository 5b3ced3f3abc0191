"""Sphinx's settings. `make docs` builds the site; it loads nothing from elsewhere."""

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
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing"]
nitpicky = False

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}

html_theme = "furo"
html_title = "mmdet_ltnorm"
html_static_path = ["_static"]
html_css_files = ["ltnorm.css"]
html_math_renderer = "mathml"
exclude_patterns = ["_build"]


def inline_math(writer: HTML5Translator, node) -> None:
    """Write a formula within a line as MathML, which browsers draw themselves."""
    writer.body.append(tex2mathml(node.astext(), as_block=False))
    raise_skip()


def display_math(writer: HTML5Translator, node) -> None:
    """Write a displayed formula as MathML."""
    writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise_skip()


def raise_skip() -> None:
    """Tell docutils that the node is done."""
    from docutils.nodes import SkipNode

    raise SkipNode


def setup(app: Sphinx) -> None:
    """Register the renderer: MathJax, Sphinx's own, would be loaded from the network."""
    app.add_html_math_renderer("mathml", (inline_math, None), (display_math, None))
