"""The table of routes: every action has an address, every address a permission, and each does what it says."""

import io
import json
import time
import zipfile

import pytest

from tradewind.core.errors import TooBig, Unreadable
from tradewind.core.event import ROLES
from tradewind.http.files import load_options, safe_name, unzip
from tradewind.http.routes import API, TABLE, UNSERVED, permission, table

FILL = {"{model}": "demand", "{table}": "sales", "{token}": "tw_nobody", "{customer}": "C 1", "{job}": "nothing", "{version}": "1"}

BODIES = {
    "split": {"challenger": 1, "share": 0.5},
    "create_token": {"role": "viewer"},
    "measure": {"treated": [], "start": "2026-03-02"},
}


def filled(path):
    for name, value in FILL.items():
        path = path.replace(name, value)
    return API + path


def test_every_action_has_an_address(fakes):
    served = {route.action for route in table(fakes.ACTIONS)}
    assert set(fakes.ACTIONS) <= served | UNSERVED


def test_an_action_nobody_knew_has_an_address_too(server):
    answer = server.as_("viewer").post("/api/v1/actions/dance", json={"steps": 3})
    assert answer.status_code == 200 and answer.json()["answer"]["words"] == "3 steps"
    for body in ({"leaps": 3}, {}, [1]):
        assert server.as_("viewer").post("/api/v1/actions/dance", json=body).status_code == 422


def test_every_address_needs_a_permission_that_exists(fakes):
    known = set().union(*ROLES.values())
    for route in table(fakes.ACTIONS):
        assert permission(route, fakes.ACTIONS) in known, route


@pytest.mark.parametrize("route", TABLE, ids=lambda route: f"{route.method} {route.path}")
def test_nobody_gets_in_without_the_permission(server, fakes, route):
    needed = permission(route, fakes.ACTIONS)
    assert server.as_("").request(route.method, filled(route.path)).status_code == 401
    files = {"file": ("sales.csv", b"a,b\n1,2\n")} if route.kind == "upload" else None
    for role in ("viewer", "analyst", "approver"):
        if needed in ROLES[role]:
            continue
        content = zipped({"demand/demand_forecasting.json": b"{}"}) if route.kind == "import" else None
        body = BODIES.get(route.action)
        response = server.as_(role).request(route.method, filled(route.path), json=body, files=files, content=content)
        assert response.status_code == 403, (role, response.text)


def test_the_openapi_document_names_every_address(server):
    said = server.as_().get("/openapi.json").json()
    assert said["openapi"].startswith("3.1")
    for route in TABLE:
        operation = said["paths"][API + route.path][route.method.lower()]
        assert operation["summary"] and str(route.status) in operation["responses"]
        assert {f"{{{given['name']}}}" for given in operation["parameters"] if given["in"] == "path"} == {
            part for part in route.path.split("/") if part.startswith("{")
        }
    identifiers = [operation["operationId"] for path in said["paths"].values() for operation in path.values()]
    assert len(set(identifiers)) == len(identifiers)
    assert (
        "#/components/schemas/TrainBody" in str(said["paths"]["/api/v1/models/{model}/train"])
        and "TrainBody" in said["components"]["schemas"]
    )
    refs = [text.split("'")[0] for text in str(said).split("#/components/schemas/")[1:]]
    assert set(refs) <= set(said["components"]["schemas"])


def test_a_list_is_cut_into_pages(server):
    first = server.as_().get("/api/v1/models/demand/versions?limit=2")
    rows = first.json()["answer"]["rows"]
    link = first.headers["link"]
    assert 'rel="next"' in link
    while (
        cursor := (page := server.as_().get("/api/v1/models/demand/versions", params={"limit": 2, "cursor": first.json()["next"]})).json()[
            "next"
        ]
    ) is not None:
        rows += page.json()["answer"]["rows"]
        first = page
    rows += page.json()["answer"]["rows"]
    assert cursor is None and [row["version"] for row in rows] == [1, 2, 3, 4, 5]


def test_pages_of_a_table_go_from_the_newest_backwards(server):
    params = {"filter[product]": "P1", "filter[store]": "S1", "limit": 50}
    dates, cursor = [], ""
    while cursor is not None:
        page = server.as_().get("/api/v1/tables/sales", params=params | ({"cursor": cursor} if cursor else {})).json()
        dates = [row["date"] for row in page["answer"]["rows"]] + dates
        cursor = page["next"]
    assert len(dates) == 120 and dates == sorted(dates)


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=100000", "cursor=x", "cursor=YXQ6LTE", "cursor=%ff", "version=two"])
def test_bad_queries_are_refused(server, query):
    response = server.as_().get(f"/api/v1/tables/sales?{query}")
    assert response.status_code == 422 and response.json()["code"].startswith("TW04")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("promote", {"version": "2"}),
        ("promote", {"version": 0}),
        ("promote", {"reason": 5}),
        ("promote", {"surprise": 1}),
        ("promote", [1]),
        ("split", {}),
        ("split", {"challenger": 2, "share": 1.5}),
        ("train", {"budget": {"deadline_s": -1}}),
        ("train", {"recipes": "boosted"}),
        ("train", {"search_s": -1}),
        ("update", {"version": 2}),
        ("evaluate", {"folds": 0}),
        ("evaluate", {"horizon": 0}),
    ],
)
def test_bad_bodies_are_refused_with_the_field(server, path, body):
    before = len(server.desk.state.calls)
    response = server.as_().post(f"/api/v1/models/demand/{path}", json=body)
    assert response.status_code == 422 and response.json()["errors"][0]["pointer"].startswith("/")
    assert len(server.desk.state.calls) == before


