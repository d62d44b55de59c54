"""who said a score, with the version, and what the scores of a run add up to."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from videval.db.tables import ExactText

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("ALTER TABLE sample_scores RENAME COLUMN scorer TO judge")
    columns: list[sa.Column[Any]] = [
        sa.Column("scorer", ExactText(), nullable=False, server_default="rule@1"),
        sa.Column("pending", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("counted_scorer", ExactText(), nullable=True),
        sa.Column("counted_verdict", ExactText(), nullable=True),
        sa.Column("counted_value", sa.Double(), nullable=True),
    ]
    for column in columns:
        op.add_column("sample_scores", column)
    sqlite, postgresql, keys = sa.text("pending = 1"), sa.text("pending"), ["run_id", "sample_id"]
    name = "ix_sample_scores_pending"
    op.create_index(name, "sample_scores", keys, sqlite_where=sqlite, postgresql_where=postgresql)
    op.create_index("ix_samples_snapshot_id_video", "samples", ["snapshot_id", "video"])
    op.create_table(
        "score_sums",
        sa.Column("run_id", sa.Integer(), nullable=False),
        sa.Column("judge", ExactText(), nullable=False),
        sa.Column("counter", ExactText(), nullable=False),
        sa.Column("folds", sa.Integer(), nullable=False),
        sa.Column("scorable", sa.Integer(), nullable=False),
        sa.Column("videos", sa.Integer(), nullable=False),
        sa.Column("scorers", sa.JSON(), nullable=False),
        sa.Column("tallies", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_score_sums_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", "judge", name=op.f("pk_score_sums")),
    )
    op.drop_column("runs", "scorer")


def downgrade() -> None:
    op.add_column("runs", sa.Column("scorer", ExactText(), nullable=False, server_default="rule"))
    op.drop_table("score_sums")
    op.drop_index("ix_samples_snapshot_id_video", table_name="samples")
    op.drop_index("ix_sample_scores_pending", table_name="sample_scores")
    op.execute("DELETE FROM sample_scores WHERE verdict = 'dropped'")
    for name in ("counted_value", "counted_verdict", "counted_scorer", "pending", "scorer"):
        op.drop_column("sample_scores", name)
    op.execute("ALTER TABLE sample_scores RENAME COLUMN judge TO scorer")
