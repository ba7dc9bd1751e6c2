"""Which entries are taken: every comparison of prices on both sides, equal stated; mirrored for shorts."""

from typing import Any

import pytest

from oms.events.decisions import EntryAccepted, IntentRefused
from oms.values import PositionSide
from tests.builders import entry, settings
from tests.given import given, like

SHORT: dict[str, Any] = {"side": PositionSide.SHORT, "zone_max": "99.90", "stop": "101.00"}


@pytest.mark.req("OD-057")
@pytest.mark.parametrize(
    ("wish", "code"),
    [
        ({"zone_max": "100.00"}, ""),
        ({"zone_max": "99.99"}, "bad_zone"),
        ({**SHORT, "zone_max": "100.00"}, ""),
        ({**SHORT, "zone_max": "100.01"}, "bad_zone"),
        ({"stop": "99.99"}, ""),
        ({"stop": "100.00"}, "bad_stop"),
        ({**SHORT, "stop": "100.01"}, ""),
        ({**SHORT, "stop": "100.00"}, "bad_stop"),
        ({"key_level": "100.01"}, ""),
        ({"key_level": "100.00"}, "bad_key_level"),
        ({**SHORT, "key_level": "99.99"}, ""),
        ({**SHORT, "key_level": "100.00"}, "bad_key_level"),
        ({"quantity": 0}, "bad_quantity"),
        ({"quantity": 1}, ""),
        ({"quantity": "1.5"}, "bad_quantity"),
        ({"ideal": "100.005"}, "bad_price"),
        ({"stop": 0}, "bad_price"),
    ],
)
def test_a_price_on_the_wrong_side_is_refused(wish: dict[str, Any], code: str) -> None:
    story = given().when(entry(**wish))
    story.then(like(IntentRefused, code=code)) if code else story.then_among(like(EntryAccepted))


def test_shorts_can_be_switched_off() -> None:
    off = settings(risk__allow_short=False)
    given(settings=off).when(entry(**SHORT)).then(like(IntentRefused, code="no_shorts"))
    given(settings=off).when(entry()).then_among(like(EntryAccepted))
