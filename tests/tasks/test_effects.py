"""Several views, bullet time and other bodies, on the demo's person and a motion whose frames are known."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from liquidwarp.backdrop import Still
from liquidwarp.body.model import BodyParams
from liquidwarp.body.motion import Motion, motion_of
from liquidwarp.body.turntable import frozen_turns, orbit
from liquidwarp.config import ImitateConfig, SynthesisConfig, ViewConfig
from liquidwarp.effects import Effects
from liquidwarp.errors import SettingError
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.rotations import matrix_to_rotvec
from liquidwarp.media import open_frames, save_image
from liquidwarp.options import parse_effects
from liquidwarp.synthesizer import prepare_bank, render_frames
from liquidwarp.tasks.imitate import Driving, imitate
from liquidwarp.tasks.shape import reshape
from liquidwarp.tasks.transfer import transfer
from liquidwarp.tasks.view import view
from liquidwarp.weights import asset

SYNTHESIS = SynthesisConfig(size=256, background="draft", renderer="texture")
FRAMES = 5
FRONT = ViewConfig(angle=0)


@pytest.fixture(scope="module")
def bank(demo_photos, anny):
    place = np.array(Image.open(asset("demo/background.jpg")).resize((192, 256), Image.Resampling.BOX))
    return prepare_bank(demo_photos, anny, SYNTHESIS, background=place)


@pytest.fixture(scope="module")
def driving(bank, tmp_path_factory):
    """The own pose, 5 frames; frame t of the pictures is 40 + 20 t bright."""
    folder = tmp_path_factory.mktemp("frames")
    for t in range(FRAMES):
        save_image(folder / f"{t}.png", np.full((40, 60, 3), 40 + 20 * t, np.uint8))
    still = motion_of(bank.body, bank.model, 25.0)
    motion = Motion(
        still.rel_rotmats.repeat(FRAMES, 1, 1, 1), torch.zeros(FRAMES, 3), torch.ones(FRAMES), 25.0, still.leg_length
    )
    return Driving(motion, folder, open_frames(folder))


def walking(bank):
    """Five frames that differ in place."""
    camera = WeakPerspective(
        bank.body.camera.scale.repeat(5), bank.body.camera.translation + torch.arange(5.0)[:, None]
    )
    return BodyParams(bank.body.betas, bank.body.rel_rotmats.repeat(5, 1, 1, 1), camera)


def heading(body, model):
    """Turn of the root about the vertical since the first frame [rad], in 0 to 2 pi."""
    root = body.rel_rotmats[:, model.roles.root]
    turn = matrix_to_rotvec(root @ root[:1].mT)
    assert float(turn[:, [0, 2]].abs().max()) < 1e-3
    return torch.remainder(turn[:, 1] + 1e-3, 2 * math.pi) - 1e-3


def test_bullet_time_goes_once_around_and_on(bank):
    body = walking(bank)
    longer, shown = frozen_turns(body, bank.model, [(2, 40)])
    assert len(longer) == len(shown) == 5 - 1 + 40
    assert shown == (0, 1, *[2] * 40, 3, 4)
    torch.testing.assert_close(longer.camera.translation, body.camera.translation[list(shown)])
    angle = heading(longer, bank.model)
    assert (angle[[0, 1, 2, -2, -1]].abs() < 1e-3).all()
    steps = torch.cat([angle[2:42], torch.tensor([2 * math.pi])]).diff()
    assert (steps > 0).all(), "always forward"
    assert float(steps.sum()) == pytest.approx(2 * math.pi, abs=1e-3)
    assert float(steps.max()) < 1.25 * 2 * math.pi / 40, "no jump, neither within nor to the frame after"
    assert float(steps[0]) < 0.2 * float(steps.max()), "a soft start"
    assert float(steps[-1]) < 0.2 * float(steps.max()), "a soft stop"
    torch.testing.assert_close(longer.rel_rotmats[2], body.rel_rotmats[2], atol=1e-5, rtol=0)


def test_time_may_stand_still_more_than_once_and_at_the_ends(bank):
    longer, shown = frozen_turns(walking(bank), bank.model, [(4, 3), (0, 2)])
    assert shown == (0, 0, 1, 2, 3, 4, 4, 4)
    assert len(longer) == 8
    assert frozen_turns(walking(bank), bank.model, [])[1] == (0, 1, 2, 3, 4)


def test_views_stand_side_by_side(bank, driving):
    result = imitate(bank, driving, None, SYNTHESIS, Effects(views=(0, 90, 180)))
    width, height = result.size
    assert (len(result), height) == (FRAMES, 256)
    assert width % 6 == 0, "three even parts"
    assert width < 3 * 192, "only as wide as the person needs"
    frame = next(result.frames(3))
    assert frame.shape == (height, width, 3)
    columns = result._columns()
    for number, angle in enumerate((0.0, 90.0, 180.0)):
        turned = orbit(result.targets[3:4], bank.model, torch.tensor([math.radians(angle)]))
        expected = next(render_frames(bank, turned, SYNTHESIS))[:, columns].astype(int)
        part = frame[:, number * width // 3 : (number + 1) * width // 3].astype(int)
        assert np.abs(part - expected).mean() < 1.0, f"{angle} degrees"
    assert np.abs(frame[:, : width // 3].astype(int) - frame[:, 2 * width // 3 :]).mean() > 3, "front and back differ"


def test_the_drivings_picture_stands_still_too(bank, driving):
    effects = Effects(views=(0, 180), bullet_time=((1, 3),))
    strip = imitate(bank, driving, ImitateConfig(layout="strip"), SYNTHESIS, effects)
    alone = imitate(bank, driving, None, SYNTHESIS, effects)
    assert strip.size == (192 + 384 + alone.size[0], 256)
    brightness = [int(frame[0, 200, 0]) for frame in strip]
    assert brightness == [40, 60, 60, 60, 80, 100, 120]
    assert int(next(strip.frames(3))[0, 200, 0]) == 60, "also when a stopped run goes on"


def test_sound_stops_where_time_does(bank, driving, monkeypatch):
    monkeypatch.setattr(Driving, "sound", property(lambda self: self.path))
    assert imitate(bank, driving, None, SYNTHESIS).sound == driving.path
    assert imitate(bank, driving, None, SYNTHESIS, Effects(views=(0, 90))).sound == driving.path
    assert imitate(bank, driving, None, SYNTHESIS, Effects(bullet_time=((1, 3),))).sound is None


def test_effects_on_transfer(bank, driving):
    giver = prepared_alike(bank)
    result = transfer(bank, {"upper": giver}, driving, None, SYNTHESIS, Effects((0, 180), ((1, 4),)))
    assert len(result) == FRAMES + 3
    still = transfer(bank, {"upper": giver}, None, None, SYNTHESIS, Effects(views=(0, 180)))
    assert (len(still), still.size[0]) == (1, 2 * (still._columns().stop - still._columns().start))
    with pytest.raises(SettingError, match=r"bullet_time: expected a driving"):
        transfer(bank, {"upper": giver}, None, None, SYNTHESIS, Effects(bullet_time=((0, 4),)))


def prepared_alike(bank):
    """Somebody else who looks the same."""
    return replace(bank)


def test_other_effects_do_not_continue_a_run(bank, driving):
    some = (None, Effects(views=(0,)), Effects(views=(0, 90)), Effects(bullet_time=((1, 3),)))
    assert len({imitate(bank, driving, None, SYNTHESIS, effects)._key() for effects in some}) == 4


@pytest.mark.parametrize(
    ("views", "stops", "words"),
    [
        ("0,x", (), "views: expected degrees"),
        ("", (), "views: expected degrees"),
        ("99999", (), "views: expected -3600"),
        (",".join("0" * 13), (), "at most 12"),
        (None, ("30",), "FRAME:FRAMES"),
        (None, ("30:1",), "2 to 100000"),
        (None, ("3:10", "3:20"), "each frame once"),
    ],
)
def test_mistakes(views, stops, words):
    with pytest.raises(SettingError, match=words):
        parse_effects(views, stops)


def test_a_frame_that_the_motion_does_not_have(bank, driving):
    with pytest.raises(SettingError, match="from 0 to 4"):
        imitate(bank, driving, None, SYNTHESIS, Effects(bullet_time=((5, 10),)))


def lowest_pixel(bank, body):
    vertices = bank.model.pose(bank.model.rest(body.betas[None]), body.rel_rotmats).vertices
    return float(body.camera.project(vertices)[..., 1].max())


@pytest.mark.parametrize("edits", ["height=+10cm", "height=-10cm", "weight=+15%", "lowerleg-length=+4cm"])
def test_another_body_stands_on_the_same_ground(bank, edits):
    other = reshape(bank, edits)
    assert lowest_pixel(bank, other.body) == pytest.approx(lowest_pixel(bank, bank.body), abs=0.05)
    torch.testing.assert_close(other.body.camera.scale, bank.body.camera.scale)
    assert other.body.camera.translation[0, 0] == bank.body.camera.translation[0, 0]


def test_a_head_does_not_leave_the_picture(bank):
    """In a photo that ends just above the head, somebody taller is drawn smaller, still on the same ground."""
    vertices = bank.model.pose(bank.model.rest(bank.body.betas[None]), bank.body.rel_rotmats).vertices
    top = float(bank.body.camera.project(vertices)[..., 1].min())
    up = WeakPerspective(bank.body.camera.scale, bank.body.camera.translation - torch.tensor([[0.0, top - 8]]))
    tight = replace(bank, body=replace(bank.body, camera=up))
    tall = reshape(tight, "height=+10cm").body
    vertices = bank.model.pose(bank.model.rest(tall.betas[None]), tall.rel_rotmats).vertices
    assert float(tall.camera.project(vertices)[..., 1].min()) == pytest.approx(0.02 * 256, abs=0.1)
    assert lowest_pixel(bank, tall) == pytest.approx(lowest_pixel(bank, tight.body), abs=0.05)
    assert 0.85 < float(tall.camera.scale / up.scale) < 0.99


def person_rows(bank, frame):
    """Rows and area of what differs from the background."""
    there = np.abs(frame.astype(int) - bank.background).sum(-1) > 60
    rows = np.flatnonzero(there.sum(1) > 2)
    return rows[0], rows[-1], there.sum()


def test_the_picture_follows(bank):
    """A taller person reaches higher by the pixels that it grew, a heavier one covers more; feet stay."""
    plain = person_rows(bank, next(iter(view(bank, "own", FRONT, SYNTHESIS))))
    tall = person_rows(bank, next(iter(view(reshape(bank, "height=+10cm"), "own", FRONT, SYNTHESIS))))
    heavy = person_rows(bank, next(iter(view(reshape(bank, "weight=+20%"), "own", FRONT, SYNTHESIS))))
    grown = 0.1 * float(bank.body.camera.scale)
    assert plain[0] - tall[0] == pytest.approx(grown, abs=2.5)
    assert abs(plain[1] - tall[1]) <= 2
    assert abs(plain[1] - heavy[1]) <= 2
    assert heavy[2] > 1.03 * plain[2]


def test_another_body_imitates_and_is_dressed(bank, driving):
    other = reshape(bank, "height=+8cm")
    moved = imitate(other, driving, None, SYNTHESIS).targets
    torch.testing.assert_close(moved.betas, other.body.betas)
    dressed = transfer(other, {"upper": prepared_alike(bank)}, None, None, SYNTHESIS).targets
    torch.testing.assert_close(dressed.betas, other.body.betas)


def test_who_stands_before_the_person_stays_before(bank):
    """The backdrop says what of it is in front: there the frame is the backdrop, elsewhere nothing changes."""
    front = np.zeros((256, 192), np.uint8)
    front[:, 80:110] = 255
    front[:, 110] = 128
    plain = next(render_frames(bank, bank.body, SYNTHESIS)).astype(int)
    shade = bank.backdrop.shade
    hidden = replace(bank, backdrop=Still(bank.background, shade, front=front))
    frame = next(render_frames(hidden, bank.body, SYNTHESIS)).astype(int)
    np.testing.assert_array_equal(frame[:, 80:110], bank.background[:, 80:110])
    np.testing.assert_array_equal(frame[:, :80], plain[:, :80])
    assert np.abs(frame[:, 110] - (plain[:, 110] + bank.background[:, 110]) / 2).max() <= 2
