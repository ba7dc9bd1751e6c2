"""A seal beside the log also names the state at the end of its day, and the fold that it is the digest of."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; seals that were made before know no state."""
    op.execute("SET LOCAL ROLE oms_owner")
    op.execute("ALTER TABLE oms.day_seal ADD COLUMN state_digest bytea")
    op.execute("ALTER TABLE oms.day_seal ADD COLUMN fold_version integer")
    op.execute(
        "ALTER TABLE oms.day_seal ADD CONSTRAINT day_seal_state "
        "CHECK ((state_digest IS NULL) = (fold_version IS NULL))"
    )
