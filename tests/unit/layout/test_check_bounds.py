"""What is just allowed, and what just is not: both sides of every bound that a layout has."""

from __future__ import annotations

from collections.abc import Callable

from tests.unit.layout.test_check_layers import find

Problems = Callable[..., list[str]]


def test_shares_may_be_all_of_a_group_but_nothing_else_is_left_then() -> None:
    half, rest = 'size="1GiB"', 'size="*"'
    assert find((half, 'size="40%VG"'), (rest, 'size="5%VG"')) == []
    assert find((half, 'size="40%VG"'), (rest, 'size="60%VG"')) == [
        "19: the percentages take all of sys: nothing is left for its other volumes"
    ]
    assert find((half, 'size="40%VG"'), (rest, 'size="61%VG"')) == [
        "19: the percentages of sys add up to 101, more than 100"
    ]
    assert find(('size="4GiB"', 'size="20%VG"'), (half, 'size="40%VG"'), (rest, 'size="40%"')) == []
