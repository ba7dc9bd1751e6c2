"""Runs the migrations on the connection that eventlog.schema hands over; there is no alembic.ini."""

from alembic import context

from eventlog.tables import SCHEMA, metadata


def run() -> None:
    """Apply what is missing, all in one transaction."""
    connection = context.config.attributes["connection"]
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