def test_a_write_with_a_key_is_done_once(server):
    path, key = "/api/v1/models/demand/promote", {"idempotency-key": "one"}
    before = len(server.calls("promote"))
    first = server.as_("approver").post(path, json={"version": 2}, headers=key)
    again = server.as_("approver").post(path, json={"version": 2}, headers=key)
    assert first.content == again.content and again.headers["idempotent-replay"] == "true" and "idempotent-replay" not in first.headers
    assert server.as_("approver").post(path, json={"version": 3}, headers=key).status_code == 422
    assert len(server.calls("promote")) == before + 1
    assert server.as_("admin").post(path, json={"version": 3}, headers=key).status_code == 200, "the key is the actor's own"
    assert server.as_("approver").post(path, json={}, headers={"idempotency-key": "x" * 300}).status_code == 422


def test_a_failed_write_is_not_remembered(server):
    key = {"idempotency-key": "two"}
    assert server.as_("viewer").post("/api/v1/models/demand/promote", json={}, headers=key).status_code == 403
    before = len(server.calls("promote"))
    server.as_("viewer").post("/api/v1/models/demand/promote", json={}, headers=key)
    assert len(server.calls("promote")) == before + 1


def test_an_upload_reaches_the_action_as_a_file_and_is_removed(server):
    content = b"date,sku,qty\n" + b"2026-01-01,P1,4\n" * 50
    params = {"filename": "../../etc/my sales.csv", "map": ["qty=units", "sku=product"], "keep_duplicates": "false"}
    answer = server.as_("analyst").post("/api/v1/tables/sales", params=params, content=content)
    assert answer.status_code == 201, answer.text
    call = server.calls("load")[-1]
    assert call["name"] == "my sales.csv" and call["size"] == len(content) and call["map"] == {"qty": "units", "sku": "product"}
    assert call["keep_duplicates"] is False and not call["path"].exists() and not call["path"].parent.exists()


def test_a_form_upload_does_the_same(server):
    form = {"map": '{"qty": "units"}', "sheet": "Jan"}
    answer = server.as_("analyst").post("/api/v1/tables/sales", data=form, files={"file": ("sales.tsv", b"a\tb\n1\t2\n")})
    call = server.calls("load")[-1]
    assert answer.status_code == 201 and (call["name"], call["map"], call["sheet"]) == ("sales.tsv", {"qty": "units"}, "Jan")
    assert not call["path"].parent.exists()


@pytest.mark.parametrize(
    "given",
    [
        {"content": b""},
        {"content": b"x", "params": {"filename": "run.exe"}},
        {"content": b"x", "params": {"filename": "sales.pkl"}},
        {"content": b"x", "params": {"map": "qty"}},
        {"content": b"x", "params": {"map": "{broken"}},
        {"content": b"bad rows"},
        {"files": {"data": ("a.csv", b"x")}},
        {"files": {"file": ("a.csv", b"")}},
        {"content": b"--x\r\nbroken", "headers": {"content-type": "multipart/form-data; boundary=x"}},
        {"content": b"x", "headers": {"content-type": "multipart/form-data"}},
    ],
)
def test_bad_uploads_are_refused_and_leave_nothing(server, given, tmp_path_factory):
    import tempfile
    from pathlib import Path

    response = server.as_("analyst").post("/api/v1/tables/sales", **given)
    assert response.status_code == 422 and response.json()["code"].startswith("TW04"), response.text
    assert not list(Path(tempfile.gettempdir()).glob("tradewind-upload-*/*.csv"))


def test_a_large_upload_becomes_a_job(server):
    answer = server.as_("analyst").post("/api/v1/tables/sales", content=b"a,b\n" * 200_000)
    assert answer.status_code == 202, answer.text
    job = finished(server, answer)
    assert job["state"] == "done" and job["answer"]["facts"][0]["value"] == 200_000


def finished(server, response):
    """Wait for a job and return it."""
    for _ in range(500):
        job = server.as_().get(response.headers["location"]).json()["job"]
        if job["state"] != "running":
            return job
        time.sleep(0.01)
    raise AssertionError(job)


