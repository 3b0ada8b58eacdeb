"""handlers/frames.py: what is a message, what is refused, whatever the pieces it comes in."""

import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from peer import client_frame

from handlers.frames import (
    FrameError,
    Opcode,
    Parser,
    parse_close,
)

Events = list[tuple[int, bytes]]
LIMIT = 1 << 20
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = Opcode


def take(parser: Parser) -> Events:
    """All that is there."""
    events: Events = []
    while (event := parser.next()) is not None:
        events.append((event[0], bytes(event[1])))
    return events


def parse(*pieces: bytes, limit: int = LIMIT) -> Events:
    """What a client has said, in these pieces."""
    parser = Parser(limit)
    events: Events = []
    for piece in pieces:
        parser.feed(piece)
        events += take(parser)
    return events


def refused(*pieces: bytes, limit: int = LIMIT) -> int:
    """The close code that these bytes are refused with."""
    with pytest.raises(FrameError) as refusal:
        parse(*pieces, limit=limit)
    return refusal.value.code


# messages


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_a_message_of_any_length_is_read_whole(size: int) -> None:
    assert parse(client_frame(BINARY, b"x" * size)) == [(BINARY, b"x" * size)]


def test_a_text_is_handed_on_as_its_bytes() -> None:
    assert parse(client_frame(TEXT, "grüße 🌬".encode())) == [(TEXT, "grüße 🌬".encode())]


def test_several_frames_in_one_read_are_several_messages() -> None:
    assert parse(client_frame(TEXT, b"a") + client_frame(BINARY, b"b")) == [(TEXT, b"a"), (BINARY, b"b")]


def test_fragments_are_one_message() -> None:
    pieces = (TEXT, b"gr", False), (CONTINUATION, "üß".encode(), False), (CONTINUATION, b"e", True)
    data = b"".join(client_frame(opcode, payload, final=final) for opcode, payload, final in pieces)
    assert parse(data) == [(TEXT, "grüße".encode())]


def test_a_message_of_empty_fragments_is_empty() -> None:
    data = client_frame(TEXT, final=False) + client_frame(CONTINUATION, final=False) + client_frame(CONTINUATION)
    assert parse(data) == [(TEXT, b"")]


def test_a_control_frame_between_fragments_comes_before_the_message() -> None:
    data = client_frame(TEXT, b"a", final=False) + client_frame(PING, b"now") + client_frame(CONTINUATION, b"b")
    assert parse(data) == [(PING, b"now"), (TEXT, b"ab")]


def test_a_character_may_be_cut_by_fragments() -> None:
    wind = "🌬".encode()
    frames = [client_frame(TEXT, wind[:1], final=False), client_frame(CONTINUATION, wind[1:3], final=False)]
    assert parse(*frames, client_frame(CONTINUATION, wind[3:])) == [(TEXT, wind)]


def test_a_header_is_never_taken_for_more_than_has_come() -> None:
    frame = client_frame(BINARY, b"y" * 70000)
    assert parse(*(frame[i : i + 1] for i in range(len(frame)))) == [(BINARY, b"y" * 70000)]


# what may not come


def test_an_unmasked_frame_is_refused() -> None:
    assert refused(client_frame(TEXT, b"a", mask=None)) == 1002


@pytest.mark.parametrize("reserved", [0x10, 0x20, 0x40, 0x70])
def test_a_reserved_bit_is_refused(reserved: int) -> None:
    assert refused(client_frame(TEXT, b"a", reserved=reserved)) == 1002


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_a_reserved_opcode_is_refused_at_its_first_byte(opcode: int) -> None:
    assert refused(client_frame(opcode)[:1]) == 1002


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_fragmented_control_frame_is_refused(opcode: int) -> None:
    assert refused(client_frame(opcode, final=False)) == 1002


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_control_frame_of_126_bytes_is_refused_at_its_second_byte(opcode: int) -> None:
    assert refused(client_frame(opcode, b"x" * 126)[:2]) == 1002


def test_a_continuation_of_nothing_is_refused() -> None:
    assert refused(client_frame(CONTINUATION, b"a")) == 1002
    assert refused(client_frame(TEXT, b"a") + client_frame(CONTINUATION, b"a")) == 1002


def test_a_message_within_another_is_refused() -> None:
    assert refused(client_frame(TEXT, b"a", final=False) + client_frame(TEXT, b"b")) == 1002
    assert refused(client_frame(TEXT, b"", final=False) + client_frame(BINARY, b"b")) == 1002


def test_a_length_in_more_bytes_than_it_needs_is_refused() -> None:
    assert refused(bytes([0x82, 0x80 | 126]) + (125).to_bytes(2) + b"mask") == 1002
    assert refused(bytes([0x82, 0x80 | 127]) + (65535).to_bytes(8) + b"mask") == 1002


