"""The page without JavaScript: what the server says for an address, in every state."""

import html
import json
import re

import pytest

from tradewind.core.errors import BadValue
from tradewind.web import assets, charts, forecast
from tradewind.web.pages import percent, signed, whole

PART = {"hx-request": "true"}
ONE = {"series": "P1/S1", "horizon": "30"}


def rows(text):
    """Return the chart's data out of a panel."""
    return json.loads(html.unescape(re.search(r'rows="([^"]*)"', text).group(1)))


def test_nobody_is_sent_to_the_sign_in(address):
    import httpx

    with httpx.Client(base_url=address, trust_env=False) as client:
        assert client.get("/").headers["location"] == "/login"
        assert client.get("/", headers=PART).headers["hx-redirect"] == "/login"
        assert "Token" in client.get("/login").text
        wrong = client.post("/login", data={"token": "guess"})
        assert wrong.status_code == 303 and "unknown" in client.get(wrong.headers["location"]).text


def test_the_shell_offers_every_series_and_escapes_their_names(client):
    page = client.get("/").text
    assert page.count("<option") >= 3 + 5 + 3 and "Tee &amp; Kaffee &lt;b&gt; · S1" in page and "<b> · S1" not in page
    assert 'value="Tee%20%26%20Kaffee%20%3Cb%3E/S1"' in page
    assert (
        "<script>" not in page
        and "style=" not in page
        and " onclick" not in page
        and "http://" not in page.replace("http://www.w3.org", "")
    )


def test_the_view_is_in_the_address(client):
    page = client.get("/", params={"series": "P1/S2", "horizon": "14", "price": "-10", "promotion": "on"}).text
    assert (
        re.search(r'value="P1/S2" selected', page)
        and "<option selected>14" in page
        and 'value="-10"' in page
        and 'value="on" selected' in page
    )


def test_the_panel_says_what_the_table_says(client, desk):
    panel = client.get("/", params=ONE, headers=PART).text
    data = rows(panel)
    assert len(data["forecast"]) == 30 and len(data["history"]) == 120 and data["plan"] == []
    answer = desk.predict("demand", horizon=30, where={"product": "P1", "store": "S1"}).table
    assert [row["p50"] for row in data["forecast"]] == pytest.approx(answer.column("p50").tolist())
    for level in ("50", "80", "95"):
        assert [row[f"hi{level}"] for row in data["forecast"]] == pytest.approx(answer.column(f"hi{level}").tolist())
    total = f"{answer.column('mean').sum():,.0f}"
    assert f'id="total">{total}<' in panel and f"{total} units of P1 · S1" in panel
    assert panel.count("<tr><th scope=") >= 30, "the table twin has every day"
    assert "version 2 (boosted)" in panel and ">full<" in panel and "sales until Sun 31 May 2026" in panel
    assert "(baseline)" in panel and "31.0 %" in panel and "42.0 %" in panel


def test_promotions_are_marked_past_and_planned(client):
    spans = rows(client.get("/", params=ONE, headers=PART).text)["promotions"]
    assert [span["name"] for span in spans] == ["past promotion"] * 3 + ["2 for 1"]
    assert spans[-1]["start"] < "2026-06-05" < spans[-1]["end"] and spans[-1]["end"][:10] == "2026-06-08"


def test_a_what_if_is_asked_row_by_row_and_compared_with_the_plan(client, desk):
    panel = client.get("/", params=ONE | {"price": "-20", "promotion": "on"}, headers=PART).text
    asked = [given for name, given in desk.state.calls if name == "predict"][-1]["asked"]
    assert len(asked) == 30 and asked[0] == {"product": "P1", "store": "S1", "date": "2026-06-01", "price": 2.0, "promotion": 1.0}
    data = rows(panel)
    assert all(now["p50"] > plan["p50"] for now, plan in zip(data["forecast"], data["plan"], strict=True))
    assert "▲ +10" in panel and "revenue" in panel and data["promotions"][-1]["name"] == "tried: promotion on"
    less = client.get("/", params=ONE | {"price": "30"}, headers=PART).text
    assert "▼ \u2212" in less


@pytest.mark.parametrize(
    "query",
    [
        {"horizon": "0"},
        {"horizon": "x"},
        {"horizon": "9999"},
        {"price": "cheap"},
        {"price": "-100"},
        {"promotion": "maybe"},
        {"series": "nobody"},
        {"series": "no/body"},
        {"series": "P1/S1/x"},
    ],
)
def test_a_bad_address_is_told_kindly(client, query):
    response = client.get("/", params=ONE | query, headers=PART)
    assert (
        400 <= response.status_code < 500 and 'role="alert"' in response.text and "TW04" in response.text and "Try again" in response.text
    )


