"""The page on a real workspace in a real Chromium: sample company, trained model, jailed worker, what-if by hand."""

import importlib.util
import sys
from pathlib import Path

import pytest

import tradewind
from tradewind.http.app import build
from tradewind.models._kit.world import make
from tradewind.web.pages import routes

DRAWN = "+(document.querySelector('#chart')?.drawn ?? 0)"
TOTAL = "+document.querySelector('#total').innerText.replaceAll(',', '')"


def load(name, place):
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / place)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    with tradewind.open(tmp_path_factory.mktemp("page") / "shop") as desk:
        world = make(seed=3, products=6, stores=2, years=1.5, customers=50, reviews=10)
        for name in ("sales", "prices", "promotions", "products", "stores", "events"):
            desk.load(world.tables[name], table=name)
        yield desk


@pytest.fixture(scope="module")
def address(desk):
    with load("http_server", "unit/http/conftest.py").running(build(desk, pages=routes(desk))) as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with load("browser", "journey/browser.py").launched() as found:
        yield found


@pytest.fixture
def page(browser, address, desk):
    token = desk.create_token("viewer").fact("token")
    with browser.page() as page:
        page.open(f"{address}/login#{token}")
        page.until("location.pathname === '/'")
        yield page
        assert page.hosts == {address.removeprefix("http://")}


def test_first_the_page_says_what_to_do(page):
    page.until("document.body.innerText.includes('tradewind train demand')")


@pytest.fixture(scope="module")
def trained(desk):
    desk.train("demand")
    desk.promote("demand", force=True, reason="the walk of the page")


def test_the_forecast_of_a_series_and_its_what_if(trained, page, address):
    page.open(address + "/")
    page.wrong.clear()  # what came before was the page without a model
    page.until(DRAWN)
    words = page.run("document.querySelector('#words').innerText")
    assert "units of" in words and "80 %" in words
    assert page.run("document.querySelectorAll('#board tbody tr').length") >= 2
    assert "baseline" in page.run("document.querySelector('#board').innerText")
    source = page.run("document.querySelector('#source').innerText")
    assert "demand version 1" in source and ("full" in source or "degraded" in source)
    plan = page.run(TOTAL)
    page.run("document.querySelector('#price').focus()")
    page.press("ArrowLeft", 25)
    page.until("new URL(location).searchParams.get('price') === '-25'")
    page.until("document.querySelector('#words').innerText.includes('plan')")
    assert page.run(TOTAL) > plan, "a lower price sells more"
    assert page.run("document.querySelectorAll('.bars tr').length") >= 3, "drivers are shown"
    assert page.wrong == []


def test_it_fits_a_phone(trained, page, address):
    page.open(address + "/?price=-10&promotion=on", width=390, height=844, dark=True)
    page.until(DRAWN)
    assert page.run("document.documentElement.scrollWidth") <= 390
