"""People from all sides: the poses, clothes and figures are known."""

import json
import random
from dataclasses import replace

import pytest
import torch

from liquidwarp.cli import main
from liquidwarp.config import SyntheticConfig, TrainConfig
from liquidwarp.errors import SettingError
from liquidwarp.evaluate import unseen
from liquidwarp.evaluate.contenders import Contender
from liquidwarp.evaluate.known_photos import SettledPeople
from liquidwarp.evaluate.unseen import CLOTHES, SIDES, PeopleFromAllSides, clothes_of, evaluate_unseen
from liquidwarp.evaluation_config import UnseenEvaluation
from liquidwarp.learn.scores import Pictures, Scorer
from liquidwarp.media import read_image
from liquidwarp.metrics import mask_iou, psnr
from liquidwarp.synthetic.figure import Decal
from liquidwarp.synthetic.outfits import draw_outfit

CONFIG = SyntheticConfig(upper_body=0.0, similar_views=0.0, moving_background=0.0, degrade=0.0, shadows=False)


@pytest.fixture
def people(model, wardrobe, poses) -> PeopleFromAllSides:
    return PeopleFromAllSides(model, wardrobe, poses, CONFIG, seed=3)


def with_patterns(outfit, pattern, decal=None):
    plain, own = (replace(outfit.paints[0], pattern=name) for name in ("plain", pattern))
    cloth = [own if garment.kind == "top" else plain for garment in outfit.garments]
    return replace(outfit, paints=(plain, *cloth), decal=decal)


def test_clothes_are_told_apart(wardrobe):
    outfit = draw_outfit(wardrobe, SyntheticConfig(), True, random.Random(0))
    assert any(garment.kind == "top" for garment in outfit.garments)
    chest = Decal(0, (0.1, 0.1), 0.4, (0.0, -0.35), 0.1, front=True)
    back = replace(chest, front=False)
    assert clothes_of(with_patterns(outfit, "plain")) == clothes_of(with_patterns(outfit, "halves")) == "plain"
    assert clothes_of(with_patterns(outfit, "dots")) == "patterned"
    assert clothes_of(with_patterns(outfit, "plain", chest)) == "print"
    assert clothes_of(with_patterns(outfit, "plain", back)) is None
    assert clothes_of(with_patterns(outfit, "dots", chest)) is None


def test_people_turn_in_one_pose_and_wear_all_kinds_of_clothes(people, monkeypatch):
    worn = []
    outfit_of = people._outfit
    monkeypatch.setattr(people, "_outfit", lambda *args: worn.append(outfit_of(*args)) or worn[-1])
    for index in range(3):
        batch = people.sample(1, 1 + len(SIDES), 64, index)
        body = batch.body[0].rel_rotmats
        assert (batch.backgrounds[0, 0] - batch.backgrounds[0, 1]).abs().mean() < 0.1  # but for shade on the ground
        torch.testing.assert_close(body[2:, 1:], body[1:2, 1:].expand(3, -1, -1, -1))
        assert not torch.allclose(body[0, 1:], body[1, 1:], atol=0.01)
        turns = [body[view, 0] @ body[1, 0].mT for view in range(1, 5)]
        cosines = [(float(turn.trace()) - 1) / 2 for turn in turns]
        assert cosines == pytest.approx([1, 0.5**0.5, 0, -1], abs=1e-4)
    assert tuple(map(clothes_of, worn)) == CLOTHES


def test_a_wardrobe_without_the_clothes_is_told(model, wardrobe, poses):
    people = PeopleFromAllSides(model, wardrobe, poses, replace(CONFIG, pattern=0.0), seed=3)
    people.sample(1, 5, 32, 0)
    with pytest.raises(SettingError, match="expected patterned clothes, found none"):
        people.sample(1, 5, 32, 2)


def test_the_product_draws_all_sides_from_the_front(people):
    settled = SettledPeople(TrainConfig(size=256, synthetic=CONFIG), people)
    rendered = people.sample(1, 1 + len(SIDES), 256, 0)
    bodies, contender = settled.bodies(rendered), Contender("texture", None)
    made = unseen._made(contender, people.model, rendered, bodies, torch.device("cpu"))
    assert made.images.shape == (len(SIDES), 3, 256, 256)
    assert float(mask_iou(made.mattes, rendered.mattes[0, 1:]).min()) > 0.8
    whole = torch.ones_like(made.mattes)
    assert float(psnr(made.images, rendered.images[0, 1:], whole).min()) > 18
    images = rendered.images.clone()
    images[:, 1:] = 0.5  # the targets' pictures are no sources
    again = unseen._made(contender, people.model, replace(rendered, images=images), bodies, torch.device("cpu"))
    torch.testing.assert_close(again.images, made.images)


def test_the_table_the_figures_and_the_sheet(people, monkeypatch, tmp_path):
    """What is drawn is the truth, but all backs are grey, and patterned people from the side."""

    def made(contender, model, rendered, bodies, device):
        images = rendered.images[0, 1:].clone()
        images[3] = 0.5
        if people._next % 3 == 0:
            images[2] = 0.5
        return Pictures(images, rendered.mattes[0, 1:])

    monkeypatch.setattr(PeopleFromAllSides, "load", lambda *_: people)
    monkeypatch.setattr(SettledPeople, "bodies", lambda _, rendered: rendered.fitted)
    monkeypatch.setattr(unseen, "_made", made)
    monkeypatch.setattr(Scorer, "load", lambda _: Scorer())
    report = evaluate_unseen("", UnseenEvaluation(people=1), tmp_path)
    assert len(report.rows) == len(SIDES) * (1 + len(CLOTHES))
    for side in ("front", "three-quarter"):
        assert report.of(side).psnr == 100
    assert all(report.of("back", clothes).psnr < 30 for clothes in ("all", *CLOTHES))
    assert report.of("side", "plain").psnr == report.of("side", "print").psnr == 100
    assert report.of("side", "patterned").psnr < 30
    assert report.of("side").psnr == pytest.approx((200 + report.of("side", "patterned").psnr) / 3, abs=1e-4)
    assert "| back, all                | texture |" in str(report)
    facts = json.loads((tmp_path / "unseen.json").read_text())
    assert facts["settings"]["people"] == 1
    assert (facts["rows"][0]["side"], facts["rows"][0]["clothes"]) == ("front", "all")
    sheet = read_image(tmp_path / "unseen_texture.png").rgb
    assert sheet.shape[1] == 9 * 256 + 8 * 4
    assert sheet.shape[0] > 3 * 256


def test_mistakes_are_told(capsys):
    with pytest.raises(SettingError, match="people: expected at least 1, got 0"):
        UnseenEvaluation(people=0)
    with pytest.raises(SettingError, match="models: expected texture, base, lite or folders of weights"):
        UnseenEvaluation(("warp",))
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", "unseen", "nowhere"])
    assert stop.value.code == 2
    assert "wardrobe: nowhere: no such file" in capsys.readouterr().err
