"""The page of `pixelq report`: everything about a folder's runs in one HTML file that needs nothing else.

`collected.py` reads the runs, `charts.py` makes their curves small, `media.py` finds videos and pictures, `tables.py`
and `sections.py` write HTML, `page.py` puts it together and `writing.py` writes the file.
"""