def test_an_address_is_never_markup(client):
    response = client.get("/", params=ONE | {"promotion": "<script>alert(1)</script>"}, headers=PART)
    assert "<script>" not in response.text
    shell = client.get("/", params={"series": '"><script>alert(1)</script>'})
    assert "<script>alert" not in shell.text


def test_a_change_of_nothing_is_said_so(client, desk, monkeypatch):
    plain = type(desk).predict

    def deaf(self, model, asked=None, **given):
        return plain(self, model, [{**row, "price": 2.5, "promotion": 0.0} for row in asked] if asked else None, **given)

    monkeypatch.setattr(type(desk), "predict", deaf)
    panel = client.get("/", params=ONE | {"price": "-20"}, headers=PART).text
    assert "what is planned anyway" in panel and "±0 %" in panel and "▲" not in panel


def test_before_training_the_page_says_what_to_do(client, desk, monkeypatch):
    from tradewind.core.errors import NotReady

    def none(*_, **__):
        raise NotReady("demand has never been trained here", hint="tradewind train demand")

    monkeypatch.setattr(type(desk), "predict", none)
    page = client.get("/")
    assert page.status_code == 409 and "tradewind train demand" in page.text and "SAMPLE" in page.text


def test_without_permission_the_roles_that_have_it_are_named(client, desk):
    from tradewind.core.event import Actor

    desk.state.tokens["tw_viewer"] = Actor("guest", "guest")
    page = client.get("/")
    assert page.status_code == 403 and "viewer" in page.text and "Your role may not see this" in page.text


def test_a_fault_shows_no_detail(client, desk):
    desk.state.broken = True
    response = client.get("/")
    assert response.status_code == 500 and "secret" not in response.text and response.headers["x-request-id"]


def test_no_prices_and_no_history_are_said(client, desk, monkeypatch):
    from tradewind.core.errors import NotFound

    def none(self, table, **_):
        raise NotFound(f"table {table!r} is not loaded")

    monkeypatch.setattr(type(desk), "show", none)
    panel = client.get("/", params=ONE, headers=PART).text
    assert "no price is loaded" in panel and "no history to draw" in panel
    refused = client.get("/", params=ONE | {"price": "10"}, headers=PART)
    assert refused.status_code == 422 and "no price of this series is known" in refused.text


def test_static_files_are_named_by_their_content(client):
    for name, asset in assets.assets().items():
        response = client.get(assets.address(name))
        assert (
            response.content == asset.plain
            and response.headers["content-encoding"] == "gzip"
            and "immutable" in response.headers["cache-control"]
        )
        assert client.get(assets.address(name), headers={"if-none-match": response.headers["etag"]}).status_code == 304
        assert client.get(f"/static/{name}?v=old").headers["cache-control"] == "no-cache"
    assert client.get(assets.address("page.css"), headers={"accept-encoding": "identity"}).content == assets.assets()["page.css"].plain
    for path in (
        "/static/../pages.py",
        "/static/%2e%2e/pages.py",
        "/static/vendor/htmx.LICENSE",
        "/static//etc/passwd",
        "/charts/nothing.json",
    ):
        assert client.get(path).status_code == 404, path


def test_the_first_load_is_light():
    files = list(assets.assets().values())
    assert sum(len(asset.packed) for asset in files) + len(charts.spec("forecast")) < 400_000 and len(files) <= 12


def test_vendored_files_are_as_they_were_fetched():
    import hashlib

    home = assets.HOME / "vendor"
    for line in (home / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((home / name).read_bytes()).hexdigest() == digest, name
    assert {"htmx.LICENSE", "vega.LICENSES"} <= {path.name for path in home.iterdir()}


def test_the_chart_holds_no_colour_and_no_data():
    text = charts.spec("forecast").decode()
    said = json.loads(text)
    assert (
        "#" not in text.replace("#/", "").replace("$schema", "")
        and "datasets" not in said
        and "http" not in text.replace(said.get("$schema", ""), "")
    )
    assert said["description"] and len([layer for layer in said["layer"] if layer["mark"]["type"] == "area"]) == 3


def test_an_address_is_read_or_refused():
    assert forecast.Asked.of({"series": "a%2Fb/c"}).series == ("a/b", "c")
    assert forecast.unpack(forecast.pack(("a/b", "", "ü|~"))) == ("a/b", "", "ü|~")
    for query in ({"price": "--5"}, {"price": "\u00b2"}, {"horizon": "\u00b2"}, {"price": "9" * 5000}):
        with pytest.raises(BadValue):
            forecast.Asked.of(query)


def test_numbers_are_written_as_people_read_them():
    assert [whole(1234.56), whole(3.14159), whole(None)] == ["1,235", "3.1", "-"]
    assert [percent(0.314), percent(-0.02), signed(0.1), signed(-0.1)] == ["31.4 %", "\u22122.0 %", "+10.0 %", "\u221210.0 %"]
