"""One browser for all tests of reports."""

from collections.abc import Iterator

import pytest

from browser import Browser, browsing, chromium


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A real Chromium; without one the test is skipped."""
    if chromium() is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with browsing(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened
