"""which clips somebody has begun, which runs may be raced at their end, and since when an attempt is in its stage."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("requests", sa.Column("begun", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("runs", sa.Column("race_tail", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("attempts", sa.Column("stage_at", sa.Double(), nullable=True))
    waiting = sa.text("status = 'queued'")
    op.create_index(
        "ix_requests_next",
        "requests",
        ["run_id", "begun", "published_at"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )


def downgrade() -> None:
    op.drop_index("ix_requests_next", "requests")
    op.drop_column("attempts", "stage_at")
    op.drop_column("runs", "race_tail")
    op.drop_column("requests", "begun")
