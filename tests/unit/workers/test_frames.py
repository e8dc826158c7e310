import os
import threading
import time

import pytest

from tradewind.workers.frames import HEAD, Channel


@pytest.fixture
def sides():
    """Return the parent's and the child's channel."""
    first, second = os.pipe(), os.pipe()
    parent = Channel(first[0], second[1], deadlines=True, max_bytes=100 << 20)
    child = Channel(second[0], first[1], deadlines=False)
    yield parent, child
    parent.close()
    child.close()


@pytest.mark.parametrize("size", [0, 1, 15, 4096, 65_535, 65_536, 65_537, 3_000_000])
def test_a_message_arrives_whole(sides, size: int) -> None:
    parent, child = sides
    data = os.urandom(size)
    thread = threading.Thread(target=lambda: child.send(7, data))
    thread.start()
    assert parent.receive(time.monotonic() + 10) == (7, data)
    thread.join()


def test_many_messages_in_one_read_are_told_apart(sides) -> None:
    parent, child = sides
    for number in range(200):
        child.send(number, b"x" * number)
    assert [parent.receive(time.monotonic() + 5) for _ in range(200)] == [(number, b"x" * number) for number in range(200)]


def test_a_receive_that_timed_out_goes_on(sides) -> None:
    parent, child = sides
    wire = HEAD.pack(5, 3) + b"hello"
    for at in range(len(wire)):
        with pytest.raises(TimeoutError):
            parent.receive(time.monotonic() + 0.001)
        os.write(child.writes, wire[at : at + 1])
    assert parent.receive(time.monotonic() + 5) == (3, b"hello")


def test_a_send_nobody_takes_times_out(sides) -> None:
    parent, _ = sides
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        parent.send(1, bytes(10 << 20), began + 0.1)
    assert time.monotonic() - began < 2


def test_the_other_side_gone_is_the_end(sides) -> None:
    parent, child = sides
    child.send(1, b"last")
    child.close()
    assert parent.receive(time.monotonic() + 5) == (1, b"last")
    with pytest.raises(EOFError):
        parent.receive(time.monotonic() + 5)
    with pytest.raises(EOFError):
        parent.send(2, b"x", time.monotonic() + 5)


def test_half_a_message_and_the_end_is_the_end(sides) -> None:
    parent, child = sides
    os.write(child.writes, HEAD.pack(100, 1) + b"half")
    child.close()
    with pytest.raises(EOFError):
        parent.receive(time.monotonic() + 5)


def test_a_length_over_the_limit_is_no_message(sides) -> None:
    parent, child = sides
    os.write(child.writes, HEAD.pack(1 << 60, 1))
    with pytest.raises(ValueError, match="over the limit"):
        parent.receive(time.monotonic() + 5)
