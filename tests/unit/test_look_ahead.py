"""Look-ahead: as many requests on their way as the server takes while one is got ready, within bounds."""

import pytest

from workers.look_ahead import LookAhead


def look_ahead(*, get: float, generate: float, least: int = 2, fixed: bool = False, times: int = 50) -> LookAhead:
    made = LookAhead(least, fixed=fixed)
    for _ in range(times):
        made.answered(get=get, generate=generate)
    return made


def test_before_the_first_answer_the_least_are_held() -> None:
    assert LookAhead(2, fixed=False).ahead(1) == 2


@pytest.mark.parametrize(
    ("get", "generate", "slots", "ahead"),
    [
        (0.03, 3.0, 1, 2),
        (0.09, 0.02, 1, 5),
        (0.5, 0.001, 1, 8),
        (0.5, 0.0, 1, 8),
        (0.2, 1.0, 4, 2),
        (0.3, 1.5, 64, 13),
        (9.0, 1.5, 64, 32),
    ],
    ids=["slow server", "fast server", "bounded", "no latency", "batches", "many slots", "many slots, bounded"],
)
def test_a_server_that_is_faster_than_requests_get_here_has_more_ahead(
    get: float, generate: float, slots: int, ahead: int
) -> None:
    assert look_ahead(get=get, generate=generate).ahead(slots) == ahead


def test_what_a_user_set_is_heeded_exactly() -> None:
    assert look_ahead(get=1.0, generate=0.01, fixed=True).ahead(1) == 2
    assert look_ahead(get=1.0, generate=0.01, fixed=True, least=0).ahead(64) == 0


def test_one_slow_request_changes_little_and_another_model_begins_anew() -> None:
    steady = look_ahead(get=0.01, generate=0.02)
    steady.answered(get=0.2, generate=0.02)
    assert steady.ahead(1) == 2
    quick = look_ahead(get=0.09, generate=0.02)
    quick.forget()
    assert quick.ahead(1) == 2
