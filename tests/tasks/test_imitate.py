"""The whole task on the demo's person, whose body is known; nothing is detected."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from liquidwarp.body.motion import Motion, motion_of
from liquidwarp.config import ImitateConfig, SynthesisConfig
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.media import open_frames, save_image
from liquidwarp.synthesizer import prepare_bank
from liquidwarp.tasks.imitate import Driving, imitate, load_driving
from liquidwarp.weights import asset

SYNTHESIS = SynthesisConfig(size=256, background="draft")


@pytest.fixture(scope="module")
def bank(demo_photos, anny):
    place = np.array(Image.open(asset("demo/background.jpg")).resize((192, 256), Image.Resampling.BOX))
    return prepare_bank(demo_photos, anny, SYNTHESIS, background=place)


@pytest.fixture(scope="module")
def waving(bank):
    """The source's own pose, from which the arm goes up: 6 frames."""
    body = bank.body
    rotations = body.rel_rotmats.repeat(6, 1, 1, 1)
    turn = torch.zeros(6, 3)
    turn[:, 2] = torch.linspace(0, -1.2, 6)
    arm = bank.model.roles.upper_arm[0]
    rotations[:, arm] = rotvec_to_matrix(turn) @ rotations[:, arm]
    still = motion_of(body, bank.model, 25.0)
    return Motion(rotations, still.translation.repeat(6, 1), still.zoom.repeat(6), 25.0, still.leg_length)


@pytest.fixture(scope="module")
def driving(waving, tmp_path_factory):
    """The same with pictures: frame t is 40 + 20 t bright."""
    folder = tmp_path_factory.mktemp("frames")
    for t in range(6):
        save_image(folder / f"{t}.png", np.full((40, 60, 3), 40 + 20 * t, np.uint8))
    return Driving(waving, folder, open_frames(folder))


def plain(waving):
    return Driving(waving, asset("demo/motion.bvh"), None)


