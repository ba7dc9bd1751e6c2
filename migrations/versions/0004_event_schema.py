"""The registry of event types says what a body of each type and version looks like, as a JSON schema."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; rows come from the program that knows the types."""
    op.execute("SET LOCAL ROLE oms_owner")
    op.execute("ALTER TABLE oms.event_type ADD COLUMN body_schema jsonb NOT NULL DEFAULT '{}'")
    op.execute("ALTER TABLE oms.event_type ALTER COLUMN body_schema DROP DEFAULT")
