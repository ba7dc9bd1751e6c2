"""What the documents say of the code is what the code says of itself."""

import inspect
import re

import msgspec
import pytest

from oms.events import registry
from oms.events.base import REGISTRY, Event
from tests.checkout import ROOT

ROW = re.compile(r"^\| (\w+) \| ([ID]) \| (\d+) \| (.*?) \| (.*) \|$", re.MULTILINE)


def documented() -> dict[str, tuple[str, int, str, str]]:
    """Event -> kind, version, fields, meaning, as the table has them."""
    text = (ROOT / "oms/events/docs.md").read_text(encoding="utf-8")
    return {
        name: (kind, int(version), fields, meaning)
        for name, kind, version, fields, meaning in ROW.findall(text)
    }


def declared(cls: type[Event]) -> tuple[str, int, str, str]:
    fields = ", ".join(f"`{one.name}`" + ("" if one.required else "?") for one in msgspec.structs.fields(cls))
    meaning = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
    return cls.KIND, cls.VERSION, fields, meaning


def test_the_table_of_events_has_every_event_and_no_other() -> None:
    assert registry.__all__
    assert sorted(documented()) == sorted(REGISTRY)


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_an_event_is_documented_as_it_is(name: str) -> None:
    assert documented()[name] == declared(REGISTRY[name])
