"""Alembic's entry: the store hands over an open connection."""

from alembic import context

from amiss.watch.store._tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=connection.dialect.name == "sqlite")
context.run_migrations()