@pytest.mark.parametrize("camera", ["natural", "follow", "fixed"])
def test_person_stands_where_the_source_stands(bank, waving, camera):
    """Driven by the own pose, every camera leaves place and size alone."""
    result = imitate(bank, plain(waving), ImitateConfig(camera=camera), SYNTHESIS)
    body = bank.body
    torch.testing.assert_close(result.targets.camera.scale[:1], body.camera.scale, rtol=0.02, atol=0)
    torch.testing.assert_close(result.targets.camera.translation[:1], body.camera.translation, rtol=0, atol=2.0)
    turned = result.targets.rel_rotmats[0].transpose(-1, -2) @ body.rel_rotmats[0]
    angle = ((turned.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1).acos()
    assert angle.max() < 0.05
    frame = next(iter(result))
    mask = bank.picture.astype(int) - bank.background
    person = np.abs(mask).sum(-1) > 60
    drawn = np.abs(frame.astype(int) - bank.background).sum(-1) > 60
    assert (person & drawn).sum() / (person | drawn).sum() > 0.7


def test_only_what_moves_changes(bank, waving):
    frames = [frame.astype(int) for frame in imitate(bank, plain(waving), None, SYNTHESIS)]
    assert len(frames) == 6
    x, y = (int(v) for v in bank.body.camera.translation[0])
    for before, after in pairwise(frames):
        changed = np.abs(after - before).sum(-1) > 90
        assert changed[:, x:].any(), "the left arm, on the right of the picture"
        assert changed[y + 10 :, :x].mean() < 0.02, "the right leg stands still"


def test_layouts(bank, driving, waving):
    clean = imitate(bank, driving, ImitateConfig(layout="clean"), SYNTHESIS)
    strip = imitate(bank, driving, ImitateConfig(layout="strip"), SYNTHESIS)
    assert clean.size == (192, 256)
    assert strip.size == (192 + 384 + 192, 256), "the driving, 60 x 40 px, at the result's height"
    for t, (alone, side_by_side) in enumerate(zip(clean.frames(3), strip.frames(3), strict=True), 3):
        assert side_by_side.shape == (256, 768, 3)
        np.testing.assert_array_equal(side_by_side[:, :192], bank.picture)
        assert (side_by_side[:, 192:576] == 40 + 20 * t).all(), "the driving's frame of the same time"
        np.testing.assert_array_equal(side_by_side[:, 576:], alone)
    without = imitate(bank, plain(waving), ImitateConfig(layout="strip"), SYNTHESIS)
    assert without.size == (3 * 192, 256), "a motion file is shown as a body"
    body = next(iter(without))[:, 192:384]
    assert (body != 230).any(-1).mean() > 0.05


@pytest.mark.parametrize("layout", ["clean", "strip"])
def test_an_interrupted_run_ends_with_the_same_video(bank, driving, layout, tmp_path, monkeypatch):
    result = imitate(bank, driving, ImitateConfig(layout=layout), SYNTHESIS)
    result.save(tmp_path / "whole", progress=False)
    rendered = []
    frames = type(result).frames

    def stopping(self, start=0):
        for index, frame in enumerate(frames(self, start), start):
            if index == 4 and not rendered:
                rendered.append(index)
                raise KeyboardInterrupt
            rendered.append(index) if start else None
            yield frame

    monkeypatch.setattr(type(result), "frames", stopping)
    with pytest.raises(KeyboardInterrupt):
        result.save(tmp_path / "parts", progress=False)
    assert not (tmp_path / "parts").exists()
    result.save(tmp_path / "parts", progress=False)
    assert rendered == [4, 4, 5], "the first four frames were kept"
    for first, second in zip(open_frames(tmp_path / "whole"), open_frames(tmp_path / "parts"), strict=True):
        np.testing.assert_array_equal(first, second)


def test_other_settings_do_not_continue_a_run(bank, driving, waving):
    base = imitate(bank, driving, None, SYNTHESIS)
    keys = {
        base._key(),
        imitate(bank, driving, ImitateConfig(layout="strip"), SYNTHESIS)._key(),
        imitate(bank, plain(waving[slice(0, 5)]), None, SYNTHESIS)._key(),
        imitate(bank, driving, None, SynthesisConfig(size=512, background="draft"))._key(),
    }
    assert len(keys) == 4
    assert imitate(bank, driving, None, SYNTHESIS)._key() == base._key()


def test_motion_file(anny):
    driving = load_driving(asset("demo/motion.bvh"), anny, fps=10.0, max_frames=7)
    assert (len(driving.motion), driving.motion.fps, driving.sound) == (7, 10, None)


def test_fingers_and_head_follow_the_driving(bank):
    """A pointing hand and a turned head; the other hand, of which the driving says the same, closes as far."""
    model, body = bank.model, bank.body
    still = motion_of(body, model, 25.0)
    rotations = still.rel_rotmats.clone()
    bent = [joint for finger in model.roles.fingers[0][2:] for joint in finger]
    rotations[:, bent] = rotvec_to_matrix(torch.tensor([0.0, 0.0, 1.0])) @ rotations[:, bent]
    head = model.roles.neck[-1]
    rotations[:, head] = rotvec_to_matrix(torch.tensor([0.0, 0.5, 0.0])) @ rotations[:, head]
    pointing = Motion(rotations, still.translation, still.zoom, 25.0, still.leg_length)
    targets = imitate(bank, plain(pointing), ImitateConfig(camera="fixed"), SYNTHESIS).targets
    torch.testing.assert_close(targets.rel_rotmats[:, [*bent, head]], rotations[:, [*bent, head]])
    rest = model.rest(body.betas[None])
    before, after = (model.pose(rest, r).vertices[0] for r in (body.rel_rotmats, targets.rel_rotmats))
    moved = (after - before).norm(dim=-1)
    weight = model.lbs_weights[:, bent].sum(1)
    assert float(moved[weight > 0.9].mean()) > 0.02, "the middle finger's flesh"
    index = list(model.roles.fingers[0][1])
    assert float(moved[model.lbs_weights[:, index].sum(1) > 0.99].max()) < 0.01, "the index finger points on"


def test_a_driving_that_says_nothing_of_fingers_leaves_them(bank):
    model, body = bank.model, bank.body
    still = motion_of(body, model, 25.0)
    fingers = [joint for side in model.roles.fingers for finger in side for joint in finger]
    rotations = still.rel_rotmats.clone()
    rotations[:, fingers] = torch.eye(3)
    silent = Motion(rotations, still.translation, still.zoom, 25.0, still.leg_length)
    targets = imitate(bank, plain(silent), None, SYNTHESIS).targets
    torch.testing.assert_close(targets.rel_rotmats[:, fingers], body.rel_rotmats[:, fingers])


def test_a_motion_of_one_frame_becomes_a_picture(bank, waving, tmp_path):
    result = imitate(bank, plain(waving[slice(0, 1)]), None, SYNTHESIS)
    result.save(tmp_path / "pose.png", progress=False)
    result.save(tmp_path / "pose.mp4", progress=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pose.mp4", "pose.png"]
    assert len(open_frames(tmp_path / "pose.mp4")) == 1
