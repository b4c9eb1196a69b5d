"""Self-synthesis of a known body that swings its limbs, painted with its own rest coordinates."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from liquidwarp.cache import Cache
from liquidwarp.config import DetectConfig, FitConfig, SynthesisConfig
from liquidwarp.errors import NoPersonFoundError, SettingError
from liquidwarp.evaluate import held_out, self_synthesis
from liquidwarp.evaluate.held_out import held_out_pairs
from liquidwarp.evaluate.self_synthesis import evaluate_self, over_all
from liquidwarp.evaluate.sheets import contact_sheet, to_pixels
from liquidwarp.evaluate.table import Row
from liquidwarp.evaluation_config import SelfEvaluation
from liquidwarp.flow.condition import condition_maps
from liquidwarp.flow.mesh.extension import no_extension
from liquidwarp.learn.scores import Scores
from liquidwarp.media import save_image
from liquidwarp.recover import photos
from liquidwarp.recover.digitize import Recovery
from recover.people import SIZE, make_person

FRAMES = 12


@pytest.mark.parametrize("seed", range(5))
def test_targets_keep_away_from_the_sources(seed):
    generator = torch.Generator().manual_seed(seed)
    observed = torch.rand(60, generator=generator) < 0.9
    sources = torch.randperm(60, generator=generator)[:5]
    for gap in (1, 2, 4):
        pairs = held_out_pairs(observed, sources, 6, gap)
        assert (pairs[:, 1] - pairs[:, 0] == 1).all()
        assert (pairs.flatten()[:, None] - sources).abs().amin() >= gap
        assert observed[pairs].all()
        assert len(pairs.flatten().unique()) == pairs.numel() <= 12


def test_targets_are_spread_evenly():
    pairs = held_out_pairs(torch.ones(101, dtype=torch.bool), torch.tensor([50]), 5, 2)
    assert pairs[:, 0].diff().float().std() < 4
    assert int(pairs[0, 0]) == 0
    assert int(pairs[-1, 1]) >= 99


def test_too_short_a_video_is_told():
    with pytest.raises(SettingError, match=r"at least 3 away from all 2 sources.*fewer sources"):
        held_out_pairs(torch.ones(8, dtype=torch.bool), torch.tensor([2, 6]), 4, 3)


@pytest.fixture(scope="module")
def video(anny, tmp_path_factory):
    """A folder of frames, and what a perfect recovery says of it."""
    truth = make_person(anny, FRAMES)
    folder = tmp_path_factory.mktemp("video")
    maps = condition_maps(anny, no_extension(anny), truth.body, (SIZE[1], SIZE[0]))
    mattes = maps[:, 6:7]
    behind = torch.linspace(0.2, 0.6, SIZE[0]).expand(1, 3, SIZE[1], SIZE[0])
    images = mattes * (maps[:, :3] * 0.5 + 0.5) + (1 - mattes) * behind
    for index, image in enumerate(images):
        save_image(folder / f"{index:03d}.png", to_pixels(image))
    everything = torch.ones(FRAMES, dtype=torch.bool)
    seen = everything[:, None].expand(-1, len(anny.parents))
    recovery = Recovery(truth.body, (truth.detections,), everything, seen, 25.0, ())
    return folder, recovery


@pytest.fixture
def known(video, monkeypatch):
    """Nothing is detected: what would be found is known."""

    def cut_out(model, pictures, alphas, recovery, silhouettes, *_):
        return [{"matte": torch.from_numpy(s.astype(np.uint8) * 255)} for s in silhouettes]

    monkeypatch.setattr(held_out, "recover_video", lambda *_, **__: video[1])
    monkeypatch.setattr(photos, "_cut_out", cut_out)
    monkeypatch.setattr(self_synthesis, "SynthesisConfig", lambda size: SynthesisConfig(size, background="draft"))
    return video[0]


def test_known_bodies_are_synthesized_well(known, weights, tmp_path):
    models = ("texture", *(str(weights / name / "weights") for name in ("passing", "attention")))
    settings = SelfEvaluation(models, sources=2, targets=4, size=256)
    report = evaluate_self([known], settings, tmp_path, cache=Cache(tmp_path / "cache"))
    (facts,) = report.videos
    assert len(facts.sources) == 2
    assert len(facts.targets) == 4
    assert min(abs(s - t) for s in facts.sources for t in facts.targets) >= 2
    for name in ("texture", "passing"):
        row = report.of(name, known.name)
        assert row.scores.psnr_person > 20
        assert row.scores.mask_iou > 0.9
        temporal, still = row.more
        assert temporal < 0.8 * still
    assert report.of("attention", known.name).scores != report.of("passing", known.name).scores
    written = json.loads((tmp_path / "self.json").read_text())
    assert {row["model"] for row in written["rows"]} == {"texture", "passing", "attention"}
    assert written["videos"][known.name]["still"] == facts.still > 0
    sheet = np.array(Image.open(tmp_path / f"{known.stem}.png"))
    assert sheet.shape[1] == 5 * 320 + 4 * 4  # source, three models, truth


def test_the_second_of_each_pair_attends_to_the_first(known, weights, tmp_path):
    """What a network draws that only passes the texture on does not change by it; texture warping has no such row."""
    models = ("texture", *(str(weights / name / "weights") for name in ("passing", "attention")))
    settings = SelfEvaluation(models, sources=2, targets=2, size=256, temporal=True)
    report = evaluate_self([known], settings, tmp_path, cache=Cache(tmp_path / "cache"))
    expected = {"texture", "passing", "attention", "passing, temporal", "attention, temporal"}
    assert {row.model for row in report.rows} == expected
    passing, attention = (
        [report.of(name + end, known.name).scores.psnr_person for end in ("", ", temporal")]
        for name in ("passing", "attention")
    )
    assert passing[0] == pytest.approx(passing[1], abs=1e-5)
    assert attention[0] != pytest.approx(attention[1], abs=1e-4)


def test_bounds_tell_what_each_error_costs(known, tmp_path):
    """No sheet, as their pictures are half the truth."""
    settings = SelfEvaluation(("texture",), sources=2, targets=2, size=256, bounds=True)
    report = evaluate_self([known], settings, tmp_path, cache=Cache(tmp_path / "cache"))
    own = report.of("texture", known.name).scores
    outline = report.of("texture, true outline", known.name).scores
    assert outline.mask_iou == pytest.approx(1)
    assert outline.psnr_person > own.psnr_person + 0.1
    assert outline.perceptual < 0.9 * own.perceptual
    assert report.of("true person", known.name).scores.psnr_person > own.psnr_person + 3
    assert len(report.rows) == 6
    assert np.array(Image.open(tmp_path / f"{known.stem}.png")).shape[1] == 3 * 320 + 2 * 4


@pytest.mark.parametrize("wanted", [True, False])
def test_the_alignment_by_colours_can_be_left_out(wanted, monkeypatch, tmp_path):
    def recover(*_, settings, **__):
        assert settings == (DetectConfig(), FitConfig(photometric=wanted))
        raise NoPersonFoundError("asked")

    monkeypatch.setattr(held_out, "recover_video", recover)
    clip = tmp_path / "clip.mp4"
    clip.touch()
    with pytest.raises(NoPersonFoundError, match="asked"):
        evaluate_self([clip], SelfEvaluation(("texture",), size=256, photometric=wanted))


def test_several_videos_get_a_mean():
    scores = [Scores(20.0, 18.0, 0.5, 0.3, 0.9, None), Scores(30.0, 20.0, 0.7, 0.5, 0.9, 0.4)]
    rows = [Row(f"{k}.mp4", "texture", score, more=(0.1 * k, 0.2)) for k, score in enumerate(scores)]
    (mean,) = over_all(rows)
    assert (mean.group, mean.model, mean.more) == ("all", "texture", (0.05, 0.2))
    assert (mean.scores.psnr, mean.scores.face) == (25, 0.4)
    assert over_all(rows[:1]) == []


def test_contact_sheet_puts_pictures_under_titles():
    red, blue = (np.full((10, 60, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    sheet = contact_sheet(["one", "two"], [[red, blue], [blue, red]])
    assert sheet.shape == (26 + 10 + 4 + 10, 124, 3)
    assert (sheet[30, 30] == red[0, 0]).all()
    assert (sheet[45, 30] == blue[0, 0]).all()
    assert (sheet[30, 61] == 255).all()
    assert (sheet[:26] < 128).any()
