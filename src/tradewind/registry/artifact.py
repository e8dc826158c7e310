"""A version at rest: its manifest and parts, signed as one; packed, unpacked, exported, collected."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tradewind.core.bundle import join, split
from tradewind.core.errors import BadValue, Incompatible, NotFound, Tampered, TooBig, Unreadable
from tradewind.core.model import Artifact, Model, Trained
from tradewind.registry import formats
from tradewind.vault import files as disk
from tradewind.vault import seal
from tradewind.vault.keys import Keys
from tradewind.vault.seal import digest, sign_files, verify_files

canonical = seal.canonical
FORMAT = 1
SIGNATURE = "model.sig"
CARD = "card.md"
MOST_FILES = 1000
MOST_BYTES = 1 << 30
MOST_FILE_BYTES = 1 << 28
_NAME = re.compile(r"[a-z0-9_][a-z0-9._-]{0,99}")


def make(
    model: Model,
    trained: Trained,
    *,
    version: int,
    data: Mapping[str, Any],
    made: Mapping[str, Any],
    golden: Mapping[str, bytes] | None = None,
    updated_from: int | None = None,
) -> Artifact:
    """Write down what was learned: what the model is asked and gives, how it did, from which data, by whom.

    `golden` are questions and answers, as parts, that a worker must reproduce. `updated_from` is the version that was moved on
    without refitting: scores and leaderboard are then of its training. Numbers that are not finite become null.
    """
    parts = {**trained.parts, **(golden or {})}
    for name, part in parts.items():
        _named(name)
        formats.kind(part)
    board = trained.leaderboard
    manifest = {
        "format": FORMAT,
        "model": model.name,
        "version": version,
        "question": model.question,
        "task": model.task,
        "recipe": trained.recipe,
        "params": dict(trained.params),
        "horizon": model.horizon,
        "goal": {"metric": model.goal.metric, "by_errors": model.goal.by_errors, "at_most": model.goal.at_most},
        "asks": model.asks.as_dict(),
        "needs": model.needs.as_dict(),
        "gives": model.gives.as_dict(),
        "runtime": {"onnxruntime": ">=1.20", "providers": ["CPUExecutionProvider"], "threads": 1},
        "data": dict(data),
        "facts": dict(trained.facts),
        "scores": dict(trained.scores),
        "leaderboard": {name: board.column(name).tolist() for name in board.names},
        "golden": sorted(golden or {}),
        "files": {name: _described(name, part, golden or {}) for name, part in parts.items()},
        "made": dict(made),
    }
    if updated_from is not None:
        manifest["updated_from"] = updated_from
    return Artifact(_finite(manifest), parts)


def files(model_file: str, artifact: Artifact, card: str) -> dict[str, bytes]:
    """Return the files of a version by name: manifest, parts and card; raises BadValue for a name that cannot be one."""
    manifest = f"{model_file.removesuffix('.json')}.json"
    said = {key: value for key, value in artifact.manifest.items() if key != "card"}
    named = {manifest: canonical(said), **artifact.parts, CARD: card.encode()}
    if len(named) != len(artifact.parts) + 2 or SIGNATURE in named:
        raise BadValue(f"a part may not be called {manifest}, {CARD} or {SIGNATURE}")
    for name in named:
        _named(name)
    return named


def pack(artifact: Artifact, keys: Keys, *, file: str, card: str) -> bytes:
    """Sign a version and write it as one run of bytes; raises Unreadable for a part that is of no allowed format."""
    formats.text(card.encode())
    for part in artifact.parts.values():
        formats.kind(part)
    named = files(file, artifact, card)
    claims = {"format": FORMAT, "model": artifact.model, "version": artifact.version, "manifest": next(iter(named))}
    return join({**named, SIGNATURE: sign_files(named, keys, name=file.removesuffix(".json"), claims=claims)})


def unpack(data: bytes, keys: Keys) -> Artifact:
    """Return a version, verified before anything in it is parsed; its manifest then also has the card.

    Raises Tampered, Incompatible for a newer format, and Unreadable where another key signed a part of no allowed format.
    """
    named = split(data)
    if join(named) != data:
        raise Tampered("a packed version was written anew after signing")
    bundle = named.pop(SIGNATURE, None)
    if bundle is None:
        raise Tampered("a version without a signature", hint="it needs its model.sig")
    claims = verify_files(named, bundle, keys)
    manifest, at = _manifest(named, claims)
    card = named.pop(CARD, b"")
    parts = {name: part for name, part in named.items() if name != at}
    if claims["key_id"] != keys.key_id:  # our own were looked at when they were packed
        for name, part in parts.items():
            _named(name)
            formats.kind(part)
    if set(manifest["files"]) != set(parts):
        raise Tampered("a version's manifest lists other parts than it has", hint="get it again from whoever signed it")
    return Artifact({**manifest, "card": formats.text(card)}, parts)


def same(artifact: Artifact, model: str, version: int) -> Artifact:
    """Return the version if it is the one the ledger means; raises Tampered: a signed version in another's place is none."""
    if (artifact.model, artifact.version) != (model, version):
        raise Tampered(
            f"the ledger means {model} version {version}, the sealed bytes are {artifact.model} version {artifact.version}",
            hint="restore the workspace from a backup",
        )
    return artifact


