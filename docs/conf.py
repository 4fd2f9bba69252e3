"""Sphinx: ``sphinx-build -W -b html docs build/docs``; every link between pages that leads nowhere is an error."""

project = "Holdfast"
author = "The Holdfast authors"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = "Holdfast"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
exclude_patterns = ["ci/*"]
suppress_warnings = ["myst.header", "misc.highlighting_failure"]
