# SPDX-License-Identifier: GPL-2.0-only
project = "dax_holder"
root_doc = "index"
exclude_patterns = ["ABI"]
html_theme = "alabaster"
html_show_copyright = False
