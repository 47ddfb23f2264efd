"""What Alembic runs: always on the connection that `center.db.migrate` hands over."""

from __future__ import annotations

from alembic import context

from center.db.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, compare_type=True)
context.run_migrations()
