"""A sentence encoder that the user supplies: an ONNX graph and its WordPiece vocabulary, pinned by hash, run in the worker.

Expected is what exports of MiniLM and its kin look like: inputs `input_ids`, `attention_mask` and perhaps `token_type_ids` (n, length) of
int64, first output (n, length, size) of token vectors or (n, size) of sentence vectors. Nothing is downloaded; all else works without it.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, NotFound, Tampered
from tradewind.core.table import Array

GRAPH, TOKENS = "encoder.onnx", "encoder_tokens.json"
MOST_TOKENS = 128
BATCH = 32
_SPLIT = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class Encoder:
    """A graph and a vocabulary; a text becomes a vector of length one."""

    graph: bytes
    tokens: bytes
    _memo: dict[str, list[int]] = field(default_factory=dict, compare=False)

    def parts(self) -> dict[str, bytes]:
        """Return it as named parts."""
        return {GRAPH: self.graph, TOKENS: self.tokens}

    @cached_property
    def _session(self) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(self.graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own kinds, none of them documented
            raise Tampered("the sentence encoder cannot be read", hint="supply an ONNX graph") from error

    @cached_property
    def _vocabulary(self) -> dict[str, int]:
        try:
            said = json.loads(self.tokens)["model"]["vocab"]
            return {str(word): int(at) for word, at in said.items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Tampered("the encoder's tokenizer.json holds no WordPiece vocabulary") from error

    def vectors(self, texts: Sequence[str]) -> Array:
        """Return (n, size) mean token vectors of length one."""
        made = [self._batch(texts[at : at + BATCH]) for at in range(0, len(texts), BATCH)]
        return np.concatenate(made) if made else np.zeros((0, 0))

    def _batch(self, texts: Sequence[str]) -> Array:
        rows = [self._numbers(text) for text in texts]
        length = max(map(len, rows))
        ids = np.zeros((len(rows), length), "i8")
        mask = np.zeros((len(rows), length), "i8")
        for at, row in enumerate(rows):
            ids[at, : len(row)], mask[at, : len(row)] = row, 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        wanted = {one.name for one in self._session.get_inputs()}
        if not wanted <= set(given):
            raise BadValue(f"the encoder asks for {', '.join(sorted(wanted - set(given)))}", hint="export it with input_ids and a mask")
        out: Array = np.asarray(self._session.run(None, {name: given[name] for name in wanted})[0], "f8")
        if out.ndim == 3:
            out = (out * mask[:, :, None]).sum(1) / np.maximum(mask.sum(1), 1)[:, None]
        size = np.sqrt((out * out).sum(1, keepdims=True))
        return np.asarray(out / np.where(size > 0, size, 1.0))

    def _numbers(self, text: str) -> list[int]:
        known = self._vocabulary
        plain = "".join(sign for sign in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(sign) != "Mn")
        found: list[int] = []
        for word in _SPLIT.findall(plain):
            if len(found) >= MOST_TOKENS - 2:
                break
            if word not in self._memo:
                if len(self._memo) > 50_000:
                    self._memo.clear()
                self._memo[word] = _pieces(word, known)
            found += self._memo[word]
        return [known.get("[CLS]", 0), *found[: MOST_TOKENS - 2], known.get("[SEP]", 0)]


def _pieces(word: str, known: Mapping[str, int]) -> list[int]:
    """Return the longest known pieces of a word from its start, or the unknown sign alone."""
    found: list[int] = []
    at = 0
    while at < len(word):
        for end in range(len(word), at, -1):
            piece = word[at:end] if at == 0 else f"##{word[at:end]}"
            if piece in known:
                found.append(known[piece])
                at = end
                break
        else:
            return [known.get("[UNK]", 0)]
    return found


def supplied(folder: Path, sha256: str) -> Encoder:
    """Read an encoder from a folder; raises NotFound, BadValue without a hash, Tampered where the graph is not the one that was pinned."""
    graph, tokens = folder / "model.onnx", folder / "tokenizer.json"
    for path in (graph, tokens):
        if not path.is_file():
            raise NotFound(f"there is no {path.name} in {folder}", hint="an encoder is a folder with model.onnx and tokenizer.json")
    data = graph.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if not sha256:
        raise BadValue("an encoder is used only with its hash", hint="set encoder_sha256 to the SHA-256 its source states")
    if found != sha256.lower():
        raise Tampered(f"the encoder has SHA-256 {found}, not the one that was given", hint="get it again from its source")
    return Encoder(data, tokens.read_bytes())


def held(parts: Mapping[str, bytes]) -> Encoder | None:
    """Return the encoder among the parts of a version, if there is one."""
    return Encoder(parts[GRAPH], parts[TOKENS]) if GRAPH in parts else None
