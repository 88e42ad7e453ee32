"""The tables of the web page and of the node, whatever earlier form of them there was."""

from alembic import op

from trabecula.studies.migrations.first import bring_up

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The tables of the web page and of the node, whatever earlier form of them there was."""
    bring_up(op.get_bind())


def downgrade() -> None:
    """There is no way back but the backup."""
    raise NotImplementedError
