"""The estimate of one step and its parts, without a device."""
import itertools
import math

import pytest

from rnnref.cuda.tiling import Task, clocks, microseconds, parts, tiling

TASKS = [Task(way, 4, n, rows, "float", S, 90) for way, n, rows, S in itertools.product(
    ("Ahead", "Back"), (20, 256, 512), (1, 16, 64, 600), ("float", "tf32", "bfloat16"))]


@pytest.mark.parametrize("task", TASKS, ids=str)
def test_the_parts_are_the_whole(task):
    t = tiling(task)
    one, (_, arithmetic, moved, *_) = parts(t, task), clocks(t, task)
    assert math.isclose(sum(one), microseconds(t, task), rel_tol=1e-12)
    assert (one.shared, one.arithmetic)[moved > arithmetic] == 0 < one.arithmetic + one.shared
    assert min(one) == 0 and (one.exchange > 0) == (t.blocks > 1)


def test_clusters_that_wait_for_others_take_their_time_again():
    """600 rows of 256 units are more clusters than a card has room for."""
    task = Task("Ahead", 4, 256, 600, "float", "float", 90)
    t = tiling(task)
    alone, crowded = (parts(t, task._replace(rows=rows)) for rows in (t.group, task.rows))
    assert all(math.isclose(many, 5 * one) for many, one in zip(crowded, alone))
