"""The page in a real Chromium: it draws, the what-if works from the keyboard, and nothing is refused, logged or fetched from elsewhere."""

import time

import pytest

from tradewind.core.event import Event

DRAWN = "+(document.querySelector('#chart')?.drawn ?? 0)"
CONTRAST = """(() => {
  const bend = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(v => bend(v / 255));
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = node => {
    for (let at = node; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)|transparent/.test(colour)) return colour;
    }
    return 'rgb(255,255,255)';
  };
  const low = [];
  for (const node of document.querySelectorAll('p, h1, h2, th, td, a, button, label, summary, span, li, output, small')) {
    const said = [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim());
    if (!node.offsetParent || !said) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) low.push(node.tagName + ' ' + node.textContent.trim().slice(0, 30));
  }
  return low; })()"""
UNNAMED = """[...document.querySelectorAll('a, button, input, select, [tabindex="0"], vega-chart')].filter(node => {
  const name = node.getAttribute('aria-label') || node.textContent.trim() || node.labels?.[0]?.textContent.trim();
  return node.offsetParent && !name;
}).map(node => node.outerHTML.slice(0, 80))"""


@pytest.fixture
def page(chromium, address):
    with chromium.page() as page:
        page.open(address + "/login#tw_viewer")
        page.until(DRAWN)
        yield page
        assert page.wrong == [] and page.hosts == {address.removeprefix("http://")}


def choose(page, name, what):
    """Set a list as a hand would."""
    field = f"document.querySelector('[name={name}]')"
    page.run(f"{field}.{what}; {field}.dispatchEvent(new Event('input', {{bubbles: true}}))")


def drawn_again(page, before):
    page.until(f"{DRAWN} > {before}")


def test_it_draws_history_bands_and_promotions(page):
    inside = "document.querySelector('#chart').shadowRoot"
    assert page.run(f"{inside}.querySelectorAll('svg path').length") > 10
    areas = page.run(f"[...{inside}.querySelectorAll('.mark-area path')].map(node => node.getBBox().height)")
    assert len(areas) == 3 and areas[0] > areas[1] > areas[2] > 5, "the 95 % band is the widest"
    assert page.run(f"{inside}.querySelectorAll('.mark-rect path').length") == 4
    assert page.run("location.hash + location.search") == "", "the token is gone from the address"


def test_the_slider_changes_every_number_from_the_keyboard(page):
    before, total = page.run(DRAWN), page.run("document.querySelector('#total').innerText")
    page.run("document.querySelector('#price').focus()")
    page.press("ArrowLeft", 15)
    page.until("document.querySelector('#change').innerText.startsWith('▲')")
    drawn_again(page, before)
    page.until("new URL(location).searchParams.get('price') === '-15'")
    more = page.run("document.querySelector('#total').innerText")
    assert int(more.replace(",", "")) > int(total.replace(",", ""))
    assert "15 %" in page.run("document.querySelector('#price-said').innerText") and page.run("document.activeElement.id") == "price"
    choose(page, "promotion", "value = 'on'")
    page.until(f"document.querySelector('#total').innerText !== {more!r}")
    page.run("document.querySelector('#reset').click()")
    page.until(f"document.querySelector('#total').innerText === {total!r}")
    assert page.run("document.querySelector('#price').value") == "0"


def test_a_held_key_asks_a_few_times_and_ends_at_the_last_price(page, desk):
    desk.state.slow_s = 0.15
    asked = len([name for name, _ in desk.state.calls if name == "card"])
    page.run("document.querySelector('#price').focus()")
    page.press("ArrowLeft", 30)
    page.until("new URL(location).searchParams.get('price') === '-30'")
    page.until("document.querySelector('#words').innerText.includes('plan')")
    assert len([name for name, _ in desk.state.calls if name == "card"]) - asked <= 12, "30 key presses are not 30 forecasts"


