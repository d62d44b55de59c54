"""which requests are about a clip that somebody has begun."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("requests", sa.Column("begun", sa.Boolean(), nullable=False, server_default=sa.false()))
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
    op.drop_column("requests", "begun")
