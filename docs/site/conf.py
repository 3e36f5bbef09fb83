"""Sphinx's settings for the site. `make site` copies this folder to build/, beside the pages that it writes there."""

import re
from pathlib import Path

from docutils import nodes

import course_lib
from course_staff.course import require_launch
from course_staff.site.api import aliases, as_rst

launch = require_launch(Path(__file__).with_name("pyproject.toml"))
project = "Diffusion models as software"
author = "the authors of the course"
copyright = "the authors of the course. Code: MIT. Text and figures: CC BY 4.0"  # noqa: A001
version = release = course_lib.__version__
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
exclude_patterns = ["_build"]
nitpicky = True
# Not every name that a signature or a docstring mentions has a page here; those that have become links.
nitpick_ignore_regex = [("py:.*", ".*")]

# The API: course_staff/site/api.py writes its pages, each of which takes in a module.
autosummary_generate = False
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
autodoc_type_aliases = aliases()
python_use_unqualified_type_names = True
add_module_names = False
html_domain_indices = False

# The notebooks come with their outputs; they are shown as they are, never run.
nb_execution_mode = "off"
nb_ipywidgets_js = {}  # by default fetched from other hosts
myst_enable_extensions = ["attrs_block", "dollarmath"]
myst_heading_anchors = 3

# MathJax from this site. \tag numbers are the course's own; no menu, whose parts would be fetched.
mathjax_path = "mathjax/tex-chtml.js"
mathjax3_config = {"options": {"enableMenu": False}, "tex": {"tags": "none"}}

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_favicon = "_static/favicon.svg"
html_use_index = False
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "use_download_button": False,  # would hand out the folded copy
    "navbar_persistent": [],  # a second search field
    "show_toc_level": 2,
    "logo": {"text": project},
}
if launch.published:  # until then these buttons would lead nowhere
    html_theme_options |= {
        "repository_url": launch.url,
        "repository_branch": launch.release,
        "repository_provider": "github",
        "use_repository_button": True,
        "launch_buttons": {
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
            "notebook_interface": "jupyterlab",
        },
    }


def leave_formulas_alone(app, doctree):
    """Sphinx would wrap formulas of several lines into an environment in which \\tag is an error."""
    for node in doctree.findall(nodes.math_block):
        if "amsmath" not in node["classes"]:
            node.rawsource = rf"\[{node.astext().strip()}\]"
            node["nowrap"] = True
            node.children = [nodes.Text(node.rawsource)]


def keep_punctuation(app, doctree):
    """Browsers would break a line between a formula and the full stop behind it."""
    for node in list(doctree.findall(nodes.math)):
        after = node.next_node(descend=False, siblings=True)
        if isinstance(after, nodes.Text) and (mark := re.match(r"[^\s\w(\[]+", after)):
            parent, place = node.parent, node.parent.index(node)
            held = nodes.inline("", "", classes=["course-nobreak"])
            parent[place : place + 2] = [held, nodes.Text(after[mark.end() :])]
            held += [node, nodes.Text(mark[0])]


def read_docstring(app, what, name, obj, options, lines):
    """Docstrings are prose with code in backticks."""
    lines[:] = as_rst(lines)


def read_signature(app, what, name, obj, options, signature, returned):
    """Two things that Sphinx writes and then cannot read itself: an alias in a union, the default of a field."""
    if signature is None:
        return None
    signature = re.sub(r"TypeAliasForwardRef\('([\w.]+)'\)", r"\1", signature)
    return signature.replace("<factory>", "..."), returned


def setup(app):
    app.connect("autodoc-process-signature", read_signature)
    app.connect("autodoc-process-docstring", read_docstring)
    app.connect("doctree-read", leave_formulas_alone)
    app.connect("doctree-read", keep_punctuation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
