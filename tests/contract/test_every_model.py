"""One suite over every model there is: what it declares, what it learns, what it gives back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tradewind import models
from tradewind.core.model import Blends, Example, Expands, Recipe, settle
from tradewind.core.table import Table
from tradewind.data.align import align

NAMES = models.names()
PAIRS = [(name, recipe) for name in NAMES for recipe in models.get(name).recipes]


@pytest.fixture(scope="module")
def worlds() -> dict[str, tuple[Example, Table]]:
    made: dict[str, tuple[Example, Table]] = {}
    for name in NAMES:
        example = models.part(name, "example", "example")(3)
        panel = models.part(name, "assemble", "assemble")(dict(example.tables))
        made[name] = example, align(panel)[0] if models.get(name).regular else panel.checked(models.get(name).needs)
    return made


def questions(recipe: Recipe, state: object, example: Example) -> Table:
    """Return everything that can be asked, or what the example asks where the recipe cannot say what everything is."""
    if isinstance(recipe, Expands):
        return recipe.expand(state, None, {})
    assert example.asked is not None, "a recipe without expand needs an example with questions"
    return example.asked


def light(recipe: Recipe) -> dict[str, object]:
    """Return a recipe's knobs, with few training steps where it trains by steps: what is tested here does not need more."""
    return settle(recipe.knobs, {"steps": 60} if any(knob.name == "steps" for knob in recipe.knobs) else {})


class States(dict[tuple[str, str], tuple[Recipe, object]]):
    """What every recipe learned, each only once it is looked at; one made of others is made of what they learned, as training does."""

    def __init__(self, worlds: dict[str, tuple[Example, Table]]) -> None:
        super().__init__()
        self.worlds = worlds

    def __missing__(self, key: tuple[str, str]) -> tuple[Recipe, object]:
        name, label = key
        recipe = models.recipe(name, label)
        if isinstance(recipe, Blends):
            members = {one: self[name, one][1] for one in recipe.members}
            self[key] = recipe, recipe.blend(members, dict.fromkeys(members, 1 / len(members)))
        else:
            self[key] = recipe, recipe.fit(self.worlds[name][1], light(recipe), 0)
        return self[key]


@pytest.fixture(scope="module")
def states(worlds: dict[str, tuple[Example, Table]]) -> States:
    return States(worlds)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_declares_itself(name: str) -> None:
    model = models.get(name)
    assert model.name == name
    assert model.question.endswith("?")
    assert len(model.recipes) >= 2, "a baseline and something that must beat it"
    assert model.asks.names and model.gives.required
    text = (Path(models.module(name).__path__[0]) / "card.md").read_text("utf-8").lower()
    for heading in ("intended use", "limits", "interval"):
        assert heading in text, f"card.md says nothing of {heading}"


@pytest.mark.parametrize(("name", "label"), PAIRS)
def test_dump_and_load_give_the_same_answers(name: str, label: str, worlds: dict, states: dict) -> None:
    recipe, state = states[name, label]
    again = recipe.load(recipe.dump(state))
    asked = questions(recipe, again, worlds[name][0])
    first, second = recipe.predict(state, asked), recipe.predict(again, asked)
    for column in models.get(name).gives.required:
        left, right = first.column(column), second.column(column)
        if left.dtype.kind in "fiu":
            np.testing.assert_allclose(left.astype(float), right.astype(float), rtol=1e-4, atol=1e-5)
        else:
            assert left.tolist() == right.tolist()


@pytest.mark.parametrize(("name", "label"), PAIRS)
def test_answers_are_what_the_model_promises(name: str, label: str, worlds: dict, states: dict) -> None:
    recipe, state = states[name, label]
    asked = questions(recipe, state, worlds[name][0])
    answer = recipe.predict(state, asked).checked(models.get(name).gives)
    assert len(asked) > 0 and len(answer) > 0
    assert len(answer) == len(asked) or models.get(name).many
    for low, high in (("lo95", "lo80"), ("lo80", "p50"), ("p50", "hi80"), ("hi80", "hi95")):
        if low in answer and high in answer:
            assert (answer.column(low) <= answer.column(high) + 1e-6).all(), f"{low} lies above {high}"


@pytest.mark.parametrize(("name", "label"), PAIRS)
def test_the_same_seed_gives_the_same_model(name: str, label: str, worlds: dict, states: dict) -> None:
    recipe, state = states[name, label]
    if isinstance(recipe, Blends):
        pytest.skip("it learns nothing of its own: its members are asked")
    twin = recipe.fit(worlds[name][1], light(recipe), 0)
    asked = questions(recipe, state, worlds[name][0])
    first, second = recipe.predict(state, asked), recipe.predict(twin, asked)
    for column in models.get(name).gives.required:
        left, right = first.column(column), second.column(column)
        if left.dtype.kind == "f":
            np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-9)
        else:
            assert left.tolist() == right.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_the_known_truth_is_recovered(name: str, worlds: dict, states: dict) -> None:
    example, _ = worlds[name]
    assert example.truths, "an example world without a truth proves nothing"
    # what is weighed together is weighed by validation; the truth is asked of the strongest recipe that learns by itself
    label = next(label for label in reversed(models.get(name).recipes) if not isinstance(models.recipe(name, label), Blends))
    recipe, state = states[name, label]
    for truth in example.truths:
        found = truth.measure(recipe.predict(state, truth.asked))
        assert abs(found - truth.value) <= truth.tolerance, f"{truth.name}: {found:.3f} is not {truth.value:.3f} +/- {truth.tolerance:.3f}"


@pytest.mark.parametrize(("name", "label"), PAIRS)
def test_knobs_are_declared_once_and_checked(name: str, label: str) -> None:
    recipe = models.recipe(name, label)
    for knob in recipe.knobs:
        assert knob.meaning, f"{label}.{knob.name} says not what it does"
        assert settle(recipe.knobs, {knob.name: knob.default})[knob.name] == knob.default


@pytest.mark.parametrize(("name", "label"), PAIRS)
def test_serving_imports_no_training_library(name: str, label: str, worlds: dict, states: dict, tmp_path) -> None:
    recipe, state = states[name, label]
    (tmp_path / "parts").mkdir()
    (tmp_path / "asked").write_bytes(questions(recipe, state, worlds[name][0]).to_bytes())
    for part, data in recipe.dump(state).items():
        (tmp_path / "parts" / part).write_bytes(data)
    code = (
        "import sys, json, pathlib, tradewind\n"
        "from tradewind import models\n"
        "from tradewind.core.table import Table\n"
        "import tradewind.models.run\n"
        f"recipe = models.recipe({name!r}, {label!r})\n"
        f"state = recipe.load({{p.name: p.read_bytes() for p in pathlib.Path({str(tmp_path / 'parts')!r}).iterdir()}})\n"
        f"recipe.predict(state, Table.from_bytes(pathlib.Path({str(tmp_path / 'asked')!r}).read_bytes()))\n"
        "print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert not loaded & {
        "polars",
        "pandas",
        "lightgbm",
        "statsforecast",
        "numba",
        "optax",
        "sklearn",
        "scipy",
        "pyarrow",
        "onnx",
        "jax",
        "torch",
        "duckdb",
        "cryptography",
        "sqlite3",
    }
