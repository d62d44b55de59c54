"""When nobody waits any longer for a model that cannot be loaded."""

from videval.db.workers import SeatInfo
from workers.refusals import OFTEN, Refusals


def seat(device: str, *, refuses: tuple[str, ...] = (), serves: str | None = None) -> SeatInfo:
    return SeatInfo(id=device, device=device, load_key=serves, served_s=1.0, refuses=refuses)


def after(*looks: list[SeatInfo]) -> list[bool]:
    """What is said of hope after each of these looks, again and again."""
    refusals = Refusals({"cpu:0", "cpu:1"}, "k")
    return [refusals.look(seats) for seats in looks * OFTEN]


NO = [seat("cpu:0", refuses=("k", "other")), seat("cpu:1", refuses=("k",))]
TRYING = [seat("cpu:0", refuses=("k",)), seat("cpu:1", serves="k")]


def test_there_is_no_hope_after_all_of_them_failed_often_enough() -> None:
    assert after(TRYING, NO) == [False] * (2 * OFTEN - 1) + [True]


def test_a_refusal_that_lasts_counts_once() -> None:
    assert not any(after(NO, NO, NO))


def test_one_that_has_not_failed_is_hope() -> None:
    assert not any(after(TRYING, [NO[0], seat("cpu:1")]))


def test_one_elsewhere_that_serves_it_is_hope_and_one_that_does_not_is_none() -> None:
    assert not any(after(TRYING, [*NO, seat("GPU-1", serves="k")]))
    assert after(TRYING, [*NO, seat("GPU-1", serves="other")])[-1]


def test_before_any_has_begun_there_is_hope() -> None:
    assert not any(after([], []))
