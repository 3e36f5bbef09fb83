"""The site to read: `make site`, without network.

build    writes what Sphinx reads, lets it make the pages, and looks through them
pages    copies of the executed notebooks and of the documents, and lists made from them
text     anchors for equations and exercises, and links to them
api      the pages of the library, from its docstrings
check    links that lead nowhere, loads from other hosts, and the site's weight
"""
