"""WebSocket /ws: progress of jobs, deployment changes, counts of predictions. One socket, many topics, resumable."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from tradewind.core.errors import NotFound, NotSignedIn
from tradewind.core.event import Event
from tradewind.http.jobs import Job, Jobs, step_data
from tradewind.http.limits import Limits
from tradewind.http.measures import Measures
from tradewind.http.sign_in import Guest, SignIn

LOG = logging.getLogger("tradewind.http")
DEPLOYMENTS = ("promote", "rollback", "split", "update")
SHOWN = ("model", "version", "updated_from", "challenger", "share", "reason", "forced")
POLL_S = 0.25
HEARTBEAT_S = 20.0
MOST_WAITING = 1000
MOST_TOPICS = 50
MOST_REPLAYED = 500


class Said(msgspec.Struct):
    """What a client may say: which topics, and the last seq it saw of them."""

    type: str
    topics: list[str] = []
    after: int | None = None


def envelope(kind: str, topic: str, seq: int, data: Any, at: str = "") -> dict[str, Any]:
    """Return one message: `seq` is the ledger's id for deployments, the job's own count for jobs."""
    return {
        "v": 1,
        "id": f"{topic}:{seq}",
        "type": kind,
        "topic": topic,
        "seq": seq,
        "ts": at or datetime.now(UTC).isoformat(timespec="milliseconds"),
        "data": data,
    }


class Socket:
    """One open socket: its topics, and what waits to be sent to it."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.topics: set[str] = set()
        self.full = False
        self._waiting: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._ready = asyncio.Event()

    def offer(self, message: dict[str, Any], *, newest_only: str = "") -> None:
        """Queue a message; of those with one `newest_only` name just the last is kept, so that a slow client is not buried."""
        name = newest_only or str(message["id"])
        self._waiting.pop(name, None)
        self._waiting[name] = message
        self.full = self.full or len(self._waiting) > MOST_WAITING
        self._ready.set()

    async def take(self, wait_s: float) -> list[dict[str, Any]]:
        """Return what waits, after at most `wait_s`; nothing means that nothing came."""
        try:
            async with asyncio.timeout(wait_s):
                await self._ready.wait()
        except TimeoutError:
            return []
        self._ready.clear()
        messages = list(self._waiting.values())
        self._waiting.clear()
        return messages


