"""The motion that is shipped: whole, endless, and with the back shown."""

import numpy as np
import pytest
import torch

from liquidwarp.body.motion import load_motion
from liquidwarp.body.parts import PARTS
from liquidwarp.geometry.rotations import matrix_to_rotvec
from liquidwarp.weights import ASSETS


@pytest.fixture(scope="module")
def motion(anny):
    return load_motion(ASSETS / "demo" / "motion.bvh", anny)


def test_six_seconds_at_thirty_frames(motion):
    assert len(motion) == 180
    assert motion.fps == pytest.approx(30, rel=1e-4)


def test_the_last_frame_leads_into_the_first(motion):
    following = motion.rel_rotmats.roll(-1, 0)
    steps = matrix_to_rotvec(motion.rel_rotmats.mT @ following).norm(dim=-1)
    assert float(steps[-1].max()) < np.radians(6)
    assert float(steps.max()) < np.radians(20)
    assert float((motion.translation[-1] - motion.translation[0]).norm()) < 0.03


def test_starts_to_the_camera_and_turns_once_around(anny, motion):
    front = motion.rel_rotmats[:, anny.roles.root] @ torch.tensor([0.0, 0, -1])
    heading = np.unwrap(torch.atan2(front[:, 0], -front[:, 2]).numpy())
    assert abs(heading[0]) < 0.3
    assert abs(abs(heading[-1] - heading[0]) - 2 * np.pi) < 0.3


def test_a_foot_is_always_on_the_floor_and_does_not_slide(anny, motion):
    posed = anny.pose(anny.rest(torch.zeros(1, len(anny.beta_names))), motion.rel_rotmats)
    vertices = posed.vertices + motion.translation[:, None]
    low, slide = [], []
    for side, part in enumerate(("left_foot", "right_foot")):
        foot = vertices[:, anny.vertex_part == PARTS.index(part)]
        low.append(foot[..., 1].amax(1))
        ankle = (posed.joints + motion.translation[:, None])[:, anny.roles.foot[side]]
        flat = (ankle[:, 1] - ankle[:, 1].median()).abs() < 0.003  # it stands in most frames
        assert float(flat.float().mean()) > 0.4
        both = flat[1:] & flat[:-1]
        slide.append((ankle[1:] - ankle[:-1])[both][:, [0, 2]].norm(dim=-1).max())
    lowest = torch.stack(low).amax(0)
    assert float(lowest.max() - lowest.min()) < 0.03
    assert float(max(slide)) < 0.01
