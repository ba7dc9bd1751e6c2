"""What every test of this checkout shares."""

import os
import re

import pytest

REQUIREMENT = re.compile(r"(?:OM|OD|BB|CH|BT)-\d{3}|C-\d{2}|F\d{1,2}|I\d{2}")

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
