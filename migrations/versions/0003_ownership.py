"""Everything belongs to oms_owner, as whom nobody logs in; its member oms_archiver makes and detaches months.

Made for a login that is no superuser: it needs CREATEROLE, the schema of the earlier revisions or CREATE on the
database, and, where another login made the roles, membership in oms_owner and the right to grant it.
"""

from alembic import op
from sqlalchemy import text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMAS = ("oms", "oms_check")
# Always empty: no trading day is before the year 1.
PROBE = (
    "CREATE TABLE oms.event_probe PARTITION OF oms.event FOR VALUES FROM (MINVALUE) TO ('0001-01-01')",
    "ALTER TABLE oms.event_probe OWNER TO oms_owner",
)
OWNED = """
SELECT relkind, oid::regclass::text FROM pg_class
WHERE relnamespace IN ('oms'::regnamespace, 'oms_check'::regnamespace) AND relkind IN ('r', 'p', 'v')
    AND relowner <> 'oms_owner'::regrole
ORDER BY relname
"""
MAY_BE = "SELECT pg_has_role(:member, :role, :how)"


def upgrade() -> None:
    """Create the archiver, hand everything over to the owner, and make the partition that start-up probes."""
    connection = op.get_bind()
    if connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = 'oms_archiver'")) is None:
        op.execute("CREATE ROLE oms_archiver LOGIN")
    # Whoever created a role may grant it, and from 16 on is no member of it for that.
    if not connection.scalar(text(MAY_BE), {"member": "oms_archiver", "role": "oms_owner", "how": "USAGE"}):
        op.execute("GRANT oms_owner TO oms_archiver")
    login = str(connection.scalar(text("SELECT session_user")))
    if not connection.scalar(text(MAY_BE), {"member": login, "role": "oms_owner", "how": "USAGE"}):
        op.execute("GRANT oms_owner TO SESSION_USER")
    op.execute("CREATE SCHEMA IF NOT EXISTS oms_check")
    for schema in SCHEMAS:
        op.execute(f"ALTER SCHEMA {schema} OWNER TO oms_owner")
    op.execute("GRANT USAGE ON SCHEMA oms_check TO oms_reader, oms_auditor")
    for kind, name in connection.execute(text(OWNED)).fetchall():
        op.execute(f"ALTER {'VIEW' if kind == 'v' else 'TABLE'} {name} OWNER TO oms_owner")
    for statement in PROBE:
        op.execute(statement)