def test_another_series_is_chosen_and_a_link_shows_it_again(page, address):
    choose(page, "series", "selectedIndex = 2")
    page.until("document.querySelector('#words')?.innerText.includes('Tee & Kaffee <b>')")
    link = page.run("location.href")
    page.open(link)
    page.until(DRAWN)
    assert "Tee & Kaffee <b>" in page.run("document.querySelector('#words').innerText")


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark_can_be_read(page, address, dark):
    page.open(address + "/", dark=dark)
    page.until(DRAWN)
    assert page.run(CONTRAST) == []
    ground = page.run("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(15, 19, 25)" if dark else "rgb(246, 247, 249)")
    line = "document.querySelector('#chart').shadowRoot.querySelector('.mark-line path').getAttribute('stroke')"
    assert page.run(line) == ("#3884d7" if dark else "#004888")
    page.run("document.querySelector('#theme').click()")
    page.until(f"{line} === {'#004888' if dark else '#3884d7'!r}")
    assert page.run(CONTRAST) == []
    page.open(address + "/", dark=dark)
    page.until(DRAWN)
    assert page.run("document.documentElement.dataset.theme") == ("light" if dark else "dark"), "the choice is kept"


@pytest.mark.parametrize("width", [390, 320, 768, 1360])
def test_no_width_overflows(page, address, width):
    page.open(address + "/?price=-20&promotion=on", width=width)
    page.until(DRAWN)
    page.run("document.querySelector('details').open = true")
    assert page.run("document.documentElement.scrollWidth") <= width


def test_everything_has_a_name_and_is_reached_by_the_keyboard(page):
    assert page.run(UNNAMED) == []
    page.run("document.activeElement.blur()")
    reached = []
    for _ in range(16):
        page.press("Tab")
        reached.append(page.run("document.activeElement.id || document.activeElement.name || document.activeElement.tagName"))
    assert {"series", "horizon", "price", "promotion", "reset", "theme", "SUMMARY"} <= set(reached)
    assert page.run("document.querySelectorAll('h1').length") == 1 and page.run("document.documentElement.lang") == "en"


def test_an_open_table_stays_open_while_the_price_moves(page):
    before = page.run(DRAWN)
    page.run("document.querySelector('details').open = true; document.querySelector('#price').focus()")
    page.press("ArrowRight", 3)
    drawn_again(page, before)
    assert page.run("document.querySelector('details').open")
    assert page.run("document.querySelectorAll('#twin tbody tr').length") == 30


def test_hovering_shows_the_true_interval(page):
    box = page.run(
        "(() => { const b = document.querySelector('#chart').getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })()"
    )
    page.move(box[0] + box[2] * 0.93, box[1] + box[3] * 0.5)
    page.until("document.querySelector('#vg-tooltip-element.visible')?.innerText.includes('80 % low')")


def test_a_new_version_refreshes_the_page(page, desk):
    page.until("document.querySelector('#live').dataset.state === 'on'")
    page.until("document.querySelector('#live').innerText.includes('by REST')")
    calls = len(desk.state.calls)
    desk.ledger.append(Event("promote", "admin", {"model": "demand", "version": 3}))
    end = time.monotonic() + 10
    while len(desk.state.calls) == calls and time.monotonic() < end:
        page.run("1")
        time.sleep(0.05)
    assert len(desk.state.calls) > calls


def test_a_refusal_is_shown_in_place(chromium, address, desk):
    with chromium.page() as page:
        page.open(address + "/login#tw_viewer")
        page.until(DRAWN)
        del desk.state.tokens["tw_viewer"]
        page.run("document.querySelector('#reset').click()")
        page.until("location.pathname === '/login'")


def test_a_wrong_token_is_told(chromium, address):
    with chromium.page() as page:
        page.open(address + "/login#tw_wrong")
        page.until("document.querySelector('#wrong')")
        assert page.run(CONTRAST) == [] and page.run(UNNAMED) == [] and page.wrong == []
