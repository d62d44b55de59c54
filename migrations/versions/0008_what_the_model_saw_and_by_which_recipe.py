"""what a model thought and what its processor made of the clips, and the recipe that a run follows."""

import sqlalchemy as sa
from alembic import op

from videval.db.tables import ExactText

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("responses", sa.Column("thinking", ExactText(), nullable=True))
    op.add_column("responses", sa.Column("seen", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("responses", sa.Column("rendered", ExactText(), nullable=False, server_default=""))
    op.add_column("runs", sa.Column("recipe", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("runs", "recipe")
    for name in ("rendered", "seen", "thinking"):
        op.drop_column("responses", name)