def test_training_is_a_job_that_is_watched_and_cancelled(server):
    server.desk.state.go.clear()
    answer = server.as_("analyst").post("/api/v1/models/demand/train", json={"seed": 3, "search_s": 60, "budget": {"deadline_s": 5}})
    assert answer.status_code == 202
    call = server.calls("train")[-1]
    assert call["seed"] == 3 and call["budget"].deadline_s == 5 and call["search_s"] == 60
    busy = server.as_("analyst").post("/api/v1/models/demand/train", json={})
    assert busy.status_code == 409 and busy.json()["code"] == "TW0409"
    job = answer.json()["job"]["id"]
    assert server.as_("viewer").get(f"/api/v1/jobs/{job}").json()["job"]["progress"]["stage"] == "search"
    assert server.as_("viewer").post(f"/api/v1/jobs/{job}/cancel").status_code == 403
    assert server.as_("analyst").post(f"/api/v1/jobs/{job}/cancel").status_code == 200
    ended = finished(server, answer)
    assert ended["state"] == "cancelled" and ended["error"]["code"] == "TW0499" and ended["ended"]
    assert server.as_().get("/api/v1/jobs?limit=1").json()["jobs"][0]["id"] == job
    assert server.as_().get("/api/v1/jobs/nothing").status_code == 404


def test_a_job_that_is_done_gives_its_answer(server):
    server.desk.state.go.set()
    answer = server.as_("analyst").post("/api/v1/models/demand/train", json={})
    server.desk.state.go.clear()
    job = finished(server, answer)
    assert job["state"] == "done" and job["answer"]["facts"][0] == {"name": "version", "value": 3}


def test_an_update_is_a_job_for_whoever_may_promote(server):
    assert server.as_("analyst").post("/api/v1/models/demand/update").status_code == 403
    answer = server.as_("approver").post("/api/v1/models/demand/update")
    assert answer.status_code == 202
    job = server.as_("viewer").get(answer.headers["location"]).json()["job"]
    until = time.monotonic() + 10
    while job["state"] == "running" and time.monotonic() < until:
        job = server.as_("viewer").get(answer.headers["location"]).json()["job"]
    assert job["state"] == "done" and job["answer"]["rows"] == [{"product": "P1", "actual": 4.0, "p50": 5.0}]


def test_a_measurement_is_a_job_and_bad_fields_are_named(server):
    path = "/api/v1/experiments/measure"
    answer = server.as_("analyst").post(path, json={"treated": ["a"], "start": "2026-03-02", "kpi": "revenue", "spend_change": 0.5})
    assert answer.status_code == 202 and answer.json()["job"]["kind"] == "measure"
    assert finished(server, answer)["answer"]["facts"] == [{"name": "lift", "value": 5.4, "unit": "%"}]
    call = server.calls("measure")[-1]
    assert (call["treated"], call["start"], call["end"], call["kpi"], call["keep"]) == (["a"], "2026-03-02", None, "revenue", False)
    assert server.as_("viewer").post(path, json={"treated": [], "start": "2026-03-02"}).status_code == 403
    assert server.as_("analyst").post(path, json={"treated": "a"}).json()["code"] == "TW0400"


def test_effects_are_a_list_in_pages(server):
    said = server.as_("viewer").get("/api/v1/models/demand/effects?limit=2&version=2").json()
    assert [row["product"] for row in said["answer"]["rows"]] == ["P0", "P1"] and said["next"]
    assert server.calls("effects")[-1] == {"model": "demand", "version": 2}


def test_a_job_that_is_refused_at_once_is_no_job(server):
    assert server.as_("viewer").post("/api/v1/models/demand/train", json={}).status_code == 403
    assert server.as_("analyst").post("/api/v1/models/nobody/train", json={}).status_code == 404


def test_an_export_is_a_zip_file_and_can_be_imported(server):
    answer = server.as_().get("/api/v1/models/demand/export?version=2")
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert answer.status_code == 200 and "demand/demand_forecasting.json" in names
    taken = server.as_().post("/api/v1/models/demand/import", content=answer.content)
    assert taken.status_code == 201 and "demand_forecasting.json" in server.calls("import")[-1]["files"]
    assert server.as_().get("/api/v1/models/demand/export?version=x").status_code == 422


def test_a_backup_is_sent_as_a_file(server):
    assert server.as_().get("/api/v1/backup").content == b"backup bytes"
    assert server.calls("backup")[-1] == {"keys": False}, "keys do not travel unless asked for"
    server.as_().get("/api/v1/backup?keys=true")
    assert server.calls("backup")[-1] == {"keys": True}


