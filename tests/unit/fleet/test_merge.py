"""Equal lines of many clients."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from si.cluster.ranges import expand_range
from si.fleet.merge import merge_outputs, split_output


def test_clients_part_where_their_lines_do() -> None:
    outputs = {
        "a1": ("same", "x", "end"),
        "a2": ("same", "y", "end"),
        "a3": ("same", "x", "end"),
        "b": (),
        "c": ("other",),
        "d": ("same",),
    }
    assert list(merge_outputs(outputs)) == [
        "a[1-3],d: same",
        "a[1,3]: x",
        "a[1,3]: end",
        "a2: y",
        "a2: end",
        "c: other",
    ]


@given(
    st.dictionaries(
        st.sampled_from(["n1", "n2", "n10", "a-b", "db"]),
        st.lists(st.sampled_from(["", "x", "y: z"]), max_size=4),
    )
)
def test_every_client_keeps_its_lines_in_their_order(outputs: dict[str, list[str]]) -> None:
    found: dict[str, list[str]] = {client: [] for client in outputs}
    for line in merge_outputs(outputs):
        clients, _, text = line.partition(": ")
        for client in expand_range(clients):
            found[client].append(text)
    assert found == outputs


def test_many_lines_need_no_deep_stack() -> None:
    assert sum(1 for _ in merge_outputs({"a": ["x"] * 5000, "b": ["x"] * 5000})) == 5000


def test_lines_of_output() -> None:
    assert split_output(b"") == ()
    assert split_output(b"a\n\nb") == ("a", "", "b")
    assert split_output(b"\x1b[1m\n") == ("\\x1b[1m",)
    assert split_output(b"a\n", dropped=7) == ("a", "[7 bytes more were dropped]")
