"""The hot path: what may be asked, what is refused, and that a kept answer is given without a thread."""

import io
import json
import threading

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import EmptyTable, InvalidInput, TooBig, Unreadable
from tradewind.http.limits import Limits
from tradewind.http.predict import decode, model_of, read_arrow

PREDICT = "/api/v1/models/demand/predict"
ROW = {"product": "P1", "date": "2026-06-01", "price": 2.5}


def test_rows_are_answered_in_order(server):
    rows = [ROW, ROW | {"price": 2.0}, ROW | {"promotion": 1}]
    answer = server.as_("viewer").post(PREDICT, json={"rows": rows, "key": "customer 7"}).json()
    means = [row["mean"] for row in answer["answer"]["rows"]]
    assert len(means) == 3 and means[1] > means[0] < means[2]
    assert answer["source"]["version"] == 2
    assert server.calls("predict")[-1]["key"] == "customer 7"


def test_a_horizon_is_answered_for_what_fits(server):
    answer = server.as_("viewer").post(PREDICT, json={"horizon": 3, "where": {"product": "P1"}, "explain": True}).json()
    assert len(answer["answer"]["rows"]) == 6 and "driver_price" in answer["answer"]["rows"][0]


def test_a_version_can_be_named(server):
    server.as_().post(PREDICT, json={"horizon": 3, "version": 1})
    assert server.calls("predict")[-1]["version"] == 1


def test_sums_and_quantiles_are_passed_on_and_never_answered_by_a_kept_answer(server):
    asked = {"horizon": 30, "where": {"product": "P1", "store": "S1"}}
    answer = server.as_("viewer").post(PREDICT, json=asked | {"by": ["store", "week"]})
    assert answer.status_code == 200 and server.calls("predict")[-1]["by"] == ["store", "week"]
    server.as_("viewer").post(PREDICT, json=asked | {"quantiles": [0.1, 0.975]})
    assert server.calls("predict")[-1]["quantiles"] == [0.1, 0.975]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"horizon": 3, "by": "store"}', "/by"),
        (b'{"horizon": 3, "quantiles": ["0.1"]}', "/quantiles/0"),
        (b"", ""),
        (b"{", ""),
        (b"null", "/"),
        (b"[]", "/"),
        (b'"x"', "/"),
        (b"{}", ""),
        (b'{"rows": 5}', "/rows"),
        (b'{"rows": [5]}', "/rows/0"),
        (b'{"rows": []}', ""),
        (b'{"horizon": "30"}', "/horizon"),
        (b'{"horizon": 2.5}', "/horizon"),
        (b'{"horizon": true}', "/horizon"),
        (b'{"rows": [{}], "horizon": 3}', ""),
        (b'{"horizon": 3, "where": {"product": ["P1"]}}', "/where/*"),
        (b'{"horizon": 3, "surprise": 1}', "/"),
        (b'{"rows": [{"price": NaN}]}', ""),
        (b'{"rows": [{"price": Infinity}]}', ""),
        (b'{"rows": [{"price": 1e999}]}', ""),
        (b'{"rows": [{"product": "\xff\xfe"}]}', ""),
        (b'{"rows": ' + b"[" * 100_000, ""),
        (b'{"rows": [{"a": ' + b'{"a":' * 50_000, ""),
        (b'{"horizon": 0}', ""),
        (b'{"horizon": 100000}', ""),
        (b'{"horizon": -99999999999999999999999}', ""),
        (b'{"rows": [{}]}', "/rows/*/product"),
        (b'{"rows": [{"product": "P1", "date": "not a day"}]}', "/rows/0/date"),
        (b'{"rows": [{"product": {"x": 1}, "date": "2026-06-01"}]}', "/rows/0/product"),
        (b'{"rows": [{"product": "P1", "date": "2026-06-01", "price": -1}]}', "/rows/0/price"),
        (b'{"horizon": 3, "where": {"product": "nobody"}}', ""),
        (b"\x00\x01\x02", ""),
        (b'{"rows": [{"product": "P1", "date": "2026-06-01", "price": ' + b"9" * 5000 + b"}]}", ""),
    ],
)
def test_bad_bodies_get_a_typed_error(server, body, pointer):
    response = server.as_().post(PREDICT, content=body, headers={"content-type": "application/json"})
    problem = response.json()
    assert 400 <= response.status_code < 500 and problem["code"].startswith("TW04"), problem
    assert problem.get("hint") or problem.get("errors") or "must be" in problem["detail"], problem
    if pointer:
        assert pointer in [error["pointer"] for error in problem["errors"]], problem