def zipped(files, link=None):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)
        if link:
            entry = zipfile.ZipInfo(link)
            entry.external_attr = 0o120777 << 16
            made.writestr(entry, "/etc/passwd")
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no zip",
        zipped({}),
        zipped({"../up.json": b"x"}),
        zipped({"/abs.json": b"x"}),
        zipped({"a/../../b": b"x"}),
        zipped({"a\\b": b"x"}),
        zipped({"C:x": b"x"}),
        zipped({"a/b/c/d/e": b"x"}),
        zipped({"A.json": b"x", "a.json": b"y"}),
        zipped({"a.json": b"x"}, link="link"),
        zipped({"x" * 200: b"x"}),
        zipped({"a.json": b"y" * 9000})[:-40],
    ],
)
def test_bad_zip_files_are_refused(server, data, tmp_path):
    file = tmp_path / "x.zip"
    file.write_bytes(data)
    with pytest.raises(Unreadable):
        unzip(file, tmp_path / "out", 1 << 20)
    assert server.as_().post("/api/v1/models/demand/import", content=data).status_code == 422
    assert not (tmp_path / "up.json").exists()


def test_a_spoiled_zip_file_is_told_wherever_the_damage_is(tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("weights.json", json.dumps(list(range(400))))
    whole, told = packed.getvalue(), 0
    for place in range(len(whole)):
        spoiled = bytearray(whole)
        spoiled[place] ^= 1 << place % 8
        (tmp_path / "x.zip").write_bytes(spoiled)
        try:
            unzip(tmp_path / "x.zip", tmp_path / f"out{place}", 1 << 20)
        except (Unreadable, TooBig):
            told += 1
    assert told > len(whole) // 2


def test_a_zip_bomb_is_stopped(tmp_path):
    file = tmp_path / "x.zip"
    file.write_bytes(zipped({"a.json": b"\0" * (3 << 20)}))
    with pytest.raises(TooBig):
        unzip(file, tmp_path / "out", 1 << 20)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("sales.csv", "sales.csv"),
        ("C:\\data\\my sales.CSV", "my sales.CSV"),
        ("../../x.csv.gz", "x.csv.gz"),
        ("übersicht.xlsx", "übersicht.xlsx"),
        ("a;b$.csv", "a_b_.csv"),
        ("..csv", "csv"),
    ],
)
def test_file_names_lose_their_folders(name, safe):
    if safe == "csv":
        with pytest.raises(Unreadable):
            safe_name(name)
    else:
        assert safe_name(name) == safe


def test_options_of_a_load():
    assert load_options({"map": ["a=b=c", '{"x": "y"}'], "wide": ["Q_{product}=units"]}) == {
        "map": {"a=b": "c", "x": "y"},
        "wide": ("Q_{product}=units",),
    }


def test_the_probes_need_no_token_and_tell_the_truth(server):
    said = server.as_("").get("/healthz").json()
    assert (said["status"], said["isolation"]) == ("ok", "full") and said["workers"][0]["name"] == "demand@2"
    server.desk.state.isolation = "degraded"
    try:
        assert server.as_("").get("/healthz").json()["status"] == "degraded"
    finally:
        server.desk.state.isolation = "full"
    assert server.as_("").get("/readyz").json() == {"status": "ready", "models": {"demand": True}}


def test_the_metrics_count(server):
    server.as_("viewer").post("/api/v1/models/demand/predict", json={"horizon": 2})
    text = server.as_("").get("/metrics").text
    assert 'tradewind_predictions_total{model="demand"}' in text and 'route="/api/v1/models/{model}/predict",status="200"' in text
    assert 'tradewind_worker_rss_bytes{worker="demand@2-abc"} 6.1e+07' in text and "tradewind_ledger_head" in text


def test_metrics_can_be_closed(start):
    server = start(open_metrics=False)
    assert server.as_("").get("/metrics").status_code == 401


def test_the_money_of_a_plan_reaches_the_planner(server):
    answer = server.as_("analyst").post("/api/v1/models/demand/plan", json={"budget": 250.5, "lock": {"TV": 4}})
    assert answer.status_code == 200 and answer.json()["answer"]["facts"][0] == {"name": "budget", "value": 250.5}
    assert server.calls("plan")[-1]["budget"] == 250.5
    server.as_("analyst").post("/api/v1/models/demand/plan", json={})
    assert server.calls("plan")[-1]["budget"] is None


def test_a_page_says_how_many_rows_it_shows(server):
    said = server.as_().get("/api/v1/tables/sales?limit=3").json()
    whole = said["answer"]["facts"][0]["value"]
    assert len(said["answer"]["rows"]) == said["source"]["rows"] == 3
    assert said["answer"]["words"] == f"3 of {whole:,} rows of sales." and said["next"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_at_the_address_of_predictions_is_told_as_one(server, method):
    answer = server.as_().request(method, "/api/v1/models/demand/predict")
    assert answer.status_code == 405 and answer.json()["hint"]
