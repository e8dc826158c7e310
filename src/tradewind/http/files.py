"""Files in and out: uploads streamed to a temporary file, zip files checked name by name, downloads removed after sending."""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from starlette.background import BackgroundTask
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response

from tradewind.core import show
from tradewind.core.errors import DiskFull, EmptyTable, InvalidInput, TooBig, Unreadable
from tradewind.http.endpoints import JSON, Endpoint, House, accepted, guest_of, keyed
from tradewind.http.routes import Route, method_of

SUFFIXES = (
    ".csv",
    ".tsv",
    ".txt",
    ".xlsx",
    ".parquet",
    ".json",
    ".jsonl",
    ".ndjson",
    ".arrow",
    ".csv.gz",
    ".tsv.gz",
    ".txt.gz",
    ".json.gz",
    ".jsonl.gz",
    ".ndjson.gz",
)
KINDS = {
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.apache.parquet": ".parquet",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
}
PIECE = 1 << 20
MOST_FILES = 2000
NAME = re.compile(r"[\w.\- ]{1,120}$")


@dataclass(frozen=True, slots=True)
class Received:
    """An uploaded file, where it lies, and the options that came beside it."""

    file: Path
    size: int
    digest: str
    fields: Mapping[str, list[str]]


def upload(route: Route, house: House) -> Endpoint:
    """Return the function that loads an uploaded file into a table; a large one becomes a job."""

    async def serve(request: Request) -> Response:
        guest = guest_of(request)
        if not guest.actor.may("load"):
            await house.do(partial(guest.desk.load, b""))  # the door refuses it before a byte is read
        folder = Path(tempfile.mkdtemp(prefix="tradewind-upload-"))
        try:
            got = await _receive(request, house, folder)
            options = load_options(got.fields)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        try:
            said = await keyed(request, house, got.digest.encode(), partial(_load, house, request, got, options))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        if "idempotent-replay" in said.headers:  # answered from memory: no job took the file over
            shutil.rmtree(folder, ignore_errors=True)
        return said

    return serve


async def _load(house: House, request: Request, got: Received, options: dict[str, Any]) -> Response:
    guest, table = guest_of(request), request.path_params["table"]
    use = partial(method_of(guest.desk, "load"), got.file, table, **options)

    def work(progress: Any) -> Any:
        try:
            return use(progress=progress)
        finally:
            shutil.rmtree(got.file.parent, ignore_errors=True)

    job = house.jobs.start("load", f"table {table}", guest.actor.name, work)
    if got.size > house.limits.background or "respond-async" in request.headers.get("prefer", ""):
        return await accepted(house, job)
    await house.do(job.over.wait)
    if job.error is not None:
        raise job.error
    assert job.answer is not None
    return Response(show.json(job.answer), 201, media_type=JSON)