def export(data: bytes, folder: Path) -> list[Path]:
    """Write a packed version into a new or empty folder, the signature last, and return the files.

    `model_signing verify key FOLDER --signature FOLDER/model.sig --public_key KEY` then accepts it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadValue(f"{folder} is not an empty folder", hint="every file in it would count as added to the version")
    named = split(data)
    for name in named:
        _named(name)
    disk.folder(folder)
    written = []
    for name in sorted(named, key=lambda name: name == SIGNATURE):
        disk.write(folder / name, named[name])
        written.append(folder / name)
    return written


def collect(folder: Path) -> bytes:
    """Read an exported folder as a packed version, nothing of it trusted yet; `unpack` verifies.

    Raises NotFound, Unreadable for a link, a folder or a strange name in it, and TooBig.
    """
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder}", hint="name the folder that `tradewind export` wrote")
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise Unreadable(f"{folder} cannot be read: {error.strerror}") from error
    if len(found) > MOST_FILES:
        raise TooBig(f"{folder} holds {len(found)} files, a version at most {MOST_FILES}")
    named: dict[str, bytes] = {}
    total = 0
    for entry in found:
        named[_named(entry.name)] = _plain(Path(entry.path))
        total += len(named[entry.name])
        if total > MOST_BYTES:
            raise TooBig(f"{folder} holds more than {MOST_BYTES >> 20} MB")
    if SIGNATURE not in named:
        raise Tampered(f"{folder} has no {SIGNATURE}", hint="an unsigned version is never taken in")
    return join(named)


def _manifest(named: Mapping[str, bytes], claims: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return a verified version's manifest and its file name; another tool's signature makes no claims, so it is looked for."""
    wanted = [str(claims["manifest"])] if "manifest" in claims else [name for name in named if name.endswith(".json")]
    for name in wanted:
        try:
            said = json.loads(named[name])
            number, model, version = int(said["format"]), str(said["model"]), int(said["version"])
            dict(said["files"])
        except (KeyError, ValueError, TypeError, RecursionError):
            continue
        if number > FORMAT:
            raise Incompatible(f"the version is of format {number}, this Tradewind reads {FORMAT}", hint="install a newer Tradewind")
        if (claims.get("model", model), claims.get("version", version)) != (model, version):
            raise Tampered("a version's manifest is not the one that was signed for it")
        return said, name
    raise Tampered("a signed folder without a version's manifest", hint="it was not made by tradewind export")


def _described(name: str, part: bytes, golden: Mapping[str, bytes]) -> dict[str, Any]:
    role = "golden" if name in golden else "model"
    return {"sha256": digest(part), "size": len(part), "media": formats.kind(part), "role": role}


def _named(name: str) -> str:
    """Return a file name that means the same on every disk: no path, no capitals, nothing hidden."""
    if not _NAME.fullmatch(name):
        raise Unreadable(f"{name[:80]!r} is not a name a version's file may have", hint="small letters, digits, '.', '_' and '-'")
    return name


def _plain(path: Path) -> bytes:
    """Read a plain file, refusing links, devices and folders at the moment of reading."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Unreadable(f"{path.name} is a link or cannot be read", hint="a version holds plain files only") from error
    try:
        said = os.fstat(handle)
        if not stat.S_ISREG(said.st_mode):
            raise Unreadable(f"{path.name} is not a plain file", hint="a version holds plain files only")
        if said.st_size > MOST_FILE_BYTES:
            raise TooBig(f"{path.name} is larger than {MOST_FILE_BYTES >> 20} MB")
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(MOST_FILE_BYTES + 1)
    finally:
        os.close(handle)
    if len(data) > MOST_FILE_BYTES:
        raise TooBig(f"{path.name} is larger than {MOST_FILE_BYTES >> 20} MB")
    return data


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
