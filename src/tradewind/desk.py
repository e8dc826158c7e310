"""The front desk: everything Tradewind can do, on one page; and how a workspace is opened."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tradewind.actions import _ask, admin, data, deployment, experiments, models, plans
from tradewind.core.errors import Busy, Incompatible, InvalidInput, NotFound, Tampered
from tradewind.core.event import OWNER, Actor
from tradewind.settings import Settings, default_folder
from tradewind.vault import archive, files
from tradewind.vault.blobs import Blobs
from tradewind.vault.keys import Keys
from tradewind.vault.ledger import Ledger
from tradewind.workers.pool import Pool
from tradewind.workspace import Answers, View, Workspace

FORMAT = 1
UPGRADES: Mapping[int, Callable[[Path], None]] = {}
"""Format -> what turns a workspace of that format into the next one, run once at open."""


class Desk(Workspace):
    """A workspace with its actions."""

    load = data.load
    tables = data.tables
    show = data.show
    forget = data.forget
    train = models.train
    evaluate = models.evaluate
    update = models.update
    predict = models.predict
    effects = models.effects
    plan = plans.plan
    measure = experiments.measure
    design = experiments.design
    versions = models.versions
    card = models.card
    promote = deployment.promote
    rollback = deployment.rollback
    split = deployment.split
    verify = deployment.verify
    export = deployment.export
    import_ = deployment.import_
    create_token = admin.create_token
    tokens = admin.tokens
    revoke_token = admin.revoke_token
    audit = admin.audit
    status = admin.status
    rotate = admin.rotate
    recovery = admin.recovery
    backup = admin.backup

    def as_(self, actor: Actor) -> Desk:
        """Return the same desk, for somebody else."""
        return dataclasses.replace(self, actor=actor)

    def actor_of(self, token: str) -> Actor:
        """Return who holds a token; raises NotSignedIn."""
        return admin.actor_of(self, token)

    def cached(self, model: str, *, horizon: int | None, where: Mapping[str, Any], explain: bool = False, key: str = "") -> bool:
        """Tell whether the answer to a default question is at hand, so that giving it never waits."""
        serving = self.deployment(model)
        return bool(serving.stable) and _ask.default(self, model, serving.route(key), _ask.Wish(horizon, where, explain)) is not None

    def warm(self) -> None:
        """Load every serving version and compute its default answers before the first question comes."""
        for model in self.view.fresh(now=True).versions:
            serving = self.deployment(model)
            for number in {serving.stable, serving.challenger} - {0}:
                _ask.warm(self, model, number)
            with suppress(Busy), self.lock(f"deploy-{model}"):  # a switch under way may have loaded what is not needed yet
                _ask.let_go(self, model)

    def close(self) -> None:
        """End the workers and write what is still in the air."""
        self.pool.close()
        self.ledger.close()

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open(folder: str | Path | None = None, *, actor: Actor = OWNER, **settings: Any) -> Desk:
    """Open a workspace, making it at first use; without a folder it is a temporary one.

    Raises Incompatible for a folder that a newer Tradewind made, and InvalidInput for one that is something else.
    """
    root = Path(folder) if folder is not None else Path(tempfile.mkdtemp(prefix="tradewind-"))
    _prepare(root)
    chosen = Settings.read(root, **settings)
    if (root / "ledger.db").exists() and not (root / "keys").is_dir():
        raise Tampered(f"{root} has lost its keys", hint="tradewind recover gives them back from the printed recovery code")
    keys = Keys.open(root / "keys", passphrase=chosen.passphrase or None, kek=bytes.fromhex(chosen.kek) if chosen.kek else None)
    ledger = Ledger(root / "ledger.db", keys)
    pool = Pool(
        memory_mb=chosen.worker_memory_mb,
        deadline_s=chosen.deadline_s,
        require_isolation=chosen.require_isolation,
        per_version=chosen.workers,
    )
    options = {knob.name: getattr(chosen, knob.name) for knob in dataclasses.fields(chosen) if not knob.metadata["secret"]}
    return Desk(root, actor, keys, Blobs(root / "blobs", keys), ledger, pool, View(ledger), Answers(chosen.answers), options)


def begin(folder: str | Path, *, country: str = "", subdivision: str = "") -> None:
    """Make a workspace that keeps the public holidays of a country, in its `tradewind.toml`.

    Raises BadValue for a country there is not, and InvalidInput where the workspace has settings already.
    """
    from tradewind.models._kit.calendar import holiday_dates

    holiday_dates(country, subdivision, [2024])
    root = Path(folder)
    path = root / "tradewind.toml"
    said = [f"{name} = {json.dumps(value)}" for name, value in (("country", country.upper()), ("subdivision", subdivision)) if value]
    if path.exists():
        raise InvalidInput(f"{path} is there already", hint=f"write into it: {', '.join(said)}")
    _prepare(root)
    files.write(path, "".join(f"{line}\n" for line in said).encode())


def demo(folder: str | Path | None = None, *, seed: int = 7, **sizes: Any) -> Desk:
    """Open the sample company: made and loaded where it is not there yet, nothing trained."""
    from tradewind.models._kit.world import make

    root = Path(folder) if folder is not None else Path(tempfile.mkdtemp(prefix="tradewind-"))
    if not (root / "format.json").exists():
        begin(root, country="DE")  # the sample company keeps German holidays
    desk = open(root)
    loaded = desk.view.fresh(now=True).tables
    for name, table in make(seed=seed, **sizes).tables.items():
        if name not in loaded:  # an earlier run may have been stopped half way
            desk.load(table, table=name)
    return desk


def restore(path: str | Path, folder: str | Path, *, recovery: str | None = None) -> Desk:
    """Make a workspace of a backup file; `recovery` is the printed code where the backup holds no keys."""
    archive.unpack_folder(Path(path), Path(folder))
    if recovery is not None:
        Keys.recover(Path(folder) / "keys", recovery)
    desk = open(folder)
    desk.ledger.verify()
    return desk


def recover(folder: str | Path, code: str, *, passphrase: str | None = None) -> Desk:
    """Give a workspace its keys back from the printed recovery code; keys it trusted must be trusted anew.

    They are locked as the workspace's settings say, or by `passphrase`. Raises NotFound for a folder that is no workspace.
    """
    root = Path(folder)
    given: dict[str, Any] = {} if passphrase is None else {"passphrase": passphrase}
    if not (root / "format.json").is_file():
        raise NotFound(f"{root} is not a Tradewind workspace", hint="name the folder whose keys are lost")
    chosen = Settings.read(root, **given)
    Keys.recover(root / "keys", code, passphrase=chosen.passphrase or None, kek=bytes.fromhex(chosen.kek) if chosen.kek else None)
    return open(root, **given)


def home(folder: str | Path | None = None) -> Path:
    """Return the workspace folder a command means: the one named, else TRADEWIND_WORKSPACE, else the current one."""
    return Path(folder) if folder is not None else default_folder()


def _prepare(root: Path) -> None:
    """Make the folder a workspace, or bring an older one up to this format."""
    mark = root / "format.json"
    if not mark.exists():
        if root.exists() and not root.is_dir():
            raise InvalidInput(f"{root} is a file, not a folder", hint="name a folder for the workspace")
        root.mkdir(parents=True, exist_ok=True)
        files.write(mark, json.dumps({"tradewind": FORMAT}).encode())
        return
    try:
        number = int(json.loads(mark.read_text("utf-8"))["tradewind"])
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise Incompatible(f"{mark} is damaged", hint="restore it from a backup") from error
    if number > FORMAT:
        raise Incompatible(
            f"{root} has workspace format {number}; this Tradewind reads up to {FORMAT}", hint="use the newer Tradewind that made it"
        )
    for step in range(number, FORMAT):
        UPGRADES[step](root)
        files.write(mark, json.dumps({"tradewind": step + 1}).encode())
