"""Clients added to and removed from a document that people edit too."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.cluster import parse_cluster
from si.cluster.edit import EMPTY, add_client, remove_client
from si.errors import ClientExists, ClientUnknown, DocumentInvalid

HAND = b"""<?xml version='1.0'?>
<!-- ours; see the wiki -->
<cluster>
\t<group   name='w'
\t         priority="3"><clients>web[1-2]</clients></group>

\t<client name='web1'   mac="52:54:00:00:00:01"
\t        ip = "10.0.0.1" image="a"/> <!-- first > one -->
\t<!-- <client name="old"/> -->
\t<client name="db" mac='52-54-00-00-00-02' ><network domain="a.b"/></client>

</cluster>
<!-- end -->
"""
ANCESTOR = b"<xml><name>a</name><override>a</override></xml>"
NEW = {"name": "web2", "mac": "52:54:00:00:00:99"}
LINE = b'<client name="web2" mac="52:54:00:00:00:99"/>'


def test_a_new_client_stands_after_the_last_and_nothing_else_changes() -> None:
    new = add_client(HAND, "c", NEW)
    assert new == HAND.replace(b"</client>\n", b"</client>\n\t" + LINE + b"\n")
    assert remove_client(new, "c", "web2") == HAND


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (b"<cluster/>", b"<cluster>\n  " + LINE + b"\n</cluster>"),
        (b'<cluster name="x" />\n', b'<cluster name="x">\n  ' + LINE + b"\n</cluster>\n"),
        (b"<cluster></cluster>", b"<cluster>\n  " + LINE + b"\n</cluster>"),
        (b"<cluster><client name='a'/></cluster>", b"<client name='a'/>\n  " + LINE),
        (EMPTY, b"<cluster>\n  " + LINE + b"\n</cluster>\n"),
    ],
)
def test_documents_without_room_get_it(text: bytes, wanted: bytes) -> None:
    assert wanted in add_client(text, "c", NEW)


def test_other_bytes_survive_other_encodings() -> None:
    text = '<?xml version="1.0" encoding="ISO-8859-1"?>\n<cluster><!-- é --></cluster>\n'
    new = add_client(text.encode("latin-1"), "c", NEW)
    assert new.decode("latin-1") == text.replace("--></", "-->\n  " + LINE.decode() + "\n</")


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"name": "WEB1", "mac": "52:54:00:00:00:99"}, "client 'web1' stands already in c:7"),
        ({"name": "x", "mac": "52:54:00:00:00:02"}, "is that of 'db' in c:10"),
        ({"name": "x", "mac": "52:54:00:00:00:98", "ip": "10.0.0.1"}, "'web1' in c:7"),
    ],
)
def test_doubles_are_refused_with_the_line_of_the_other(
    attributes: dict[str, str], words: str
) -> None:
    with pytest.raises(ClientExists) as caught:
        add_client(HAND, "c", attributes)
    assert words in caught.value.message


def test_removing_takes_the_element_alone_when_the_line_has_more() -> None:
    new = remove_client(HAND, "c", "WEB1")
    begin, end = HAND.index(b"<client name='web1'"), HAND.index(b" <!-- first")
    assert new == HAND[:begin] + HAND[end:]
    assert "web1" in {client.name for client in parse_cluster(new, "c").clients}


def test_who_cannot_be_removed() -> None:
    with pytest.raises(ClientUnknown):
        remove_client(HAND, "c", "old")
    with pytest.raises(ClientUnknown, match="range of a group") as caught:
        remove_client(HAND, "c", "web2")
    assert caught.value.hint == "take it out of <clients> of w by hand"


@pytest.mark.parametrize(
    "text",
    [b"<cluster", b"<cluster><x/></cluster>", ANCESTOR],
)
def test_documents_that_cannot_be_edited_are_not(text: bytes) -> None:
    with pytest.raises(DocumentInvalid):
        add_client(text, "c", NEW)


def test_utf_16_is_not_spoilt() -> None:
    with pytest.raises(DocumentInvalid):
        add_client(
            HAND.decode().replace("'1.0'", "'1.0' encoding='UTF-16'").encode("utf-16"), "c", NEW
        )


@given(st.lists(st.integers(1, 99), min_size=1, max_size=8, unique=True), st.randoms())
def test_adding_and_removing_in_any_order_ends_where_it_began(
    numbers: list[int], chance: random.Random
) -> None:
    data = HAND
    for number in numbers:
        data = add_client(data, "c", {"name": f"n{number}", "mac": f"52:54:00:01:00:{number:02x}"})
    chance.shuffle(numbers)
    for number in numbers:
        data = remove_client(data, "c", f"n{number}")
    assert data == HAND
