"""Bodies as they were logged stay readable, whatever becomes of the classes: one stored sample per type and version."""

import json
from pathlib import Path

import pytest

from eventlog.canon import canonical
from oms.events import registry
from oms.events.base import REGISTRY, UnknownEvent, body_text, decode
from tests.golden.samples import FOLDER, fields_of, path_of, stored

SAMPLES = sorted(FOLDER.glob("*.jsonl"))


def test_every_type_and_version_has_a_sample() -> None:
    """Run `python -m tests.golden.samples` for a new one. A type that was ever logged is never forgotten."""
    assert registry
    known = {
        path_of(name, version).name for name, cls in REGISTRY.items() for version in range(1, cls.VERSION + 1)
    }
    assert {path.name for path in SAMPLES} == known


@pytest.mark.req("OD-034")
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_stored_bodies_are_read_and_would_be_written_again(path: Path) -> None:
    type_name, version, bodies = stored(path)
    assert bodies
    for body in bodies:
        assert canonical(json.loads(body)) == body, "no log can hold it"
        event = decode(type_name, version, body)
        assert type(event).__name__ == type_name
        if version == event.VERSION:
            assert body_text(event) == body


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_samples_hold_every_field(path: Path) -> None:
    """A field that was added gets a further line in the file, below those that lack it."""
    type_name, version, bodies = stored(path)
    if version == REGISTRY[type_name].VERSION:
        assert {name for body in bodies for name in json.loads(body)} == fields_of(REGISTRY[type_name])


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_another_version_is_refused(path: Path) -> None:
    type_name, _, bodies = stored(path)
    with pytest.raises(UnknownEvent):
        decode(type_name, REGISTRY[type_name].VERSION + 1, bodies[0])
