"""what answers cost, why a run was halted, and how the endpoints are that answer."""

import sqlalchemy as sa
from alembic import op

from videval.db.tables import ExactText

revision = "0009"
down_revision = "0008"

COUNTS = ("cached_tokens", "reasoning_tokens", "decoded")


def upgrade() -> None:
    op.add_column("runs", sa.Column("max_cost", sa.Double(), nullable=True))
    op.add_column("runs", sa.Column("max_tokens", sa.BigInteger(), nullable=True))
    op.add_column("runs", sa.Column("halted", ExactText(), nullable=True))
    for name in COUNTS:
        op.add_column("responses", sa.Column(name, sa.Integer(), nullable=True))
    op.add_column("responses", sa.Column("cost", sa.Double(), nullable=True))
    op.add_column("responses", sa.Column("refused", ExactText(), nullable=False, server_default=""))
    op.create_table(
        "endpoints",
        sa.Column("name", ExactText(), nullable=False),
        sa.Column("state", ExactText(), nullable=False),
        sa.Column("message", ExactText(), nullable=True),
        sa.Column("figures", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_endpoints")),
    )

    for name in ("prompt", "new"):
        op.execute(
            f"INSERT INTO sums (run_id, name, amount) SELECT run_id, 'usage:{name}', SUM({name}_tokens) "
            f"FROM responses WHERE {name}_tokens > 0 GROUP BY run_id"
        )


def downgrade() -> None:
    op.execute("DELETE FROM sums WHERE name LIKE 'usage:%'")
    op.execute("DELETE FROM sum_changes WHERE name LIKE 'usage:%'")
    op.drop_table("endpoints")
    for name in ("refused", "cost", *COUNTS):
        op.drop_column("responses", name)
    for name in ("halted", "max_tokens", "max_cost"):
        op.drop_column("runs", name)
