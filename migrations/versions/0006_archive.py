"""Which months of which accounts left the database: where the rows that are still here go on from."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; only the owner and its members write into it."""
    op.execute("SET LOCAL ROLE oms_owner")
    op.execute(
        """CREATE TABLE oms.archived_month (
            shard smallint NOT NULL,
            account text COLLATE "C" NOT NULL,
            month date NOT NULL,
            first_seq bigint NOT NULL,
            last_seq bigint NOT NULL,
            first_chain bytea NOT NULL,
            chain bytea NOT NULL,
            archived_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (shard, account, month)
        )"""
    )
    for role in ("oms_writer", "oms_reader", "oms_auditor"):
        op.execute(f"GRANT SELECT ON oms.archived_month TO {role}")
