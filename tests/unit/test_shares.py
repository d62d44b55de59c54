"""Which model a worker serves: fair shares, few loads, nobody starved, and the same for whoever computes it."""

import random
from collections import Counter

import pytest

from workers.shares import Demand, Seat, assign, surplus


def demand(key: str, requests: int = 100, priority: int = 0) -> Demand:
    return Demand(load_key=key, requests=requests, priority=priority)


def seats(*keys: str | None, served_s: float = 0.0) -> list[Seat]:
    return [Seat(worker_id=f"w{i}", load_key=key, served_s=served_s) for i, key in enumerate(keys)]


def shares(demands: list[Demand], workers: list[Seat], turn: float = 900.0) -> Counter[str]:
    return Counter(assign(demands, workers, turn=turn).values())


def test_without_work_nobody_is_sent_anywhere():
    assert assign([], seats("a", None), turn=900) == {}


def test_without_workers_there_is_nobody_to_send():
    assert assign([demand("a")], [], turn=900) == {}


def test_a_worker_that_cannot_serve_a_key_is_never_sent_to_it():
    only_b = Seat(worker_id="w0", load_key=None, can_serve=frozenset({"b"}))
    free = Seat(worker_id="w1", load_key=None)
    assert assign([demand("a"), demand("b")], [only_b, free], turn=900) == {"w0": "b", "w1": "a"}
    assert assign([demand("a")], [only_b], turn=900) == {}


def test_a_key_that_the_idle_worker_cannot_serve_gets_one_that_can():
    small = Seat(worker_id="w1", load_key=None, can_serve=frozenset({"b"}))
    large = Seat(worker_id="w2", load_key="b")
    assert assign([demand("a"), demand("b")], [small, large], turn=900) == {"w1": "b", "w2": "a"}


def test_a_worker_that_serves_one_key_only_is_not_idle_while_others_have_their_turn():
    only_c = Seat(worker_id="w0", load_key=None, can_serve=frozenset({"c"}))
    free = Seat(worker_id="w1", load_key="a")
    placed = assign([demand("a"), demand("b"), demand("c")], [only_c, free], turn=900)
    assert placed == {"w0": "c", "w1": "a"}


def test_all_workers_serve_the_only_key():
    assert shares([demand("a")], seats(None, None, None)) == {"a": 3}


def test_keys_of_one_priority_share_the_workers():
    assert shares([demand("a"), demand("b")], seats(None, None, None, None)) == {"a": 2, "b": 2}


def test_a_priority_more_is_twice_the_workers():
    assert shares([demand("a"), demand("b", priority=1)], seats(*[None] * 6)) == {"a": 2, "b": 4}


def test_a_huge_run_does_not_starve_a_small_one():
    assert shares([demand("huge", 1000, priority=3), demand("small", 2)], seats(*["huge"] * 8))["small"] >= 1


def test_a_key_gets_no_more_workers_than_it_has_requests():
    assert shares([demand("a", 1), demand("b", 50)], seats(*[None] * 5)) == {"a": 1, "b": 4}


def test_a_worker_stays_with_its_key_while_no_other_is_short():
    placed = assign([demand("a"), demand("b")], seats("b", "a", "b", "a"), turn=900)
    assert placed == {"w0": "b", "w1": "a", "w2": "b", "w3": "a"}


def test_a_new_key_takes_as_few_workers_from_the_old_one_as_is_fair():
    placed = assign([demand("a"), demand("b")], seats("a", "a", "a", "a"), turn=900)
    assert sorted(placed.values()) == ["a", "a", "b", "b"]
    assert sum(placed[f"w{i}"] != "a" for i in range(4)) == 2


def test_who_served_longest_changes():
    workers = [Seat(worker_id="old", load_key="a", served_s=500), Seat(worker_id="new", load_key="a", served_s=5)]
    assert assign([demand("a"), demand("b")], workers, turn=900) == {"new": "a", "old": "b"}


def test_with_fewer_workers_than_keys_a_turn_is_served_out():
    demands = [demand("a"), demand("b"), demand("c")]
    assert assign(demands, seats("b", served_s=10), turn=900) == {"w0": "b"}
    assert assign(demands, seats("b", served_s=1000), turn=900) == {"w0": "c"}


def test_turns_go_round_and_leave_nobody_out():
    demands, key, seen = [demand(k) for k in "abcd"], None, []
    for _ in range(8):
        key = assign(demands, seats(key, served_s=1000), turn=900)["w0"]
        seen.append(key)
    assert seen == list("abcdabcd")