class Hub:
    """Pass on what happens to every socket that asked for it. One task follows the ledger for all of them."""

    def __init__(self, desk: Any, sign_in: SignIn, jobs: Jobs, measures: Measures, limits: Limits) -> None:
        self._desk, self._sign_in, self._jobs, self._measures, self._limits = desk, sign_in, jobs, measures, limits
        self._sockets: set[Socket] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._head = 0
        self._counted: tuple[float, int] = (0.0, 0)

    def __len__(self) -> int:
        return len(self._sockets)

    def start(self) -> asyncio.Task[None]:
        """Begin to follow the ledger and the jobs; return the task to cancel at the end."""
        self._loop = asyncio.get_running_loop()
        self._head = self._desk.ledger.head()
        self._jobs.tell = self._told
        return self._loop.create_task(self._follow())

    def _told(self, job: Job) -> None:
        message = job_message(job)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._pass_on, message, f"job.{job.id}" if job.state == "running" else "")

    def _pass_on(self, message: dict[str, Any], newest_only: str = "") -> None:
        for socket in self._sockets:
            if message["topic"] in socket.topics:
                socket.offer(message, newest_only=newest_only)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            try:
                head = self._desk.ledger.head()
                if head > self._head:
                    switched = await asyncio.to_thread(self._desk.ledger.read, *DEPLOYMENTS, after=self._head)
                    for event in switched:
                        self._pass_on(deployment_message(event))
                    self._head = max(head, *(event.id for event in switched), 0)
                    if switched:  # by another process, perhaps: then this one has not loaded the version yet
                        await asyncio.to_thread(self._desk.warm)
                if any("counts" in socket.topics for socket in self._sockets):
                    self._pass_on(self._counts(), "counts")
            except Exception as error:  # noqa: BLE001 - what fails now may work a moment later; the sockets stay
                LOG.warning("the ledger could not be followed: %s", error)

    def _counts(self) -> dict[str, Any]:
        now, total = time.monotonic(), sum(self._measures.counts.values())
        then, before = self._counted
        self._counted = (now, total)
        rate = (total - before) / (now - then) if then else 0.0
        return envelope(
            "counts", "counts", self._head, {"predictions": total, "per_second": round(rate, 1), "models": dict(self._measures.counts)}
        )

    async def serve(self, socket: WebSocket) -> None:
        """Talk to one client until it leaves, its token ends, or it is too slow to follow."""
        guest: Guest = socket.scope["guest"]
        if len(self._sockets) >= self._limits.sockets:
            await socket.close(1013)
            return
        await socket.accept()
        mine = Socket(guest)
        self._sockets.add(mine)
        try:
            async with asyncio.TaskGroup() as both:
                writer = both.create_task(self._write(socket, mine))
                both.create_task(self._listen(socket, mine, writer))
        except* (WebSocketDisconnect, RuntimeError):  # starlette raises RuntimeError for a send after the client has gone
            pass
        finally:
            self._sockets.discard(mine)

    async def _listen(self, socket: WebSocket, mine: Socket, writer: asyncio.Task[None]) -> None:
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                try:
                    said = msgspec.json.decode(message.get("text") or b"", type=Said)
                except (msgspec.DecodeError, RecursionError) as error:
                    mine.offer(envelope("error", "", 0, {"detail": f"not a message of ours: {error}"}))
                    continue
                await self._heard(mine, said)
        finally:
            writer.cancel()

    async def _heard(self, mine: Socket, said: Said) -> None:
        if said.type == "subscribe":
            for topic in said.topics:
                if (
                    not (topic in ("deployment", "counts") or topic.startswith("job."))
                    or len(mine.topics) >= MOST_TOPICS
                    or not mine.guest.actor.may("read")
                ):
                    mine.offer(
                        envelope(
                            "error",
                            topic[:80],
                            0,
                            {"detail": "there is no such topic for you", "topics": ["job.{id}", "deployment", "counts"]},
                        )
                    )
                    continue
                mine.topics.add(topic)
                for message in await self._missed(topic, said.after):
                    mine.offer(message)
        elif said.type == "unsubscribe":
            mine.topics.difference_update(said.topics)
        elif said.type == "ping":
            mine.offer(envelope("pong", "", self._head, {}))
        else:
            mine.offer(envelope("error", "", 0, {"detail": "type is subscribe, unsubscribe or ping"}))

    async def _missed(self, topic: str, after: int | None) -> Iterable[dict[str, Any]]:
        """Return what a resuming client has not seen; a job's latest state comes without asking."""
        if topic == "deployment":
            if after is None:
                return []
            return [
                deployment_message(event)
                for event in await asyncio.to_thread(self._desk.ledger.read, *DEPLOYMENTS, after=after, limit=MOST_REPLAYED)
            ]
        if topic == "counts":
            return [self._counts()]
        try:
            job = self._jobs.get(topic.removeprefix("job."))
        except NotFound:
            return [envelope("gone", topic, 0, {"detail": "there is no such job"})]
        steps = [
            envelope("progress", topic, seq, job.as_dict() | {"progress": step_data(step)})
            for seq, step in list(job.steps)
            if after is not None and seq > after
        ]
        return [*steps, job_message(job)] if after is None or job.seq > after else steps

    async def _write(self, socket: WebSocket, mine: Socket) -> None:
        await socket.send_text(
            text_of(
                envelope(
                    "hello", "", self._head, {"actor": mine.guest.actor.name, "role": mine.guest.actor.role, "heartbeat_s": HEARTBEAT_S}
                )
            )
        )
        beat = time.monotonic() + HEARTBEAT_S
        while socket.application_state == WebSocketState.CONNECTED:
            for message in await mine.take(max(0.0, beat - time.monotonic())):
                await socket.send_text(text_of(message))
            if mine.full:
                await socket.close(1013, "too slow; resume with after")
                return
            if time.monotonic() >= beat:
                beat = time.monotonic() + HEARTBEAT_S
                try:
                    self._sign_in.guest(mine.guest.token)
                except NotSignedIn:
                    await socket.close(4401, "the token ended")
                    return
                await socket.send_text(text_of(envelope("heartbeat", "", self._head, {})))


def text_of(message: dict[str, Any]) -> str:
    """Write a message."""
    return msgspec.json.encode(message).decode()


def job_message(job: Job) -> dict[str, Any]:
    """Return the latest of a job as a message: progress while it runs, then done, failed or cancelled."""
    return envelope("progress" if job.state == "running" else job.state, f"job.{job.id}", job.seq, job.as_dict())


def deployment_message(event: Event) -> dict[str, Any]:
    """Return a deployment event as a message, with the fields that a viewer may know."""
    shown = {name: event.body[name] for name in SHOWN if name in event.body}
    return envelope(event.kind, "deployment", event.id, shown | {"actor": event.actor}, event.at)
