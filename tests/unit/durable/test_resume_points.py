"""Where each origin goes on, for a set of numbers that are done and checkpoints."""

from __future__ import annotations

from chainpump.durable.checkpoints import Checkpoints
from chainpump.durable.content import Checkpoint
from chainpump.durable.ranges import Ranges
from chainpump.durable.resume_points import ResumePoint, resume_points

NONE = Ranges()


def below(stop: int) -> Ranges:
    return Ranges([(0, stop)])


def test_source_alone_leaves_out_what_is_done() -> None:
    done = Ranges([(0, 3), (5, 6)])
    assert resume_points(done, [0]) == {0: ResumePoint(0, done)}


def test_origins_without_checkpoints_begin_again_and_only_the_last_one_leaves_out_what_is_done() -> None:
    assert resume_points(below(9), [0, 2, 3]) == {
        0: ResumePoint(0, NONE),
        2: ResumePoint(0, NONE),
        3: ResumePoint(0, below(9)),
    }


def test_last_checkpoint_before_the_first_item_that_is_not_done_counts() -> None:
    checkpoints = [Checkpoint(1, 4, 40), Checkpoint(1, 7, 70), Checkpoint(1, 8, 80)]
    done = Ranges([(0, 7), (8, 20)])
    assert resume_points(done, [0, 1], checkpoints) == {0: ResumePoint(0, below(70)), 1: ResumePoint(7, done)}


def test_what_an_origin_needs_decides_about_the_checkpoint_of_the_origin_before() -> None:
    checkpoints = [Checkpoint(3, 50, 9), Checkpoint(1, 8, 81), Checkpoint(1, 10, 99)]
    assert resume_points(below(60), [0, 1, 3], checkpoints) == {
        0: ResumePoint(0, below(81)),
        1: ResumePoint(8, below(9)),
        3: ResumePoint(50, below(60)),
    }


def test_checkpoint_in_front_of_an_origin_that_begins_again_is_of_no_use() -> None:
    points = resume_points(below(60), [0, 1, 3], [Checkpoint(1, 8, 81)])
    assert points[0] == ResumePoint(0, NONE)
    assert points[1] == ResumePoint(0, NONE)


def test_checkpoints_come_while_a_run_goes_on_and_early_ones_are_forgotten() -> None:
    points = Checkpoints([0, 1, 3])
    assert points.at(100) == ()
    first, second, inner = Checkpoint(3, 10, 2), Checkpoint(3, 20, 4), Checkpoint(1, 2, 200)
    for each in (first, inner, second):
        points.add(each)
    assert points.at(9) == ()
    assert points.at(19) == (first, inner)
    assert points.at(20) == (second, inner)
    # There is no way back to the first one.
    assert points.at(19) == ()


def test_checkpoints_of_stages_that_are_no_origins_are_left_out() -> None:
    assert Checkpoints([0, 1], [Checkpoint(2, 1, 1), Checkpoint(0, 1, 1)]).at(5) == ()
