"""The audit trail, to which rows can only be added, and the day on which a study's CT was removed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

COLUMNS = ("at_utc", "who", "what")


def upgrade() -> None:
    """The audit trail, to which rows can only be added, and the day on which a study's CT was removed."""
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        *(sa.Column(name, sa.String, nullable=False) for name in COLUMNS),
        sa.Column("study", sa.Integer, nullable=True),
        sa.Column("version", sa.Integer, nullable=True),
        sa.Column("facts", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_study", "audit", ["study"])
    op.add_column("studies", sa.Column("ct_removed_utc", sa.String, nullable=False, server_default=""))
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{act.lower()} BEFORE {act} ON audit"
                " BEGIN SELECT RAISE(ABORT, 'the audit trail can only be added to'); END"
            )
    elif op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_only_added_to() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'the audit trail can only be added to'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit"
            " FOR EACH STATEMENT EXECUTE FUNCTION audit_only_added_to()"
        )


def downgrade() -> None:
    """There is no way back but the backup."""
    raise NotImplementedError
