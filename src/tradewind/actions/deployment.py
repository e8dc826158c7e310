"""Promote, roll back, split; verify, export and import versions."""

from __future__ import annotations

from pathlib import Path

from tradewind import models
from tradewind.actions import _ask
from tradewind.actions._door import action
from tradewind.actions._safe import safe
from tradewind.core.answer import Answer, Fact
from tradewind.core.errors import BadValue, GoalMissed, Incompatible, NotReady
from tradewind.core.model import Artifact
from tradewind.registry import artifact, gates
from tradewind.workspace import Workspace


@action(permits="promote", alone="deploy-{model}", wait_s=30)
def promote(ws: Workspace, model: str, version: int | None = None, *, force: bool = False, reason: str = "") -> Answer:
    """Let a version (the newest where none is named) serve, if every gate passes; it is warm before it takes over.

    `force` passes over the goal and the incumbent only, needs a reason, and is written down.
    """
    if force and not reason.strip():
        raise BadValue("a forced promotion needs a reason", hint='--force --reason "why"')
    question = models.get(model)
    number = version if version is not None else max(ws.view.fresh(now=True).versions.get(model, {0: None}))
    found = ws.artifact(model, number or None)
    number = found.version
    stable = ws.deployment(model).stable
    passed = [*gates.judge(question, found.manifest, compare_incumbent=stable not in (0, number)), *safe(ws, found)]
    missed = [gate for gate in passed if not gate.passed and not (force and gate.may_force)]
    if missed:
        _ask.let_go(ws, model)
        raise GoalMissed(
            f"{model} version {number} does not serve: " + "; ".join(gate.words for gate in missed),
            hint="train again, or --force with a reason where only the goal or the incumbent is missed",
        )
    _ask.let_go(ws, model, keep=(number,))
    facts = tuple(gate.fact for gate in passed)
    said = f"{model} version {number} serves." + (f" Forced: {reason}" if force else "")
    source = {"model": model, "version": number, "blob": str(ws.version(model, number).body["blob"]), "forced": force, "reason": reason}
    return Answer(facts, words=said, source=source | {"gates": {gate.name: gate.passed for gate in passed}})


@action(permits="promote", alone="deploy-{model}", wait_s=30)
def rollback(ws: Workspace, model: str, *, reason: str = "") -> Answer:
    """Let the version that served before serve again."""
    models.get(model)
    back = ws.view.fresh(now=True).deployment(model).previous()
    _ask.warm(ws, model, back)
    _ask.let_go(ws, model, keep=(back,))
    return Answer(
        (Fact("version", back),), words=f"{model} version {back} serves again.", source={"model": model, "version": back, "reason": reason}
    )


@action(permits="promote", alone="deploy-{model}", wait_s=30)
def split(ws: Workspace, model: str, challenger: int, share: float, *, reason: str = "") -> Answer:
    """Let a challenger answer a share of the keys, always the same ones; a share of 0 ends the split."""
    if not 0 <= share <= 1:
        raise BadValue(f"share must lie between 0 and 1, not {share}")
    models.get(model)
    stable = ws.view.fresh(now=True).deployment(model).stable
    if not stable:
        raise NotReady(f"no version of {model} serves yet", hint=f"tradewind promote {model}")
    if challenger == stable:
        raise BadValue(f"version {challenger} serves already; a challenger is another version")
    ws.version(model, challenger)
    _ask.warm(ws, model, challenger)
    _ask.let_go(ws, model, keep=(challenger,))
    words = f"{model} version {challenger} answers {share:.0%} of the keys, version {stable} the others."
    return Answer(
        (Fact("share", share),),
        words=words,
        source={"model": model, "version": stable, "challenger": challenger, "share": share, "reason": reason},
    )


@action(permits="read")
def verify(ws: Workspace, model: str | None = None, *, version: int | None = None) -> Answer:
    """Check seals and signatures of versions and tables, byte for byte; raises Tampered at the first that does not match."""
    if model is not None:
        models.get(model)
    checked = 0
    for name, made in ws.view.fresh(now=True).versions.items():
        for number in made:
            if (model is None or name == model) and (version is None or number == version):
                ws.artifact(name, number)
                checked += 1
    if model is not None and not checked:
        ws.version(model, version)
    blobs = ws.blobs.verify() if model is None else 0
    facts = (Fact("versions", checked), Fact("blobs", blobs))
    words = f"{checked} versions and {blobs} sealed blobs are as they were written."
    return Answer(facts, words=words, source={"versions": checked, "blobs": blobs})


@action(permits="export")
def export(ws: Workspace, model: str, folder: str | Path, *, version: int | None = None) -> Answer:
    """Write a version into a folder: manifest, parts, card and signature, readable by any OpenSSF model-signing verifier."""
    question = models.get(model)
    number = version if version is not None else ws.deployment(model).stable or ws.version(model).body["version"]
    event = ws.version(model, int(number))
    ws.artifact(model, int(number))
    written = artifact.export(ws.blobs.get(str(event.body["blob"])), Path(folder))
    words = f"{model} version {number} is in {folder}: {question.file}.json and its parts, signed. The public key is beside it."
    (Path(folder).parent / f"{Path(folder).name}.pub.pem").write_bytes(ws.keys.public_pem())
    return Answer((Fact("files", len(written)),), words=words, source={"model": model, "version": int(number), "files": len(written)})


@action(permits="export", alone="train-{model}")
def import_(ws: Workspace, model: str, folder: str | Path, *, trust: str | Path | None = None) -> Answer:
    """Take in an exported version, signed by a key this workspace trusts; `trust` is a public key file to trust from now on."""
    models.get(model)
    if trust is not None:
        ws.keys.trust(Path(trust).read_bytes())
    found = artifact.unpack(artifact.collect(Path(folder)), ws.keys)
    if found.model != model:
        raise Incompatible(f"the folder holds a version of {found.model}, not of {model}", hint=f"tradewind import {found.model} {folder}")
    number = max(ws.view.fresh(now=True).versions.get(model, {0: None})) + 1
    renumbered = Artifact(
        dict(found.manifest) | {"version": number, "imported": {"version": found.version, "made": found.manifest.get("made")}}, found.parts
    )
    blob = ws.blobs.put(artifact.pack(renumbered, ws.keys, file=models.get(model).file, card=str(found.manifest.get("card", ""))))
    words = f"{model} version {number} is imported (it was version {found.version} there)."
    return Answer(
        (Fact("version", number),),
        words=words,
        source={"model": model, "version": number, "blob": blob, "recipe": str(found.manifest["recipe"]), "was": found.version},
    )
