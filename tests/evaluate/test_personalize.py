"""The table of what carries personalisation, on a known body; learning itself is replaced."""

import json

import pytest
import torch

from liquidwarp.errors import SettingError
from liquidwarp.evaluate import personalize
from liquidwarp.evaluate.personalize import BEFORE, VARIANTS, evaluate_personalize, read_variant
from liquidwarp.evaluation_config import SelfEvaluation
from liquidwarp.learn.settings import read_overrides
from liquidwarp.personal.changes import Change
from liquidwarp.personal.personalize import Personalisation
from liquidwarp.personal_config import PersonalizeConfig

from .test_self_synthesis import known, video  # noqa: F401


def test_every_variant_differs_from_the_default():
    configs = {name: read_overrides(PersonalizeConfig(), changes) for name, changes in VARIANTS.items()}
    assert configs["default"] == PersonalizeConfig()
    assert len(set(map(repr, configs.values()))) == len(VARIANTS)


def test_unknown_variants_are_told():
    with pytest.raises(SettingError, match=r"variants: expected default.*got 'nothing'"):
        read_variant("nothing")


def test_one_network_is_expected():
    with pytest.raises(SettingError, match="one network"):
        evaluate_personalize([], SelfEvaluation(models=("lite", "base")))
    with pytest.raises(SettingError, match="one network"):
        evaluate_personalize([], SelfEvaluation(models=("texture",)))


def test_rows_compare_variants_with_before(known, weights, tmp_path, monkeypatch):  # noqa: F811
    asked = []

    def learn(people, generator, size, config):
        """Nothing is learned, or the heads are shut so that pictures differ."""
        asked.append(config)
        bias = torch.full_like(generator.transfer_net.heads.bias, 3.0 if config.rank else 0.0)
        return Personalisation(Change({"transfer_net.heads.bias": bias.half()}), False, 0.9, 5, 4, True)

    monkeypatch.setattr(personalize, "personalise", learn)
    monkeypatch.setattr(personalize, "prepare_material", lambda *_, **__: "lessons")
    folder = str(weights / "attention" / "weights")
    settings = SelfEvaluation((folder,), sources=2, targets=4, size=256)
    report = evaluate_personalize([known], settings, ("default", "tuned=transfer,rank=0"), tmp_path)
    assert [config.rank for config in asked] == [PersonalizeConfig().rank, 0]
    rows = {row.model: row for row in report.rows}
    assert set(rows) == {BEFORE, "default", "tuned=transfer,rank=0"}
    assert rows["default"].scores != rows[BEFORE].scores
    assert rows["default"].facts[:2] == ("4", "0")
    assert rows[BEFORE].more == (1.0,)
    assert "best step" in str(report)
    written = json.loads((tmp_path / "personalize.json").read_text())
    assert {row["variant"] for row in written["rows"]} == set(rows)
    assert (tmp_path / f"{known.stem}.png").is_file()
