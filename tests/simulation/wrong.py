"""The shape of a planted bug."""

from msgspec import Struct

Edit = tuple[str, str, str]
"""(path in the checkout, text that stands there exactly once, what takes its place)"""


class Wrong(Struct, frozen=True):
    """A wrong version of the product. `start` is the first seed that is tried."""

    name: str
    edits: tuple[Edit, ...]
    start: int = 0


def wrong(name: str, path: str, old: str, new: str, *more: Edit) -> Wrong:
    """A planted bug of one replacement, or of several."""
    return Wrong(name, ((path, old, new), *more))
