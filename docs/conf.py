"""Sphinx configuration; warnings are errors (`make docs`)."""

import os
import warnings

import sciml

# The gallery is executed when the pages are built; its examples read this to run at reduced size.
os.environ.setdefault("SCIML_REDUCED", "1")
warnings.filterwarnings("ignore", category=DeprecationWarning)

project = "sciml"
author = "The sciml developers"
copyright = "2026, The sciml developers"
release = version = sciml.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]

exclude_patterns = ["_build", "gallery/*.ipynb", "gallery/*.py.md5", "gallery/*.codeobj.json"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"sciml {version}"
html_static_path = ["_static"]

autosummary_generate = True
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Shapes", "params_style"), "Reference"]

sphinx_gallery_conf = {
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"run_all\.py",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "within_subsection_order": "FileNameSortKey",
}
suppress_warnings = ["config.cache"]
