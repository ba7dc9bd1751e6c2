"""What every test of this checkout shares."""

import os
import re

import pytest
from hypothesis import settings

REQUIREMENT = re.compile(r"(?:OM|OD|BB|CH|BT)-\d{3}|C-\d{2}|F\d{1,2}|I\d{2}")

# The same examples on every machine and in every run: a green run means the same everywhere, and how long one
# example takes says nothing on a busy machine. Searching further is a matter of --hypothesis-profile=default.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")

# A setting of the person who runs the tests must not change what they prove.
for _name in [name for name in os.environ if name.startswith("OMS__")]:
    del os.environ[_name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a requirement marker whose id cannot exist."""
    for item in items:
        for marker in item.iter_markers("req"):
            wrong = [text for text in marker.args if not REQUIREMENT.fullmatch(str(text))]
            if wrong or not marker.args:
                raise pytest.UsageError(f"{item.nodeid}: no such requirement {wrong}")
