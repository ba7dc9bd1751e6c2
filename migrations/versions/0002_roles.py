"""Append-only by privilege: what each role may do. A role that exists already keeps its login and password."""

from alembic import op
from sqlalchemy import text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROLES = {"oms_owner": "NOLOGIN", "oms_writer": "LOGIN", "oms_reader": "LOGIN", "oms_auditor": "LOGIN"}
EVERYTHING = (
    "event, account_head, account_lease, inbox, outbox, raw_frame, snapshot, day_seal, reader_cursor, "
    "config_version, code_version, event_type, alembic_version"
)
GRANTS = [
    ("SELECT", EVERYTHING, "oms_writer"),
    ("INSERT", "event, inbox, raw_frame, config_version, code_version, snapshot, day_seal", "oms_writer"),
    ("INSERT, UPDATE", "account_head, account_lease", "oms_writer"),
    ("INSERT, DELETE", "outbox", "oms_writer"),
    ("SELECT", EVERYTHING, "oms_reader"),
    ("INSERT, UPDATE", "reader_cursor", "oms_reader"),
    ("SELECT", EVERYTHING, "oms_auditor"),
]


def upgrade() -> None:
    """Create the roles that the server lacks and grant them their rights."""
    connection = op.get_bind()
    for role, login in ROLES.items():
        if connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}) is None:
            op.execute(f"CREATE ROLE {role} {login}")
        op.execute(f"GRANT USAGE ON SCHEMA oms TO {role}")
    for rights, tables, role in GRANTS:
        for table in tables.split(", "):
            op.execute(f"GRANT {rights} ON oms.{table} TO {role}")
