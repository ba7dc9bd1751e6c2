"""Where this checkout keeps what belongs to it alone, outside the database: sockets and books of local brokers."""

from pathlib import Path

from eventlog.cluster import default_data_dir


def run_dir(name: str) -> Path:
    """A private directory beside the embedded database's data, made if need be."""
    path = default_data_dir().parent / name
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path
