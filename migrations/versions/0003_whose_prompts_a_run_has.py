"""whose prompts a run has, and which version of its benchmark's protocol."""

import sqlalchemy as sa
from alembic import op

from videval.db.tables import ExactText

revision = "0003"
down_revision = "0002"

ONLY_IN_LMMS_EVAL = ("NExT-QA", "EgoSchema", "LVBench")
"""The benchmarks whose only prompt set was lmms-eval's when this was written; others began with the paper's."""


def upgrade() -> None:
    with op.batch_alter_table("runs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("prompts", ExactText(), nullable=False, server_default="paper"))
        batch_op.add_column(sa.Column("protocol", sa.Integer(), nullable=False, server_default="1"))
    runs = sa.table("runs", sa.column("benchmark"), sa.column("prompts"))
    op.execute(runs.update().where(runs.c.benchmark.in_(ONLY_IN_LMMS_EVAL)).values(prompts="lmms-eval"))


def downgrade() -> None:
    for name in ("protocol", "prompts"):  # in a batch SQLite would drop the table, which requests refer to
        op.drop_column("runs", name)
