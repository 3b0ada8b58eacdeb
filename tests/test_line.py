"""The line between a worker and its processes: messages come out as they went in, however they were cut."""

from hypothesis import given
from hypothesis import strategies as st

from server.line import Reading, Word, message

CONTENTS = st.lists(st.one_of(st.none(), st.integers(0, 2**32), st.binary(max_size=300), st.text(max_size=50)))


@given(st.lists(st.tuples(st.sampled_from(Word), CONTENTS), max_size=8), st.integers(1, 97))
def test_messages_come_whole_and_in_order_however_they_are_cut(said: list[tuple[Word, list[object]]], cut: int) -> None:
    data = b"".join(message(word, *content) for word, content in said)
    reading, heard = Reading(), []
    for start in range(0, len(data), cut):
        reading.feed(data[start : start + cut])
        heard += list(reading)
    assert heard == said


def test_half_a_message_waits() -> None:
    reading, data = Reading(), message(Word.SAID, {"done": 1}, [b"entry"])
    reading.feed(data[:-1])
    assert list(reading) == []
    reading.feed(data[-1:])
    assert list(reading) == [(Word.SAID, [{"done": 1}, [b"entry"]])]
    assert list(reading) == []
