from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from center.spans import Receipt, Spans, unaccounted

NUMBERS = st.lists(st.integers(1, 40), max_size=60)
RECEIPTS = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 4), st.integers(1, 3)), max_size=3)


@given(NUMBERS)
def test_spans_are_a_set(numbers: list[int]) -> None:
    spans, plain = Spans(), set()
    for number in numbers:
        assert spans.add(number) is (number not in plain)
        plain.add(number)
    assert {n for first, last in spans.runs() for n in range(first, last + 1)} == plain
    assert spans.count() == len(plain)
    assert all(after[0] > before[1] + 1 for before, after in itertools.pairwise(spans.runs())), "runs do not touch"
    assert {n for a, b in spans.holes(1, 40) for n in range(a, b + 1)} == set(range(1, 41)) - plain


def best(holes: list[int], receipts: list[Receipt]) -> int:
    """How many holes can be explained at most, by trying everything."""
    if not holes:
        return 0
    found = best(holes[1:], receipts)
    for receipt in receipts:
        if receipt.n and receipt.first <= holes[0] <= receipt.last:
            receipt.n -= 1
            found = max(found, 1 + best(holes[1:], receipts))
            receipt.n += 1
    return found


@given(st.sets(st.integers(1, 9), max_size=6), RECEIPTS)
def test_receipts_explain_as_much_as_they_can_and_no_more(gone: set[int], drawn: list[tuple[int, int, int]]) -> None:
    receipts = [Receipt(first, first + more, n, "full") for first, more, n in drawn]
    holes = list(Spans([]).runs())
    spans = Spans()
    for number in gone:
        spans.add(number)
    holes = spans.runs()
    missing, explained = unaccounted(holes, receipts)
    left = {n for first, last in missing for n in range(first, last + 1)}
    assert left <= gone
    assert len(gone) - len(left) == sum(explained.values()) == best(sorted(gone), receipts)


def test_a_sparse_receipt_does_not_hide_what_it_did_not_drop() -> None:
    thinned = [Receipt(1, 99, 2, "thinned")]
    assert unaccounted([(3, 3), (50, 50)], thinned) == ([], {"thinned": 2})
    assert unaccounted([(3, 3), (50, 51)], thinned) == ([(51, 51)], {"thinned": 2})
    assert thinned[0].n == 2, "asking twice gives the same answer"
    assert unaccounted([(100, 120)], thinned) == ([(100, 120)], {})