def test_every_bad_field_is_listed_at_once(server):
    rows = [ROW | {"date": "x"}, ROW | {"price": "cheap"}, ROW, ROW | {"price": None, "promotion": 7}]
    errors = server.as_().post(PREDICT, json={"rows": rows}).json()["errors"]
    assert {error["pointer"] for error in errors} == {"/rows/0/date", "/rows/1/price", "/rows/3/promotion"}


def test_too_many_rows_are_refused_before_they_are_read():
    with pytest.raises(TooBig):
        decode(b'{"rows": [' + b",".join([b"{}"] * 11) + b"]}", 10)
    assert decode(b'{"rows": [' + b",".join([b"{}"] * 10) + b"]}", 10).rows == [{}] * 10


@pytest.mark.parametrize("model", ["nobody", "de mand", "../demand", "%2e%2e", "x" * 5000])
def test_unknown_models_are_not_found(server, model):
    assert server.as_().post(f"/api/v1/models/{model}/predict", json={"horizon": 2}).status_code in (404, 405)


def test_only_the_one_address_is_hot():
    assert model_of("/api/v1/models/demand/predict") == "demand"
    for path in (
        "/api/v1/models/a/b/predict",
        "/api/v1/models/demand",
        "/predict",
        "/api/v1/models/demand/predict/",
        "/api/v2/models/demand/predict",
    ):
        assert model_of(path) == ""


def arrow(frame):
    out = io.BytesIO()
    frame.write_ipc_stream(out)
    return out.getvalue()


def test_arrow_in_and_arrow_out(server):
    import datetime as dt

    frame = pl.DataFrame({"product": ["P1", "P1"], "date": [dt.date(2026, 6, 1), dt.date(2026, 6, 2)], "price": [2.5, 2.0]})
    kind = {"content-type": "application/vnd.apache.arrow.stream"}
    as_json = server.as_("viewer").post(PREDICT, content=arrow(frame), headers=kind).json()
    response = server.as_("viewer").post(PREDICT, content=arrow(frame), headers=kind | {"accept": kind["content-type"]})
    back = pl.read_ipc_stream(io.BytesIO(response.content))
    assert response.headers["content-type"] == kind["content-type"]
    assert np.allclose(back["mean"].to_numpy(), [row["mean"] for row in as_json["answer"]["rows"]], atol=1e-6)


def test_broken_arrow_is_a_typed_error(server):
    good = arrow(pl.DataFrame({"product": ["P1"] * 50, "price": [1.0] * 50}))
    for body in (b"", b"ARROW1", good[: len(good) // 2], good[:100] + b"\xff" * 60 + good[160:], b"\xff" * 5000):
        response = server.as_().post(PREDICT, content=body, headers={"content-type": "application/vnd.apache.arrow.stream"})
        assert 400 <= response.status_code < 500, (body[:20], response.text)
    with pytest.raises(TooBig):
        read_arrow(good, 49)
    with pytest.raises(EmptyTable):
        read_arrow(arrow(pl.DataFrame({"product": []}, schema={"product": pl.String})), 10)
    with pytest.raises(Unreadable):
        read_arrow(b"no", 10)


def test_a_kept_answer_never_waits_for_a_thread(start):
    server = start(Limits(threads=1, waiting=2))
    kept = {"horizon": 30, "where": {"product": "P1", "store": "S1"}}
    server.as_("viewer").post(PREDICT, json=kept)
    server.desk.state.slow_s = 0.6
    answers = []
    clients = [server.as_(role) for role in ("admin", "analyst", "approver")]
    asking = [
        threading.Thread(target=lambda client=client: answers.append(client.post(PREDICT, json={"rows": [ROW]}).status_code))
        for client in clients
    ]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    server.desk.state.slow_s = 0.0
    assert sorted(answers) == [200, 200, 429], "one thread, two may wait, the third is told to come back"
    assert server.as_("viewer").post(PREDICT, json=kept).status_code == 200


def test_the_decoder_says_where():
    with pytest.raises(InvalidInput) as caught:
        decode(json.dumps({"rows": [{"a": 1}], "explain": "yes"}).encode(), 10)
    assert caught.value.fields[0]["pointer"] == "/explain"
