"""The order of items across workers: which span a piece stands for, and how frames get back into order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from chainpump.transport.frames import Frame, Span
from chainpump.transport.order import Numbering, Order, Piece, SpanSplitter


def cut(
    splitter: SpanSplitter, entries: str, numbers: list[int] | None, done: int, end: bool = False
) -> list[tuple[str, Span, list[int] | None]]:
    """The pieces of some entries, each a letter."""
    pieces = splitter.cut(list(entries), numbers, done, end)
    return [("".join(found), span, None if of is None else list(of)) for found, span, of in pieces]


# --------------------------------------------------------------------------------------------------------- spans


@pytest.mark.parametrize(
    "span,position,after",
    [
        pytest.param(Span(5, 8), (5,), (8,), id="of items"),
        pytest.param(Span(5, 5), (5,), (5,), id="of nothing"),
        pytest.param(Span(0, 100, (7,)), (7, 0), (7, 100), id="of the first parts of an item"),
        pytest.param(Span(100, 120, (7,), last=True), (7, 100), (8,), id="of its last parts"),
        pytest.param(Span(120, 120, (7,), last=True), (7, 120), (8,), id="of the news that there are no more"),
        pytest.param(Span(2, 4, (7, 119)), (7, 119, 2), (7, 119, 4), id="of parts of a part"),
        pytest.param(Span(2, 4, (7, 119), last=True), (7, 119, 2), (7, 120), id="of the last parts of a part"),
        pytest.param(Span(5, 8, origin=3), (5,), (8,), id="whoever has numbered them"),
    ],
)
def test_a_span_tells_where_it_begins_and_where_the_next_one_does(
    span: Span, position: tuple[int, ...], after: tuple[int, ...]
) -> None:
    assert (span.position, span.after) == (position, after)


# ------------------------------------------------------------------------------------------------------- placing


def test_one_result_for_each_item_needs_no_numbers() -> None:
    splitter = SpanSplitter(Span(10, 16))
    assert cut(splitter, "ab", None, 12) == [("ab", Span(10, 12), None)]
    assert cut(splitter, "c", None, 13) == [("c", Span(12, 13), None)]
    assert cut(splitter, "def", None, 16, end=True) == [("def", Span(13, 16), None)]
    assert splitter.start == 16


def test_numbers_that_leave_none_out_are_not_sent() -> None:
    assert cut(SpanSplitter(Span(10, 13)), "abc", [10, 11, 12], 13, end=True) == [("abc", Span(10, 13), None)]


def test_items_that_come_to_nothing_are_within_the_span() -> None:
    splitter = SpanSplitter(Span(10, 20))
    assert cut(splitter, "ab", [11, 13], 14) == [("ab", Span(10, 14), [11, 13])]
    assert cut(splitter, "c", [16], 20, end=True) == [("c", Span(14, 20), [16])]


def test_a_span_of_which_nothing_is_left_is_still_told() -> None:
    assert cut(SpanSplitter(Span(10, 20)), "", None, 20, end=True) == [("", Span(10, 20), None)]


def test_the_rest_of_a_span_of_which_nothing_is_left_is_still_told() -> None:
    splitter = SpanSplitter(Span(10, 20))
    assert cut(splitter, "a", [12], 13) == [("a", Span(10, 13), [12])]
    assert cut(splitter, "", None, 20, end=True) == [("", Span(13, 20), None)]


def test_a_span_that_has_left_to_the_end_needs_no_more() -> None:
    splitter = SpanSplitter(Span(10, 12))
    assert cut(splitter, "ab", None, 12) == [("ab", Span(10, 12), None)]
    assert cut(splitter, "", None, 12, end=True) == []


def test_an_empty_span_is_no_piece() -> None:
    assert cut(SpanSplitter(Span(10, 10)), "", None, 10, end=True) == []


def test_several_results_of_an_item_that_leave_together_share_its_number() -> None:
    assert cut(SpanSplitter(Span(10, 12)), "aab", [10, 10, 11], 12, end=True) == [("aab", Span(10, 12), [10, 10, 11])]


def test_results_of_an_item_of_which_more_may_come_are_numbered_within_it() -> None:
    splitter = SpanSplitter(Span(10, 13))
    assert cut(splitter, "abb", [10, 11, 11], 11) == [
        ("a", Span(10, 11), None),
        ("bb", Span(0, 2, (11,)), None),
    ]
    assert splitter.start == 11
    assert cut(splitter, "bbb", [11, 11, 11], 11) == [("bbb", Span(2, 5, (11,)), None)]
    assert cut(splitter, "bc", [11, 12], 12) == [
        ("b", Span(5, 6, (11,), last=True), None),
        ("c", Span(0, 1, (12,)), None),
    ]
    assert cut(splitter, "", None, 13, end=True) == [("", Span(1, 1, (12,), last=True), None)]


def test_the_last_results_of_an_item_leave_with_those_behind_it() -> None:
    splitter = SpanSplitter(Span(10, 15))
    assert cut(splitter, "a", [10], 10) == [("a", Span(0, 1, (10,)), None)]
    assert cut(splitter, "aabb", [10, 10, 13, 13], 15, end=True) == [
        ("aa", Span(1, 3, (10,), last=True), None),
        ("bb", Span(11, 15), [13, 13]),
    ]


def test_items_before_one_that_leaves_in_pieces_are_told_though_they_came_to_nothing() -> None:
    assert cut(SpanSplitter(Span(10, 15)), "a", [13], 13) == [
        ("", Span(10, 13), []),
        ("a", Span(0, 1, (13,)), None),
    ]


def test_an_item_without_more_results_ends_with_an_empty_piece() -> None:
    splitter = SpanSplitter(Span(10, 12))
    cut(splitter, "a", [10], 10)
    assert cut(splitter, "", None, 12, end=True) == [
        ("", Span(1, 1, (10,), last=True), None),
        ("", Span(11, 12), None),
    ]


def test_only_the_last_piece_of_the_last_parts_of_an_item_is_the_last() -> None:
    splitter = SpanSplitter(Span(0, 4, (7,), last=True))
    assert cut(splitter, "ab", None, 2) == [("ab", Span(0, 2, (7,)), None)]
    assert cut(splitter, "cd", None, 4, end=True) == [("cd", Span(2, 4, (7,), last=True), None)]


def test_the_end_of_an_item_is_told_though_all_its_parts_have_left() -> None:
    splitter = SpanSplitter(Span(0, 2, (7,), last=True))
    assert cut(splitter, "ab", None, 2) == [("ab", Span(0, 2, (7,)), None)]
    assert cut(splitter, "", None, 2, end=True) == [("", Span(2, 2, (7,), last=True), None)]


def test_the_news_that_an_item_has_no_more_parts_is_passed_on() -> None:
    end = Span(100, 100, (7,), last=True)
    assert cut(SpanSplitter(end), "", None, 100, end=True) == [("", end, None)]


def test_parts_of_an_item_may_have_parts_of_their_own() -> None:
    splitter = SpanSplitter(Span(3, 5, (7,), last=True))
    assert cut(splitter, "a", [4], 4) == [("", Span(3, 4, (7,)), []), ("a", Span(0, 1, (7, 4)), None)]
    assert cut(splitter, "b", [4], 5, end=True) == [
        ("b", Span(1, 2, (7, 4), last=True), None),
        ("", Span(5, 5, (7,), last=True), None),
    ]


def test_every_piece_has_the_origin_of_the_span() -> None:
    splitter = SpanSplitter(Span(10, 15, origin=3))
    pieces = [*splitter.cut(["a", "b"], [11, 12], 12), *splitter.cut(["b", "c"], [12, 13], 15, end=True)]
    assert [piece.span.origin for piece in pieces] == [3] * 4


@pytest.mark.parametrize(
    "piece,indices",
    [
        pytest.param(Piece(["a", "b"], Span(5, 7), None), [5, 6], id="one for each"),
        pytest.param(Piece(["a", "b"], Span(5, 9), [8, 8]), [8, 8], id="numbered"),
        pytest.param(Piece(["a", "b"], Span(5, 7, (3, 1)), None), [3, 3], id="parts of an item"),
    ],
)
def test_a_piece_knows_which_item_at_the_origin_an_entry_comes_from(piece: Piece, indices: list[int]) -> None:
    assert [piece.item_index(position) for position in range(2)] == indices


# ----------------------------------------------------------------------------------------------------- numbering


def test_who_numbers_items_counts_what_it_has_sent() -> None:
    numbering = Numbering(origin=2)
    assert [*numbering.pieces(["a", "b"], 0, None, False), *numbering.pieces(["c"], 2, None, False)] == [
        Piece(["a", "b"], Span(0, 2, origin=2), None),
        Piece(["c"], Span(2, 3, origin=2), None),
    ]


def test_numbers_are_spelled_out_from_where_an_item_comes_to_nothing() -> None:
    numbering = Numbering(0, SpanSplitter(Span(10, 15)), distinct=True)
    assert list(numbering.pieces(["a"], 0, None, False)) == [Piece(["a"], Span(10, 11), None)]
    # Two are pending, and 13 is left out.
    numbering.spell_out(2)
    numbering.numbers.append(14)
    assert list(numbering.pieces(["b", "c", "d"], 1, 15, True)) == [Piece(["b", "c", "d"], Span(11, 15), [11, 12, 14])]
    assert numbering.numbers == []


def test_who_says_what_is_done_sends_no_item_in_part() -> None:
    numbering = Numbering(0, SpanSplitter(Span(10, 15, last=True, prefix=(7,))))
    numbering.numbers += [10, 10, 11]
    pieces = [*numbering.pieces(["a", "b"], 0, 11, False), *numbering.pieces(["c"], 2, 15, True)]
    assert pieces == [Piece(["a", "b"], Span(10, 11, (7,)), [10, 10]), Piece(["c"], Span(11, 15, (7,), True), [11])]


def test_spelling_out_twice_changes_nothing() -> None:
    numbering = Numbering(0, SpanSplitter(Span(10, 15)))
    numbering.spell_out(2)
    numbering.spell_out(2)
    assert numbering.numbers == [10, 11]


@pytest.mark.parametrize(
    "distinct,pieces",
    [
        (True, [Piece(["a", "b"], Span(10, 13), [10, 12])]),
        (False, [Piece(["a"], Span(10, 12), [10]), Piece(["b"], Span(0, 1, (12,)), None)]),
    ],
)
def test_an_item_is_done_with_its_result_only_if_it_has_no_more_than_one(distinct: bool, pieces: list[Piece]) -> None:
    numbering = Numbering(0, SpanSplitter(Span(10, 15)), distinct)
    # That of an item which comes to the pending ones a moment later.
    numbering.numbers += [10, 12, 14]
    assert list(numbering.pieces(["a", "b"], 0, None, False)) == pieces
    assert numbering.numbers == [14]


# --------------------------------------------------------------------------------------------------------- order


def frame(entries: str, span: Span, numbers: list[int] | None = None) -> Frame:
    return Frame(0, span, list(entries), numbers)


def pushed(*frames: Frame) -> tuple[str, Order]:
    """What comes out, asked after each of them."""
    order, ready = Order(), ""
    for each in frames:
        order.push(each)
        ready += "".join(entry for given in order.ready() for entry in given.entries)
    return ready, order


@pytest.mark.parametrize(
    "frames,after",
    [
        pytest.param([frame("ab", Span(0, 2)), frame("c", Span(2, 3)), frame("d", Span(3, 4))], (4,), id="one by one"),
        pytest.param(
            [frame("ab", Span(0, 2)), frame("", Span(2, 9)), frame("cd", Span(9, 11))], (11,), id="empty ones"
        ),
        pytest.param(
            [frame("ab", Span(0, 7), [3, 6]), frame("c", Span(0, 1, (7,))), frame("d", Span(1, 2, (7,), last=True))],
            (8,),
            id="one item in pieces",
        ),
        pytest.param(
            [
                frame("a", Span(0, 1, (0,))),
                frame("b", Span(0, 1, (0, 1))),
                frame("c", Span(1, 2, (0, 1), last=True)),
                frame("d", Span(2, 9, (0,), last=True), [4]),
            ],
            (1,),
            id="pieces of pieces",
        ),
        pytest.param(
            [
                frame("a", Span(0, 1, (0, 0, 0), last=True)),
                frame("bc", Span(1, 4, (0, 0))),
                frame("d", Span(4, 5, (0, 0))),
            ],
            (0, 0, 5),
            id="an item that has not ended",
        ),
        pytest.param(
            [frame("abcd", Span(0, 4, (0,))), frame("", Span(4, 4, (0,), last=True)), frame("", Span(1, 1))],
            (1,),
            id="an end of its own",
        ),
    ],
)
def test_frames_come_back_in_order_whatever_order_they_come_in(frames: list[Frame], after: tuple[int, ...]) -> None:
    for mixed in permutations(frames):
        ready, order = pushed(*mixed)
        assert (ready, order.next, order.waiting) == ("abcd", after, 0)
        ready, order = pushed(*mixed, *mixed)
        assert (ready, order.next, order.waiting) == ("abcd", after, 0)


def test_what_comes_too_early_is_held() -> None:
    ready, order = pushed(frame("cd", Span(2, 4)), frame("a", Span(0, 1)), frame("ef", Span(5, 7)))
    assert (ready, order.next, order.waiting) == ("a", (1,), 2)


def test_part_of_an_item_is_held_until_the_parts_before_have_come() -> None:
    ready, order = pushed(frame("c", Span(2, 3, (0,))), frame("a", Span(0, 1, (0,))), frame("e", Span(1, 2)))
    assert (ready, order.next, order.waiting) == ("a", (0, 1), 2)


def test_a_frame_that_comes_twice_while_it_is_held_is_given_once() -> None:
    early = frame("b", Span(1, 2))
    ready, order = pushed(early, early, frame("a", Span(0, 1)))
    assert (ready, order.next, order.waiting) == ("ab", (2,), 0)


def given(first: Frame, second: Frame) -> tuple[str, Span, Sequence[int] | None]:
    """What is given of the second one."""
    _, order = pushed(first)
    order.push(second)
    (rest,) = order.ready()
    return "".join(rest.entries), rest.span, rest.numbers


def test_of_a_frame_that_begins_with_what_was_given_only_the_rest_is_given() -> None:
    assert given(frame("abc", Span(0, 3)), frame("bcde", Span(1, 5))) == ("de", Span(3, 5), None)


def test_of_a_numbered_frame_too_only_the_rest_is_given() -> None:
    second = frame("abbcde", Span(0, 9), [0, 2, 2, 4, 4, 7])
    assert given(frame("abb", Span(0, 4), [0, 2, 2]), second) == ("cde", Span(4, 9), [4, 4, 7])


def test_of_parts_of_an_item_too_only_the_rest_is_given() -> None:
    assert given(frame("ab", Span(0, 2, (0,))), frame("bcd", Span(1, 4, (0,), True))) == (
        "cd",
        Span(2, 4, (0,), True),
        None,
    )


def test_a_frame_of_which_nothing_new_is_left_but_its_end_is_given() -> None:
    second = frame("bb", Span(0, 9), [1, 1])
    assert given(frame("bb", Span(0, 3), [1, 1]), second) == ("", Span(3, 9), [])


def test_what_is_given_of_a_frame_keeps_all_else_that_it_carries() -> None:
    def decode(entry: Any) -> Any:
        return entry

    second = Frame(2, Span(0, 2, origin=3), ["a", "b"], None, decode, 70)
    order = Order()
    for each in (frame("a", Span(0, 1)), second):
        order.push(each)
    *_, rest = order.ready()
    assert rest == Frame(2, Span(1, 2, origin=3), ["b"], None, decode, 70)
    # Whoever sent it by reference may still have it.
    assert second.entries == ["a", "b"]


def test_ready_may_be_left_after_any_frame() -> None:
    order = Order()
    for number in range(3):
        order.push(frame("abc"[number], Span(number, number + 1)))
    assert [next(order.ready()).entries for _ in range(3)] == [["a"], ["b"], ["c"]]
    assert order.next == (3,)
