"""People in others' clothes, for the evaluation of transfer: whose garment is where is known."""

import json
import random

import numpy as np
import pytest
import torch

from liquidwarp.config import SyntheticConfig
from liquidwarp.evaluate.transfer import LENT, PeopleInOthersClothes, evaluate_transfer, lend
from liquidwarp.synthetic.outfits import draw_outfit


def test_lent_garments_come_with_their_paint(wardrobe):
    chance = random.Random(4)
    wearer, giver = (draw_outfit(wardrobe, SyntheticConfig(), True, chance) for _ in range(2))
    mixed = lend(wearer, giver, LENT["upper"])
    assert len(mixed.paints) == len(mixed.garments) + 1
    assert mixed.paints[0] == wearer.paints[0], "the wearer's skin"
    for garment, paint in zip(mixed.garments, mixed.paints[1:], strict=True):
        owner = giver if garment.kind == "top" else wearer
        assert (garment, paint) in [(g, p) for g, p in zip(owner.garments, owner.paints[1:], strict=True)]
    kinds = sorted(garment.kind for garment in mixed.garments)
    assert kinds == sorted(
        garment.kind
        for owner, kept in ((wearer, False), (giver, True))
        for garment in owner.garments
        if (garment.kind == "top") == kept
    )


@pytest.mark.parametrize("lent", ["upper", "lower"])
def test_the_third_person_is_the_first_but_for_what_is_lent(model, wardrobe, poses, plain, lent):
    config = SyntheticConfig(**{**plain.__dict__, "tones": 0.0, "ground": 0.0})
    people = PeopleInOthersClothes(model, wardrobe, poses, config, seed=5)
    people.lent = lent
    batch = people.sample(3, 2, 96, index=1)
    torch.testing.assert_close(batch.backgrounds[0], batch.backgrounds[2])
    torch.testing.assert_close(batch.body[0].rel_rotmats, batch.body[2].rel_rotmats)
    torch.testing.assert_close(batch.body[0].betas[:20], batch.body[2].betas[:20])
    changed = (batch.images[0] - batch.images[2]).abs().mean(1)[0].numpy() > 0.02
    rows = np.flatnonzero(batch.mattes[0, 0, 0].amax(1).numpy() > 0.5)
    middle = (rows[0] + rows[-1]) // 2
    upper, lower = changed[:middle].sum(), changed[middle:].sum()
    assert (upper > 3 * lower) if lent == "upper" else (lower > 3 * upper)


def test_the_table_the_figures_and_the_sheets(model, wardrobe, poses, plain, monkeypatch, tmp_path):
    def load(*_):
        return PeopleInOthersClothes(model, wardrobe, poses, plain, seed=5)

    monkeypatch.setattr(PeopleInOthersClothes, "load", load)
    report = evaluate_transfer("", ("texture",), people=1, size=256, out=tmp_path)
    assert sorted(row.group for row in report.rows) == sorted(LENT)
    assert all(row.scores.psnr_person > 12 and row.scores.mask_iou > 0.8 for row in report.rows)
    facts = json.loads((tmp_path / "transfer.json").read_text())
    assert [row["lent"] for row in facts["rows"]] == [row.group for row in report.rows]
    assert all((tmp_path / f"transfer_{lent}.png").is_file() for lent in LENT)
