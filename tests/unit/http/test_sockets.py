"""The socket: who may open it, what it says, and that nothing is lost when it is opened again."""

import json

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tradewind.core.event import Event
from tradewind.http.jobs import Jobs


def opened(server, role="viewer", **headers):
    address = server.address.replace("http", "ws") + "/ws"
    given = {"authorization": f"Bearer tw_{role}"} if role else {}
    return connect(address, additional_headers={**given, **headers}, proxy=None)


def heard(socket, topic, kinds=None, wait_s=5):
    """Return the next message of a topic."""
    while True:
        said = json.loads(socket.recv(timeout=wait_s))
        if said["topic"] == topic and (kinds is None or said["type"] in kinds):
            return said


@pytest.mark.parametrize(
    "headers", [{"role": ""}, {"role": "nobody"}, {"origin": "http://evil.example"}, {"origin": "null"}, {"host": "evil.example"}]
)
def test_it_opens_only_for_those_who_may(server, headers):
    with pytest.raises((InvalidStatus, ConnectionClosed)):
        opened(server, headers.pop("role", "viewer"), **headers).close()


def test_a_session_of_our_own_page_opens_it(server):
    cookie = server.as_("").post("/login", json={"token": "tw_viewer"}).headers["set-cookie"].split(";")[0]
    server.as_("").cookies.clear()
    with opened(server, "", cookie=cookie, origin=server.address) as socket:
        assert json.loads(socket.recv(timeout=5))["data"]["actor"] == "viewer"


def test_deployments_are_told_and_can_be_resumed(server):
    with opened(server) as socket:
        hello = heard(socket, "")
        assert hello["v"] == 1 and hello["type"] == "hello"
        socket.send(json.dumps({"type": "subscribe", "topics": ["deployment"]}))
        socket.send(json.dumps({"type": "ping"}))
        assert heard(socket, "")["type"] == "pong"
        server.as_("approver").post("/api/v1/models/demand/promote", json={"version": 2})
        said = heard(socket, "deployment")
        assert said["type"] == "promote" and said["data"] == {"model": "demand", "version": 2, "actor": "approver"}
        assert said["seq"] == server.desk.ledger.head() and said["ts"]
    server.desk.ledger.append(Event("load", "x"))
    missed = server.desk.ledger.append(Event("rollback", "x", {"model": "demand", "version": 1}))
    with opened(server) as socket:
        socket.send(json.dumps({"type": "subscribe", "topics": ["deployment"], "after": said["seq"]}))
        again = heard(socket, "deployment")
        assert (again["type"], again["seq"]) == ("rollback", missed.id)


def test_a_job_is_followed_to_its_end(server):
    server.desk.state.go.clear()
    job = server.as_("analyst").post("/api/v1/models/demand/train", json={}).json()["job"]["id"]
    with opened(server) as socket:
        socket.send(json.dumps({"type": "subscribe", "topics": [f"job.{job}"], "after": 0}))
        steps = [heard(socket, f"job.{job}", {"progress"}) for _ in range(3)]
        assert [step["seq"] for step in steps] == sorted({step["seq"] for step in steps}) and steps[0]["data"]["progress"][
            "stage"
        ] == "search"
        server.desk.state.go.set()
        end = heard(socket, f"job.{job}", {"done", "failed"})
        assert end["type"] == "done" and end["data"]["state"] == "done"
    server.desk.state.go.clear()
    with opened(server) as socket:
        socket.send(json.dumps({"type": "subscribe", "topics": [f"job.{job}", "job.nothing"]}))
        assert heard(socket, f"job.{job}")["type"] == "done"
        assert heard(socket, "job.nothing")["type"] == "gone"


def test_counts_are_told(server):
    server.as_("viewer").post("/api/v1/models/demand/predict", json={"horizon": 2})
    with opened(server) as socket:
        socket.send(json.dumps({"type": "subscribe", "topics": ["counts"]}))
        assert heard(socket, "counts")["data"]["models"]["demand"] >= 1


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "5", '{"type": "dance"}', '{"type": "subscribe", "topics": ["secrets"]}', '{"type": 5}', '{"topics": []}', "[" * 30000],
)
def test_nonsense_is_answered_and_the_socket_lives_on(server, text):
    with opened(server) as socket:
        socket.recv(timeout=5)
        socket.send(text)
        assert json.loads(socket.recv(timeout=5))["type"] == "error"
        socket.send(json.dumps({"type": "ping"}))
        assert json.loads(socket.recv(timeout=5))["type"] == "pong"


def test_bytes_are_no_message(server, caplog):
    with opened(server) as socket:
        socket.recv(timeout=5)
        socket.send(b"\x00\x01")
        assert json.loads(socket.recv(timeout=5))["type"] == "error"
    assert server.as_().get("/healthz").status_code == 200 and not caplog.records


def test_ended_jobs_are_forgotten_in_time():
    jobs = Jobs(keep=3)
    for at in range(6):
        jobs.start("load", f"table {at}", "me", lambda progress: None).over.wait(5)
    assert [job.subject for job in jobs.all()] == ["table 5", "table 4", "table 3"]
    jobs.close()
