"""Which program this is: one name for its sources, one for everything that it was installed with."""

from functools import cache
from hashlib import sha256
from importlib.metadata import distributions
from pathlib import Path


@cache
def code_version() -> str:
    """SHA-256 over the sources of the three packages: which program decided."""
    root = Path(__file__).parents[2]
    digest = sha256()
    for package in ("eventlog", "oms", "replay"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def dependency_version() -> str:
    """SHA-256 over names and versions of the installed distributions."""
    names = sorted({f"{one.metadata['Name']}=={one.version}" for one in distributions()})
    return sha256("\n".join(names).encode()).hexdigest()
