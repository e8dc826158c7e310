"""A stranger's walk over HTTP alone: load her own file, train, promote, predict, roll back, take the version elsewhere, read the audit."""

import importlib.util
import json
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest
from websockets.sync.client import connect

import tradewind
from tradewind.http.app import build
from tradewind.web.pages import routes


def load(name, place):
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / place)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def own_file():
    """Sales as somebody else writes them: other headers, two shops, a price that moves demand, some days of promotion."""
    rng = np.random.default_rng(5)
    lines = ["Datum;Artikel;Filiale;Menge;Preis;Aktion"]
    days = np.arange("2024-01-01", "2025-07-01", dtype="M8[D]")
    for product, level in (("Kaffee", 60), ("Tee", 25), ("Kakao", 12)):
        for shop in ("Nord", "Süd"):
            for at, day in enumerate(days):
                promo = at % 45 < 5
                price = round(4.0 * (0.8 if promo else 1.0) * (1 + 0.1 * ((at // 60) % 3)), 2)
                week = 1 + 0.3 * ((at + 1) % 7 >= 5)
                mean = level * week * (price / 4.0) ** -1.5 * (1.4 if promo else 1.0)
                lines.append(f"{day};{product};{shop};{rng.poisson(mean)};{price};{int(promo)}")
    return "\n".join(lines).encode()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Serve an empty workspace; give its address, a client as admin, and the desk."""
    desk = tradewind.open(tmp_path_factory.mktemp("walk") / "shop")
    token = desk.create_token("admin", name="ana").fact("token")
    with load("http_server", "unit/http/conftest.py").running(build(desk, pages=routes(desk))) as address:
        headers = {"authorization": f"Bearer {token}"}
        with httpx.Client(base_url=address, headers=headers, trust_env=False, timeout=120) as client:
            yield address, client, desk, token
    desk.close()


def finished(client, response, wait_s=240):
    assert response.status_code == 202, response.text
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        job = client.get(response.headers["location"]).json()["job"]
        if job["state"] != "running":
            assert job["state"] == "done", job
            return job
        time.sleep(0.1)
    raise AssertionError("the job did not end")


@pytest.fixture(scope="module")
def trained(place):
    """Load the file, train with the socket listening, promote; all by HTTP."""
    address, client, _, token = place
    mapping = {"Datum": "date", "Artikel": "product", "Filiale": "store", "Menge": "units", "Preis": "price", "Aktion": "promotion"}
    loaded = client.post("/api/v1/tables/sales", data={"map": json.dumps(mapping)}, files={"file": ("verkauf.csv", own_file())})
    assert loaded.status_code == 201, loaded.text
    assert client.get("/api/v1/tables/sales?limit=1&filter[product]=Tee").json()["answer"]["rows"][0]["store"] == "Süd"
    answer = client.post("/api/v1/models/demand/train", json={"seed": 1, "budget": {"deadline_s": 200}})
    topic = f"job.{answer.json()['job']['id']}"
    with connect(address.replace("http", "ws") + "/ws", additional_headers={"authorization": f"Bearer {token}"}, proxy=None) as socket:
        socket.send(json.dumps({"type": "subscribe", "topics": [topic], "after": 0}))
        stages = []
        while True:
            said = json.loads(socket.recv(timeout=240))
            if said["topic"] == topic:
                if said["type"] != "progress":
                    break
                stages.append(said["data"]["progress"]["stage"])
    assert said["type"] == "done", said
    assert len(set(stages)) >= 2 and finished(client, answer)["source"]["version"] == 1
    promoted = client.post("/api/v1/models/demand/promote", json={"reason": "first", "force": True})
    assert promoted.status_code == 200, promoted.text
    return place


def test_the_default_forecast_and_the_what_if(trained):
    _, client, desk, _ = trained
    path = "/api/v1/models/demand/predict"
    where = {"product": "Kaffee", "store": "Nord"}
    plan = client.post(path, json={"horizon": 30, "where": where}).json()
    rows = plan["answer"]["rows"]
    assert len(rows) == 30 and plan["source"]["version"] == 1 and all(row["lo80"] <= row["p50"] <= row["hi80"] for row in rows)
    assert desk.cached("demand", horizon=30, where=where), "the default was computed before anybody asked"
    sums = []
    for price in (3.2, 4.4):
        asked = [{**where, "date": row["date"], "price": price, "promotion": 0} for row in rows]
        sums.append(sum(row["mean"] for row in client.post(path, json={"rows": asked}).json()["answer"]["rows"]))
    cheap, dear = sums
    assert cheap > dear * 1.1, "demand falls with the price"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"horizon": 0}, 422),
        ({"horizon": 10_000}, 422),
        ({"horizon": 3, "where": {"product": "Nothing"}}, 404),
        ({"horizon": 3, "where": {"colour": "red"}}, 404),
        ({"rows": [{"product": "Kaffee", "store": "Nord"}]}, 422),
        ({"rows": [{"product": "Kaffee", "store": "Nord", "date": "2025-07-05", "price": -1}]}, 422),
        ({"horizon": 3, "version": 99}, 404),
    ],
)
def test_bad_questions_are_typed_errors(trained, body, status):
    response = trained[1].post("/api/v1/models/demand/predict", json=body)
    assert response.status_code == status and response.json()["code"].startswith("TW04"), response.text


def test_a_second_version_and_back(trained):
    _, client, _, _ = trained
    finished(client, client.post("/api/v1/models/demand/train", json={"recipes": [], "seed": 2}))
    assert client.post("/api/v1/models/demand/promote", json={}).status_code == 409, "the baseline does not beat itself"
    forced = client.post("/api/v1/models/demand/promote", json={"version": 2, "force": True, "reason": "to come back from"})
    assert forced.status_code == 200, forced.text
    ask = {"horizon": 3, "where": {"product": "Tee", "store": "Nord"}}
    assert client.post("/api/v1/models/demand/predict", json=ask).json()["source"]["version"] == 2
    begin = time.monotonic()
    assert client.post("/api/v1/models/demand/rollback", json={"reason": "worse"}, headers={"idempotency-key": "back"}).status_code == 200
    assert time.monotonic() - begin < 1
    assert client.post("/api/v1/models/demand/rollback", json={"reason": "worse"}, headers={"idempotency-key": "back"}).status_code == 200
    assert client.post("/api/v1/models/demand/predict", json=ask).json()["source"]["version"] == 1, "the key made it one rollback"
    states = {row["version"]: row["state"] for row in client.get("/api/v1/models/demand/versions").json()["answer"]["rows"]}
    assert states == {1: "serving", 2: ""}


def test_a_version_leaves_and_comes_back_sealed(trained):
    _, client, _, _ = trained
    export = client.get("/api/v1/models/demand/export?version=1")
    assert export.status_code == 200, export.text
    taken = client.post("/api/v1/models/demand/import", content=export.content)
    assert taken.status_code == 201, taken.text
    spoiled = bytearray(export.content)
    middle = len(spoiled) // 3
    spoiled[middle] ^= 1
    refused = client.post("/api/v1/models/demand/import", content=bytes(spoiled))
    assert refused.status_code >= 400 and refused.json()["code"] in ("TW0600", "TW0418"), refused.text


def test_roles_tokens_and_the_audit(trained):
    address, client, _, _ = trained
    made = client.post("/api/v1/tokens", json={"role": "viewer", "name": "bo", "days": 1}).json()
    token = next(fact["value"] for fact in made["answer"]["facts"] if fact["name"] == "token")
    with httpx.Client(base_url=address, headers={"authorization": f"Bearer {token}"}, trust_env=False) as viewer:
        assert viewer.get("/api/v1/models/demand").json()["serving"] == 1
        assert viewer.post("/api/v1/models/demand/promote", json={}).status_code == 403
        assert client.delete("/api/v1/tokens/bo").status_code == 200
        assert viewer.get("/api/v1/status").status_code == 401
    audit = client.get("/api/v1/audit?verify=true&limit=1000").json()["answer"]
    kinds = {row["kind"] for row in audit["rows"]}
    assert {"load", "train", "promote", "rollback", "refused", "create_token", "revoke_token", "predict"} <= kinds
    assert next(fact["value"] for fact in audit["facts"] if fact["name"] == "events_checked") >= len(audit["rows"])


def test_probes_and_metrics_tell_of_the_real_worker(trained):
    _, client, _, _ = trained
    health = client.get("/healthz").json()
    assert health["isolation"] in ("full", "degraded") and any(worker["name"].startswith("demand@1") for worker in health["workers"])
    assert client.get("/readyz").status_code == 200
    assert 'tradewind_predictions_total{model="demand"}' in client.get("/metrics").text
