"""The live page of `pixelq watch`: a web server that reads run folders and plays their newest policies.

`app.py` answers requests behind `security.py`; `folder_watch.py` reads the runs; each run that somebody looks at is
played in a process of its own (`player_process.py`), so that a game's or a library's crash does not end the page.
"""
