"""Make the vendored browser code again: python scripts/vendor.py [--check].

Needs npm and, in a throw-away environment, `vl-convert-python`; neither is a dependency of Tradewind. The Vega bundle is what
vl-convert emits: it holds the CSP-safe expression interpreter. Versions are pinned here and nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HTMX = "4.0.1"
VL_CONVERT = "1.9.0"
VEGA = ("vega@6.2.0", "vega-lite@6.4.0", "vega-embed@7", "vega-interpreter@2")
HOME = Path(__file__).parents[1] / "src" / "tradewind" / "web" / "static" / "vendor"


def run(*words: str | Path, folder: Path) -> str:
    """Run a command in a folder; return what it says."""
    return subprocess.run([str(word) for word in words], cwd=folder, check=True, capture_output=True, text=True).stdout


def htmx(folder: Path) -> dict[str, bytes]:
    """Return htmx and its licence, from npm."""
    run("npm", "pack", "--silent", f"htmx.org@{HTMX}", folder=folder)
    run("tar", "xzf", f"htmx.org-{HTMX}.tgz", folder=folder)
    return {"htmx.js": (folder / "package/dist/htmx.min.js").read_bytes(), "htmx.LICENSE": (folder / "package/LICENSE").read_bytes()}


def vega(folder: Path) -> dict[str, bytes]:
    """Return the Vega bundle, and the licences of all that is in it."""
    run(sys.executable, "-m", "venv", "v", folder=folder)
    run(folder / "v/bin/pip", "install", "-q", f"vl-convert-python=={VL_CONVERT}", folder=folder)
    code = run(folder / "v/bin/python", "-c", "import vl_convert; print(vl_convert.javascript_bundle(), end='')", folder=folder)
    run("npm", "init", "-y", folder=folder)
    run("npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", *VEGA, folder=folder)
    return {"vega.js": code.encode(), "vega.LICENSES": licences(folder / "node_modules").encode()}


def licences(modules: Path) -> str:
    """Return the licence texts of every package in a node_modules folder, same texts once."""
    texts: dict[str, list[str]] = {}
    for about in sorted([*modules.glob("*/package.json"), *modules.glob("@*/*/package.json")]):
        said = json.loads(about.read_text("utf-8"))
        files = sorted(path for path in about.parent.iterdir() if path.name.upper().startswith(("LICENSE", "LICENCE")))
        text = files[0].read_text("utf-8").strip() if files else f"(no licence file; package.json says {said.get('license')})"
        texts.setdefault(text, []).append(f"{said['name']} {said['version']} ({said.get('license')})")
    return "\n\n".join("\n".join(names) + "\n\n" + text for text, names in texts.items()) + "\n"


def main() -> int:
    """Write the files, or with --check tell whether they are as written."""
    sums = HOME / "SHA256SUMS"
    if "--check" in sys.argv:
        wanted = dict(line.split("  ")[::-1] for line in sums.read_text("utf-8").splitlines())
        wrong = [name for name, digest in wanted.items() if hashlib.sha256((HOME / name).read_bytes()).hexdigest() != digest]
        sys.stderr.write(f"changed: {wrong}\n" if wrong else "")
        return 1 if wrong else 0
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        files = htmx(Path(one)) | vega(Path(two))
    HOME.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (HOME / name).write_bytes(data)
    sums.write_text("".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items())), "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
