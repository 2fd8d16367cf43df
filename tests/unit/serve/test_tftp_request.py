"""TFTP requests and their options, as values."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from si.serve.tftp_request import (
    RequestRefused,
    acknowledge_packet,
    answer_options,
    error_packet,
    parse_request,
)
from si.serve.tftp_session import NetasciiReader


def test_a_request_with_options() -> None:
    request = parse_request(b"\0\1/boot//./a.bin\0OcTeT\0BlkSize\x001400\0tsize\x000\0")
    assert (request.path, request.netascii) == ("boot/a.bin", False)
    answer = answer_options(request, size=7)
    assert (answer.block, answer.timeout_s) == (1400, None)
    assert answer.acknowledged == ((b"BlkSize", b"1400"), (b"tsize", b"7"))
    assert acknowledge_packet(answer.acknowledged) == b"\0\6BlkSize\x001400\0tsize\x007\0"


def test_without_a_known_size_tsize_is_not_granted() -> None:
    request = parse_request(b"\0\1a\0netascii\0tsize\x000\0")
    assert request.netascii
    assert answer_options(request, size=None).acknowledged == ()


@given(st.binary(max_size=600))
def test_any_packet_is_a_request_or_is_refused(packet: bytes) -> None:
    for tried in (packet, b"\0\1" + packet, b"\0\1f\0octet\0" + packet):
        try:
            request = parse_request(tried)
        except RequestRefused as refusal:
            assert error_packet(refusal.code, refusal.message).endswith(b"\0")
            continue
        assert ".." not in request.path.split("/")
        assert not request.path.startswith("/")
        answer = answer_options(request, size=5)
        assert 8 <= answer.block <= 65464
        asked = {name for name, _ in request.options}
        assert {name for name, _ in answer.acknowledged} <= asked


@pytest.mark.parametrize("step", [1, 2, 7, 512])
def test_netascii_is_the_same_whatever_is_read_at_once(step: int) -> None:
    reader = NetasciiReader(io.BytesIO(b"a\nb\r\nc\rd" * 9))
    got = b"".join(iter(lambda: reader.read(step), b""))
    assert got == b"a\r\nb\r\0\r\nc\r\0d" * 9
