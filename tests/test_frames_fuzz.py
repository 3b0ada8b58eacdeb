"""handlers/frames.py under fire: any bytes, any split, the same messages, one kind of refusal, bounded memory."""

from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st
from peer import client_frame

from handlers.frames import FrameError, Opcode, Parser, build, build_close, parse_close, unmask, unmask_slowly

LIMIT = 5000
HELD = LIMIT + 131  # a message, and a control frame that is not whole
Event = tuple[int, bytes]

patient = settings(deadline=None)  # a busy machine is no fault of the parser
masks = st.binary(min_size=4, max_size=4)
controls = st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=125))
messages = st.one_of(
    st.tuples(st.just(Opcode.BINARY), st.binary(max_size=1500)),
    st.tuples(st.just(Opcode.TEXT), st.text(max_size=400).map(str.encode)),
)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[bytes, list[Event]]:
    """The bytes of a client that keeps to the RFC, and what it says by them."""
    data, events = b"", []
    for opcode, payload in draw(st.lists(messages, max_size=5)):
        cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
        edges = list(pairwise([0, *cuts, len(payload)]))
        for number, (begin, end) in enumerate(edges):
            kind, final = (opcode if number == 0 else Opcode.CONTINUATION), number == len(edges) - 1
            data += client_frame(kind, payload[begin:end], final=final, mask=draw(masks))
            if not final and draw(st.booleans()):
                control = draw(controls)
                data += client_frame(*control, mask=draw(masks))
                events.append(control)
        events.append((opcode, payload))
    return data, events


def run(pieces: list[bytes]) -> tuple[list[Event], int | None]:
    """What a parser makes of these pieces, and the code it refuses the rest with. It never holds more than it may."""
    parser = Parser(LIMIT)
    events: list[Event] = []
    for piece in pieces:
        parser.feed(piece)
        try:
            while (event := parser.next()) is not None:
                events.append((event[0], bytes(event[1])))
        except FrameError as error:
            return events, error.code
        assert len(parser._buffer) + len(parser._message or b"") + len(parser._tail) <= HELD
    return events, None


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """The data in pieces."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]


cut_lists = st.lists(st.integers(0, 1 << 16), max_size=20)


@patient
@given(conversations(), cut_lists)
def test_a_valid_conversation_is_understood_whatever_its_pieces(
    conversation: tuple[bytes, list[Event]], cuts: list[int]
) -> None:
    data, events = conversation
    assert run(split(data, cuts)) == (events, None)


@settings(deadline=None, max_examples=30)
@given(conversations())
def test_a_valid_conversation_is_understood_byte_by_byte(conversation: tuple[bytes, list[Event]]) -> None:
    data, events = conversation
    assert run([data[i : i + 1] for i in range(len(data))]) == (events, None)


@patient
@given(st.binary(max_size=400), cut_lists)
@example(b"\x81\xfe\x00\x7e", [1, 2, 3])
def test_any_bytes_mean_the_same_whatever_their_pieces(data: bytes, cuts: list[int]) -> None:
    assert run(split(data, cuts)) == run([data])


@patient
@given(conversations(), st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=4), cut_lists)
def test_a_damaged_conversation_means_the_same_whatever_its_pieces(
    conversation: tuple[bytes, list[Event]], damages: list[tuple[int, int]], cuts: list[int]
) -> None:
    data = bytearray(conversation[0] or b"\x00")
    for at, value in damages:
        data[at % len(data)] = value
    assert run(split(bytes(data), cuts)) == run([bytes(data)])


@patient
@given(st.binary(max_size=125))
def test_any_payload_of_a_close_is_understood_or_refused(payload: bytes) -> None:
    try:
        code, _ = parse_close(payload)
    except FrameError as error:
        code = error.code
    assert code == 1005 if not payload else 1000 <= code < 5000


@patient
@given(masks, st.binary(max_size=300))
def test_both_ways_to_unmask_agree(mask: bytes, data: bytes) -> None:
    assert unmask(mask, data) == unmask_slowly(mask, data) == bytes(b ^ mask[i % 4] for i, b in enumerate(data))


@patient
@given(st.sampled_from([Opcode.TEXT, Opcode.BINARY]), st.sampled_from([0, 1, 125, 126, 127, 65535, 65536]))
def test_a_frame_is_built_in_its_shortest_form(opcode: Opcode, size: int) -> None:
    unmasked = build(opcode, b"x" * size)
    assert unmasked == client_frame(opcode, b"x" * size, mask=None)


@patient
@given(st.text(max_size=200))
def test_a_reason_too_long_for_a_close_is_cut_at_a_character(reason: str) -> None:
    frame = build_close(4000, reason)
    assert len(frame) <= 127
    code, said = parse_close(frame[2:])
    assert code == 4000
    assert reason.startswith(said)