@pytest.mark.parametrize("seed", range(20))
def test_everybody_computes_the_same_whatever_order_rows_come_in(seed):
    chance = random.Random(seed)
    demands = [demand(k, chance.randint(1, 9), chance.randint(-1, 2)) for k in "abcde"[: chance.randint(1, 5)]]
    workers = [
        Seat(worker_id=f"w{i}", load_key=chance.choice(["a", "b", None]), served_s=chance.choice([0.0, 5.0, 2000.0]))
        for i in range(chance.randint(1, 6))
    ]
    expected = assign(demands, workers, turn=900)
    for _ in range(5):
        chance.shuffle(demands)
        chance.shuffle(workers)
        assert assign(demands, workers, turn=900) == expected


@pytest.mark.parametrize("seed", range(20))
def test_nobody_moves_again_when_nothing_has_changed(seed):
    chance = random.Random(seed)
    demands = [demand(k, chance.randint(1, 9)) for k in "abcde"[: chance.randint(1, 5)]]
    workers = seats(*(chance.choice(["a", "b", None]) for _ in range(chance.randint(1, 7))))
    first = assign(demands, workers, turn=900)
    settled = [Seat(worker_id=w.worker_id, load_key=first.get(w.worker_id, w.load_key)) for w in workers]
    again = assign(demands, settled, turn=900)
    assert all(again[w] == key for w, key in first.items() if w in again)


@pytest.mark.parametrize("workers", [2, 4, 8])
@pytest.mark.parametrize("seed", range(3))
def test_two_runs_cost_about_two_loads_for_each_worker(workers, seed):
    """A simulation: each worker decides at a time of its own, and answers one request in each step."""
    chance = random.Random(seed)
    left = {"a": 400, "b": chance.randint(100, 400)}
    state = {f"w{i}": None for i in range(workers)}
    loads = Counter()
    while any(left.values()):
        for worker in chance.sample(sorted(state), workers):
            demands = [demand(k, n) for k, n in left.items() if n]
            now = [Seat(worker_id=w, load_key=k) for w, k in state.items()]
            key = assign(demands, now, turn=900).get(worker)
            if key is not None and key != state[worker]:
                state[worker] = key
                loads[worker] += 1
            if state[worker] and left[state[worker]]:
                left[state[worker]] -= 1
    assert sum(loads.values()) <= 2 * workers


# the tail


def test_while_nobody_is_idle_nothing_is_given_back():
    assert surplus({"a": 5, "b": 1}, "a", slots=1) == 0
    assert surplus({"a": 5}, "a", slots=1) == 0


def test_whoever_has_most_gives_to_the_idle_as_many_as_they_can_begin():
    assert surplus({"a": 5, "b": 0, "c": 0}, "a", slots=1) == 2
    assert surplus({"a": 5, "b": 0}, "a", slots=2) == 2
    assert surplus({"a": 5, "b": 0}, "a", slots=64) == 2, "no more than is even"


def test_those_that_have_most_give_together_as_many_as_are_needed():
    in_hand = {"a": 3, "b": 3, "c": 2, "d": 0, "e": 0}
    given = {w: surplus(in_hand, w, slots=1) for w in in_hand}
    assert sum(given.values()) == 2 and given == {"a": 1, "b": 1, "c": 0, "d": 0, "e": 0}


def test_a_single_request_stays_where_it_is():
    assert surplus({"a": 1, "b": 0}, "a", slots=64) == 0


def test_a_worker_that_is_not_counted_gives_nothing():
    assert surplus({"b": 0}, "a", slots=1) == surplus({}, "a", slots=1) == 0


@pytest.mark.parametrize("seed", range(20))
def test_after_giving_back_nobody_is_poorer_than_those_who_were_idle(seed):
    chance = random.Random(seed)
    in_hand = {f"w{i}": chance.choice([0, 0, 1, 2, 3, 64]) for i in range(chance.randint(1, 9))}
    slots = chance.choice([1, 8, 64])
    left = {w: held - surplus(in_hand, w, slots=slots) for w, held in in_hand.items()}
    given = sum(in_hand.values()) - sum(left.values())
    idle = sum(not held for held in in_hand.values())
    assert all(left[w] >= 1 for w, held in in_hand.items() if held) and given <= idle * slots
