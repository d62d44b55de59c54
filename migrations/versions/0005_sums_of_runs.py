"""sums kept for each run: how many requests it has, and how many of them are done, failed or cancelled."""

import sqlalchemy as sa
from alembic import op

from videval.db.tables import ExactText

revision = "0005"
down_revision = "0004"

COUNT = """
INSERT INTO sums (run_id, name, amount)
SELECT run_id, 'requests:total', count(*) FROM requests GROUP BY run_id
UNION ALL
SELECT run_id, 'requests:' || status, count(*) FROM requests
WHERE status IN ('done', 'failed', 'cancelled') GROUP BY run_id, status
"""


def upgrade() -> None:
    op.create_table(
        "sums",
        sa.Column("run_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", ExactText(), nullable=False),
        sa.Column("amount", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "name", name=op.f("pk_sums")),
    )
    op.create_table(
        "sum_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("name", ExactText(), nullable=False),
        sa.Column("amount", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sum_changes")),
    )
    op.create_index("ix_sum_changes_run_id", "sum_changes", ["run_id"])
    op.execute(COUNT)
    queued, columns = sa.text("status = 'queued'"), ["run_id", "video", "id"]
    op.create_index("ix_requests_waiting_by_video", "requests", columns, sqlite_where=queued, postgresql_where=queued)


def downgrade() -> None:
    op.drop_index("ix_requests_waiting_by_video", table_name="requests")
    op.drop_index("ix_sum_changes_run_id", table_name="sum_changes")
    op.drop_table("sum_changes")
    op.drop_table("sums")
