"""Nests of users, where lists are containers."""
from typing import Any, NamedTuple

import pytest

from rnnref.errors import ShapeError
from rnnref.nest import align, flatten, map_structure, unflatten


class Pair(NamedTuple):
    a: Any
    b: Any


TREE = {"x": [1, (2, None)], "y": Pair(3, {"z": 4}), "w": []}


def test_structures_are_kept():
    assert flatten(TREE) == [1, 2, None, 3, 4] and flatten(5) == [5]
    assert map_structure(lambda a: a and -a, TREE) == {"x": [-1, (-2, None)], "y": Pair(-3, {"z": -4}), "w": []}
    assert unflatten(TREE, "abcde") == {"x": ["a", ("b", "c")], "y": Pair("d", {"z": "e"}), "w": []}
    assert isinstance(map_structure(str, Pair(1, 2)), Pair)


def test_other_nests_are_aligned():
    assert align(TREE, {"y": [30, {"z": 40}], "x": None, "w": ()}) == [None, None, None, 30, 40]
    assert align(1, [2]) == [[2]]


@pytest.mark.parametrize("tree, other, says", (
    ({"a": 1}, [1], "me: a list of 1, expected a dict of a"), ({"a": 1}, {"b": 1}, "a dict of b, expected a dict of a"),
    ([1, 2], [1], "a list of 1, expected a list of 2"), ([1], 5, "an int, expected a list of 1"),
))
def test_nests_that_do_not_fit_are_refused(tree, other, says):
    with pytest.raises(ShapeError) as error:
        align(tree, other, "me")
    assert says in str(error.value)
