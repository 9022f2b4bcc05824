"""Configuration of Sphinx: https://www.sphinx-doc.org/en/master/usage/configuration.html"""
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from docstrings import as_rst, parse  # noqa: E402

project, author, html_title = "rnnref", "the rnnref authors", "rnnref"
extensions = ["sphinx.ext.autodoc", "myst_nb", "sphinx-mathjax-offline"]
source_suffix = {".rst": "restructuredtext", ".ipynb": "myst-nb", ".md": "myst-nb"}
myst_enable_extensions = ["dollarmath", "amsmath", "html_image"]
myst_heading_anchors = 3
nb_execution_mode = "off"                         # what is stored is what the tests hold the notebooks to
html_theme = "furo"
html_theme_options = {"light_css_variables": {"font-stack": "system-ui, sans-serif"}}
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_favicon = str(HERE / "static" / "icon.svg")
html_show_sphinx, html_copy_source, html_show_copyright = False, False, False
autodoc_member_order, autodoc_typehints, add_module_names = "bysource", "signature", False
autodoc_default_options = {"members": True}
python_maximum_signature_line_length = 80
suppress_warnings = ["myst.xref_missing", "autodoc.import_object", "mystnb.unknown_mime_type", "myst.header",
                     "ref.python"]           # State of several rules has one name


def setup(app):
    def process(app, what, name, obj, options, lines):
        lines[:] = as_rst(parse("\n".join(lines)))
    app.connect("autodoc-process-docstring", process)
