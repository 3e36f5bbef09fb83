"""Sphinx's settings for the site. `make site` copies this folder to build/, beside the pages that it writes there."""

import re

from docutils import nodes

import course_lib
from course_staff.site.pages import Settings

settings = Settings.read()
project = "Diffusion models as software"
author = "the authors of the course"
copyright = "the authors of the course. Code: MIT. Text and figures: CC BY 4.0"  # noqa: A001
version = release = course_lib.__version__
language = "en"

extensions = ["myst_nb"]
exclude_patterns = ["_build"]
nitpicky = True

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
    "repository_url": settings.url,
    "repository_branch": settings.release,
    "repository_provider": "github",
    "use_repository_button": True,
    "use_download_button": False,  # would hand out the folded copy
    "launch_buttons": {
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
        "notebook_interface": "jupyterlab",
    },
    "navbar_persistent": [],  # a second search field
    "show_toc_level": 2,
    "logo": {"text": project},
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


def setup(app):
    app.connect("doctree-read", leave_formulas_alone)
    app.connect("doctree-read", keep_punctuation)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