def test_a_length_of_64_bits_is_refused() -> None:
    assert refused(bytes([0x82, 0x80 | 127]) + (1 << 63).to_bytes(8) + b"mask") == 1002


# texts


def may_go_on(data: bytes) -> bool:
    """Whether some valid UTF-8 begins with these bytes."""
    tails = [b""] + [bytes([first, *rest]) for first in (0x80, 0x90, 0xBF) for rest in ([], [0x80], [0x80, 0x80])]
    for tail in tails:
        try:
            (data + tail).decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


@settings(deadline=None, max_examples=1000)
@example([0xED, 0xA0])
@example([0xF4, 0x90])
@given(st.lists(st.sampled_from([0x41, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xF0, 0xF4, 0xFF])))
def test_a_text_is_refused_at_the_first_byte_that_no_valid_one_has(values: list[int]) -> None:
    data = bytes(values)
    parser = Parser(LIMIT)
    frame = client_frame(TEXT, data + b"\x41" * 200)
    parser.feed(frame[:8])
    take(parser)
    for index in range(len(data)):
        parser.feed(frame[8 + index : 9 + index])
        if may_go_on(data[: index + 1]):
            take(parser)
            continue
        with pytest.raises(FrameError, match="1007"):
            take(parser)
        return


def test_a_bad_byte_is_noticed_in_the_middle_of_a_fragment() -> None:
    begun = client_frame(TEXT, "κόσμε".encode(), final=False)
    bad = client_frame(CONTINUATION, b"\xf4\x90\x80\x80" + b"edited" * 100, final=False)
    assert refused(begun, bad[:10]) == 1007


def test_a_text_that_ends_within_a_character_is_refused() -> None:
    assert refused(client_frame(TEXT, "ü".encode()[:1])) == 1007
    assert refused(client_frame(TEXT, "ü".encode()[:1], final=False), client_frame(CONTINUATION)) == 1007


def test_bytes_that_are_no_text_need_not_be_one() -> None:
    pieces = client_frame(BINARY, b"\xff", final=False), client_frame(CONTINUATION, b"\xfe")
    assert parse(*pieces) == [(BINARY, b"\xff\xfe")]


# closes


def test_of_all_close_codes_only_those_of_the_registry_and_of_applications_are_valid() -> None:
    valid = {*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)}
    for code in range(0x10000):
        if code in valid:
            assert parse_close(code.to_bytes(2)) == (code, "")
            continue
        with pytest.raises(FrameError, match="1002"):
            parse_close(code.to_bytes(2))


def test_a_close_may_have_no_code() -> None:
    assert parse_close(b"") == (1005, "")


def test_half_a_close_code_is_refused() -> None:
    with pytest.raises(FrameError, match="1002"):
        parse_close(b"\x03")


def test_a_reason_that_is_no_utf8_is_refused() -> None:
    assert parse_close((1000).to_bytes(2) + "grüße".encode()) == (1000, "grüße")
    with pytest.raises(FrameError, match="1007"):
        parse_close((1000).to_bytes(2) + b"\xc3")


# limits


def test_a_message_over_the_limit_is_refused_by_its_header() -> None:
    assert parse(client_frame(BINARY, b"x" * 300), limit=300) == [(BINARY, b"x" * 300)]
    assert refused(client_frame(BINARY, b"x" * 301)[:8], limit=300) == 1009


def test_fragments_count_together() -> None:
    half = client_frame(BINARY, b"x" * 200, final=False)
    assert refused(half, client_frame(CONTINUATION, b"x" * 101)[:6], limit=300) == 1009


def test_the_code_for_a_message_over_the_limit_is_the_owners() -> None:
    parser = Parser(10, too_big=4004)
    parser.feed(client_frame(TEXT, b"x" * 11))
    with pytest.raises(FrameError, match="4004"):
        parser.next()


def test_a_limit_raised_after_one_message_holds_for_the_next_of_the_same_read() -> None:
    parser = Parser(10)
    parser.feed(client_frame(TEXT, b"hello") + client_frame(TEXT, b"x" * 1000))
    assert parser.next() == (TEXT, b"hello")
    parser.max_bytes = 1000
    assert parser.next() == (TEXT, b"x" * 1000)


def test_a_length_announced_takes_no_memory() -> None:
    parser = Parser(1 << 40)
    tracemalloc.start()
    try:
        parser.feed(bytes([0x82, 0x80 | 127]) + (1 << 39).to_bytes(8) + b"mask" + b"x" * 100)
        assert parser.next() is None
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()


def test_what_was_taken_is_not_held() -> None:
    parser = Parser(1 << 20)
    frame = client_frame(BINARY, b"x" * 200_000) + client_frame(PING)[:3]
    tracemalloc.start()
    try:
        parser.feed(frame[:100_000])
        take(parser)
        parser.feed(frame[100_000:])
        take(parser)
        assert tracemalloc.get_traced_memory()[0] < 2_000
    finally:
        tracemalloc.stop()
