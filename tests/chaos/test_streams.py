"""A server that answers 64 at once in any order, through real workers: who is guilty is found, the others go on."""

from typing import Any

from tests.chaos.cluster import Cluster, questions

FAULTS = {"crash": "crash", "device": "crash", "hang": "timeout", "stall": "timeout", "oom": "oom", "error": "model"}


def test_a_server_s_poison_fails_with_its_reason_and_its_company_is_answered_without_a_strike(
    cluster: Cluster, full_size: bool
) -> None:
    count = 300 if full_size else 80
    rows: dict[str, Any] = {f"r{9 * i + 5}": {"fake_fault": fault} for i, fault in enumerate(FAULTS)}
    expected = {str(9 * i + 5): kind for i, kind in enumerate(FAULTS.values())}
    asked = questions(count, latency_ms=(5, 150), **rows)
    run_id = cluster.enqueue(asked, model="fake_server:64", max_attempts=2)
    cluster.environ["VIDEVAL_GENERATE_DEADLINE"] = "5"
    for _ in range(2):
        cluster.start_worker()
    cluster.wait_done(run_id, 240)
    assert cluster.failed(run_id) == expected
    cluster.assert_single(run_id)
    struck = cluster.rows("SELECT status FROM requests WHERE strikes > 0")
    deadly = [kind for kind in expected.values() if kind in ("crash", "timeout")]
    assert [row.status for row in struck] == ["failed"] * len(deadly)