async def _receive(request: Request, house: House, folder: Path) -> Received:
    """Write the body to a file; return it with its size, digest and the options beside it."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    fields = {name: request.query_params.getlist(name) for name in request.query_params}
    try:
        if kind == "multipart/form-data":
            return await _from_form(request, house, folder, fields)
        file = folder / safe_name(request.query_params.get("filename", "") or "upload" + KINDS.get(kind, ".csv"))
        seen = hashlib.sha256()
        size = 0
        with file.open("wb") as out:
            async for piece in request.stream():
                size += len(piece)
                seen.update(piece)
                await house.do(partial(out.write, piece)) if len(piece) > 4096 else out.write(piece)
    except OSError as error:
        raise _disk(error) from error
    except ClientDisconnect as error:
        raise InvalidInput("the upload broke off", hint="send it again; nothing was loaded") from error
    if size == 0:
        raise EmptyTable("the body is empty", hint="send the file as the body: curl --data-binary @sales.csv")
    return Received(file, size, seen.hexdigest(), fields)


async def _from_form(request: Request, house: House, folder: Path, fields: dict[str, list[str]]) -> Received:
    try:
        form = await request.form(max_files=1, max_fields=50)
    except MultiPartException as error:
        raise InvalidInput(
            f"the form cannot be read: {error.message}", hint="one part named `file`, options as fields beside it"
        ) from error
    except Exception as error:
        if type(error).__name__ == "HTTPException":  # what starlette makes of a damaged form
            raise InvalidInput(f"the form cannot be read: {error}", hint="one part named `file`, options as fields beside it") from error
        raise
    try:
        part = form.get("file")
        if not isinstance(part, UploadFile):
            wrong = [{"pointer": "/file", "message": "is missing"}]
            raise InvalidInput("the form has no file", hint="name the part `file`: curl -F file=@sales.csv", fields=wrong)
        for name in form:
            values = [value for value in form.getlist(name) if isinstance(value, str)]
            fields.setdefault(name, []).extend(values)
        file = folder / safe_name(part.filename or "upload.csv")
        size, digest = await house.do(partial(_copy, part.file, file))
    finally:
        await form.close()
    if size == 0:
        raise EmptyTable("the file is empty", hint="send the file with its rows")
    return Received(file, size, digest, fields)


def _copy(source: BinaryIO, target: Path) -> tuple[int, str]:
    seen, size = hashlib.sha256(), 0
    with target.open("wb") as out:
        while piece := source.read(PIECE):
            size += len(piece)
            seen.update(piece)
            out.write(piece)
    return size, seen.hexdigest()


def _disk(error: OSError) -> DiskFull | Unreadable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull("the disk is full: the upload was not kept", hint="free some space; nothing was loaded")
    return Unreadable(f"the upload could not be written: {error.strerror}", hint="look at the temporary folder of the server")


def safe_name(name: str) -> str:
    """Return a file name without folders and odd characters; raises Unreadable for a kind we do not load."""
    plain = re.sub(r"[^\w.\- ]", "_", name.replace("\\", "/").rsplit("/", 1)[-1])[-100:].lstrip(".")
    if not plain.lower().endswith(SUFFIXES):
        raise Unreadable(
            f"cannot load {plain or 'a file without a name'}", hint=f"kinds: {', '.join(SUFFIXES[:9])}; name it by ?filename=sales.csv"
        )
    return plain


def load_options(fields: Mapping[str, list[str]]) -> dict[str, Any]:
    """Read the options of a load: map (JSON object, or theirs=ours repeated), wide, sheet, keep_duplicates."""
    mapping: dict[str, str] = {}
    for text in fields.get("map", []):
        if text.lstrip().startswith("{"):
            try:
                said = json.loads(text)
            except ValueError as error:
                raise InvalidInput("map is not valid JSON", hint='map={"qty": "units"}') from error
            mapping |= {str(theirs): str(ours) for theirs, ours in said.items()}
            continue
        theirs, equals, ours = text.rpartition("=")
        if not equals:
            raise InvalidInput(
                f"map {text[:60]!r} is not theirs=ours",
                hint="map=qty=units",
                fields=[{"pointer": "/map", "message": "must be theirs=ours"}],
            )
        mapping[theirs] = ours
    options: dict[str, Any] = {"map": mapping or None, "wide": tuple(fields.get("wide", ()))}
    if sheet := fields.get("sheet"):
        options["sheet"] = sheet[-1]
    if keep := fields.get("keep_duplicates"):
        options["keep_duplicates"] = keep[-1].lower() not in ("false", "0", "no")
    return options


def download(route: Route, house: House) -> Endpoint:
    """Return the function that sends what an action writes to a file."""

    async def serve(request: Request) -> Response:
        desk = guest_of(request).desk
        folder = Path(tempfile.mkdtemp(prefix="tradewind-download-"))
        try:
            if route.action == "backup":
                file = folder / "workspace.tradewind"
                await house.do(partial(desk.backup, file, keys=request.query_params.get("keys") == "true"))
            else:
                file = await house.do(partial(_exported, desk, request.path_params["model"], request.query_params.get("version"), folder))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return FileResponse(file, filename=file.name, background=BackgroundTask(shutil.rmtree, folder, ignore_errors=True))

    return serve


def _exported(desk: Any, model: str, version: str | None, folder: Path) -> Path:
    if version is not None and not version.isdecimal():
        raise InvalidInput("version must be a whole number", fields=[{"pointer": "/query/version", "message": "must be a whole number"}])
    inside = folder / "files"
    inside.mkdir()
    desk.export(model, inside / model, version=int(version) if version else None)
    file = folder / f"{model}.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as out:
        for path in sorted(inside.rglob("*")):
            if path.is_file():
                out.write(path, path.relative_to(inside))
    return file


def take_in(route: Route, house: House) -> Endpoint:
    """Return the function that imports a version from an uploaded zip file."""

    async def serve(request: Request) -> Response:
        guest, model = guest_of(request), request.path_params["model"]
        if not guest.actor.may("export"):
            await house.do(partial(guest.desk.import_, model, ""))  # the door refuses it before a byte is read
        with tempfile.TemporaryDirectory(prefix="tradewind-import-") as place:
            file = Path(place) / "upload.zip"
            with file.open("wb") as out:
                async for piece in request.stream():
                    await house.do(partial(out.write, piece))
            folder = await house.do(partial(unzip, file, Path(place) / "files", house.limits.upload))
            found = await house.do(partial(guest.desk.import_, model, folder))
        return Response(show.json(found), route.status, media_type=JSON)

    return serve


def unzip(file: Path, folder: Path, most: int) -> Path:
    """Unpack a zip file and return the folder with the version's files.

    Raises Unreadable for names that point elsewhere, links, doubles and damage; TooBig past `most` bytes, whatever the
    directory of the zip file says.
    """
    try:
        with zipfile.ZipFile(file) as packed:
            entries = [entry for entry in packed.infolist() if not entry.is_dir()]
            if len(entries) > MOST_FILES:
                raise TooBig(f"the zip file holds more than {MOST_FILES} files")
            seen: set[str] = set()
            left = most
            for entry in entries:
                target = folder.joinpath(*_steps(entry, seen))
                target.parent.mkdir(parents=True, exist_ok=True)
                with packed.open(entry) as source, target.open("wb") as out:
                    while piece := source.read(PIECE):
                        left -= len(piece)
                        if left < 0:
                            raise TooBig(f"the zip file unpacks to more than {most >> 20} MB")
                        out.write(piece)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, RuntimeError, ValueError, zlib.error) as error:
        raise Unreadable(f"the zip file cannot be read: {error}", hint="make it by GET /api/v1/models/{model}/export") from error
    except OSError as error:
        raise _disk(error) from error
    inner = [path for path in folder.iterdir() if path.is_dir()] if folder.exists() else []
    if not seen:
        raise Unreadable("the zip file is empty", hint="make it by GET /api/v1/models/{model}/export")
    return inner[0] if len(inner) == 1 else folder


def _steps(entry: zipfile.ZipInfo, seen: set[str]) -> list[str]:
    """Return the folders and name of an entry, or raise Unreadable."""
    steps = entry.filename.split("/")
    plain = all(NAME.match(step) and step not in (".", "..") for step in steps)
    if not plain or len(steps) > 4 or stat.S_ISLNK(entry.external_attr >> 16):
        raise Unreadable(
            f"the zip file holds a name that may not be: {entry.filename[:80]!r}",
            hint="names are letters, digits, dot, dash and underscore; no links, no folders above",
        )
    folded = entry.filename.casefold()
    if folded in seen:
        raise Unreadable(f"the zip file holds {entry.filename[:80]!r} twice")
    seen.add(folded)
    return steps
