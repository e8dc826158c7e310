"""The entrance: help, version, wrong words."""

from __future__ import annotations

import subprocess
import sys

from tradewind import __version__


def test_help_lists_every_command_and_stays_light():
    heavy = "numpy polars fastapi onnxruntime lightgbm pandas altair cryptography"
    run = "import sys; from tradewind.cli.main import run\ntry: run(['--help'])\nexcept SystemExit: pass\n"
    code = f"{run}print(sorted(set(sys.modules) & set({heavy!r}.split())))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    for word in ("init", "doctor", "demo", "load", "train", "predict", "promote", "rollback", "audit", "token", "serve"):
        assert f" {word} " in done.stdout


def test_version(tradewind_):
    assert tradewind_("--version").out == f"tradewind {__version__}\n"


def test_an_unknown_command_is_status_2_with_a_hint(tradewind_):
    said = tradewind_("tabels")
    assert said.status == 2
    assert said.err.startswith("error[TW0400]: no such command 'tabels'")
    assert "tradewind --help" in said.err


def test_no_words_at_all_print_the_help(tradewind_):
    said = tradewind_()
    assert said.status == 0
    assert "Usage: tradewind" in said.out
    assert "..." not in "".join(said.out.split("COMMAND [ARGS]..."))


def test_a_reader_that_leaves_early_is_no_error():
    line = f"{sys.executable} -m tradewind --help | head -n 1"
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=True)
    assert done.stderr == ""
