"""what a question shows beside one video, and every clip that a response saw."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("samples", sa.Column("beside", sa.JSON(), nullable=False, server_default="{}"))
    op.execute("ALTER TABLE responses RENAME COLUMN clip TO clips")  # a batch would copy the table, rows and all
    op.execute(_by_dialect(
        sqlite="UPDATE responses SET clips = CASE clips WHEN '{}' THEN '[]' ELSE '[' || clips || ']' END",
        postgresql="UPDATE responses SET clips = "
        "CASE clips::text WHEN '{}' THEN '[]'::json ELSE json_build_array(clips) END",
    ))  # fmt: skip


def downgrade() -> None:
    """A response keeps its first clip; a question that shows more can no longer be asked."""
    op.execute(_by_dialect(
        sqlite="UPDATE responses SET clips = coalesce(json_extract(clips, '$[0]'), '{}')",
        postgresql="UPDATE responses SET clips = coalesce(clips->0, '{}'::json)",
    ))  # fmt: skip
    op.execute("ALTER TABLE responses RENAME COLUMN clips TO clip")
    op.drop_column("samples", "beside")


def _by_dialect(**statements: str) -> str:
    return statements[op.get_bind().dialect.name]
