"""Static files, read once: sent compressed, cached for ever under a name that changes with their content."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

HOME = Path(__file__).parent / "static"
KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: its bytes, plain and compressed, and the digest that names them."""

    kind: str
    plain: bytes
    packed: bytes
    digest: str


@cache
def assets() -> dict[str, Asset]:
    """Read every static file that a page may ask for."""
    found = {}
    for path in sorted(HOME.rglob("*")):
        if path.suffix in KINDS:
            plain = path.read_bytes()
            name = path.relative_to(HOME).as_posix()
            found[name] = Asset(KINDS[path.suffix], plain, gzip.compress(plain, 6, mtime=0), hashlib.sha256(plain).hexdigest()[:12])
    return found


def address(name: str) -> str:
    """Return the address of a static file, its digest in it; raises KeyError for a file there is not."""
    return f"/static/{name}?v={assets()[name].digest}"


def serve(request: Request) -> Response:
    """Answer GET /static/{name}: a look-up in memory, so no path can point elsewhere."""
    asset = assets().get(request.path_params["name"])
    if asset is None:
        return Response("there is no such file", 404, media_type="text/plain")
    headers = {
        "etag": f'"{asset.digest}"',
        "vary": "accept-encoding",
        "cache-control": FOR_EVER if request.query_params.get("v") == asset.digest else "no-cache",
    }
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, headers=headers | {"content-encoding": "gzip", "content-type": asset.kind})
    return Response(asset.plain, headers=headers | {"content-type": asset.kind})
