"""Every mixer on the shelf keeps every promise."""

from collections.abc import Callable

import zoo
from zoo.testing import conformance


@conformance(*zoo.load().mixers.values())
def test_mixer(check: Callable[[], None]) -> None:
    check()
