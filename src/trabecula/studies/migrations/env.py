"""Run by Alembic for every command, over the connection that ``studies.migrating`` holds open."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=list(context.config.attributes["tables"]),  # asked for when a step is written, by tools/step.py
    transactional_ddl=True,  # SQLite's too, as the transaction has begun by hand
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
