"""The serve command hands the desk to the server."""

from __future__ import annotations

import sys
from types import SimpleNamespace


def test_serve_hands_over_what_was_typed(desk, tradewind_, monkeypatch):
    served = []
    monkeypatch.setitem(sys.modules, "tradewind.web.pages", SimpleNamespace(routes=lambda desk: ["page"]))
    monkeypatch.setitem(sys.modules, "tradewind.http.app", SimpleNamespace(serve=lambda desk, **given: served.append((desk, given))))
    assert tradewind_("serve", "--port", "9001", "--name", "shop.example", "--workers", "2").status == 0
    given = served[0][1]
    assert served[0][0] is desk
    assert (given["host"], given["port"], given["names"], given["pages"]) == ("127.0.0.1", 9001, ("shop.example",), ["page"])
    assert desk.settings == {"workers": 2}
    assert desk.closed == 1


def test_ctrl_c_ends_serving_quietly(desk, tradewind_, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "tradewind.web.pages", SimpleNamespace(routes=lambda desk: ["page"]))
    monkeypatch.setitem(sys.modules, "tradewind.http.app", SimpleNamespace(serve=stopped))
    assert tradewind_("serve").status == 0
