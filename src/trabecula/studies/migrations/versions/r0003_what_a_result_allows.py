"""Every category that a result allows, and whether a doubted result was signed by somebody who knew."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ORDER = ("osteoporosis", "osteopenia", "normal", "undetermined")
NEWEST = """SELECT studies.id, studies.category, versions.assessment FROM studies JOIN versions
    ON versions.study_id = studies.id AND versions.number = studies.latest"""


def upgrade() -> None:
    """Every category that a result allows, and whether a doubted result was signed by somebody who knew."""
    op.add_column("studies", sa.Column("reach", sa.String, nullable=False, server_default=""))
    op.add_column("acts", sa.Column("doubts_seen", sa.Boolean, nullable=False, server_default=sa.false()))
    connection = op.get_bind()
    for study, category, kept in connection.execute(sa.text(NEWEST)).all():
        said = json.loads(kept).get("diagnosis", {})
        touched = {category, *said.get("candidates", ()), *said.get("reach", ())}
        values = {"reach": " ".join(one for one in ORDER if one in touched), "id": study}
        connection.execute(sa.text("UPDATE studies SET reach = :reach WHERE id = :id"), values)


def downgrade() -> None:
    """There is no way back but the backup."""
    raise NotImplementedError
