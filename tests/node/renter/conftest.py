"""What holds for the renter's tests: time presses only where a test says that it shall."""

import pytest


@pytest.fixture(autouse=True)
def at_leisure(request: pytest.FixtureRequest) -> None:
    """A slow machine changes nobody's choice, unless the test is marked `hurried`: it waits for the slow."""
    if request.node.get_closest_marker("hurried") is None:
        request.getfixturevalue("unhurried")
