"""What people really give: crossed arms, half a body, and a driving of another build."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from liquidwarp.body.model import BodyParams
from liquidwarp.body.motion import motion_of
from liquidwarp.body.parts import PARTS
from liquidwarp.config import SynthesisConfig, ViewConfig
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import swing
from liquidwarp.recover.digitize import Recovery
from liquidwarp.recover.photos import SourcePhotos, silhouette
from liquidwarp.synthesizer import prepare_bank
from liquidwarp.tasks.imitate import Driving, imitate
from liquidwarp.tasks.view import view
from liquidwarp.weights import asset, load_tensors

SYNTHESIS = SynthesisConfig(size=256, background="draft", renderer="texture", shadow=False)
SKIN, SHIRT, GREY = (200, 140, 110), (40, 60, 160), (120, 120, 120)


@pytest.fixture(scope="module")
def truth():
    tensors, _ = load_tensors(asset("demo/truth.safetensors"))
    camera = WeakPerspective(tensors["scale"][:1], tensors["translation"][:1]).resized(0.25)
    return BodyParams(tensors["betas"], tensors["rel_rotmats"][:1], camera)


def crossed(anny, body):
    """The lower arms lie across the chest."""
    rotations = body.rel_rotmats.clone()
    for upper, wanted in ((True, (0.35, 0.8, -0.5)), (False, (-0.9, -0.1, -0.35))):
        posed = anny.pose(anny.rest(body.betas[None]), rotations)
        for side, sign in enumerate((1.0, -1.0)):
            start = (anny.roles.upper_arm if upper else anny.roles.lower_arm)[side]
            end = (anny.roles.lower_arm if upper else anny.roles.hand)[side]
            turn = swing(
                posed.joints[0, end] - posed.joints[0, start], torch.tensor(wanted) * torch.tensor([sign, 1, 1])
            )
            upright = posed.glob_rotmats[0, start]
            rotations[0, start] = rotations[0, start] @ (upright.mT @ turn @ upright)
    return replace(body, rel_rotmats=rotations)


def parts_shown(anny, body, size=(256, 192)):
    raster = rasterize(
        body.camera.project(anny.pose(anny.rest(body.betas[None]), body.rel_rotmats).vertices), anny.faces, *size
    )
    return torch.where(raster.covered, anny.face_part[raster.pix_to_face.clamp(min=0)], -1)[0].numpy()


def bank_of(anny, body, size=(256, 192)):
    """Bare arms and head, all else a shirt."""
    parts = parts_shown(anny, body, size)
    bare = [n for n, name in enumerate(PARTS) if name.endswith(("arm", "hand", "head", "face"))]
    picture = np.where((parts >= 0)[..., None], np.where(np.isin(parts, bare)[..., None], SKIN, SHIRT), GREY)
    seen = torch.ones(1, dtype=torch.bool)
    outline = silhouette(anny, body, size)
    photos = SourcePhotos(
        name="somebody",
        pictures=(picture.astype(np.uint8),),
        alphas=(None,),
        recovery=Recovery(body, (), seen, seen[:, None].expand(1, len(anny.parents)), 0.0, ()),
        mattes=(np.uint8(255) * outline,),
        silhouettes=(outline,),
    )
    return prepare_bank(photos, anny, SYNTHESIS, background=np.full((*size, 3), 120, np.uint8))


def test_arms_that_were_crossed_leave_no_mark_on_the_chest(anny, truth):
    """Photographed with crossed arms, shown with arms spread: the chest behind them is shirt."""
    body = crossed(anny, truth)
    hidden = np.isin(parts_shown(anny, body), [PARTS.index(f"{side}_lower_arm") for side in ("left", "right")])
    open_chest = parts_shown(anny, truth) == PARTS.index("torso")
    assert (hidden & open_chest).sum() > 60, "the arms do hide the chest"
    bank = bank_of(anny, body)
    spread = view(bank, "t", ViewConfig(angle=0), SYNTHESIS)
    frame = next(iter(spread)).astype(int)
    chest = parts_shown(anny, spread.targets) == PARTS.index("torso")
    like_skin = np.abs(frame - SKIN).sum(-1) < np.abs(frame - SHIRT).sum(-1)
    assert like_skin[chest].mean() < 0.05
    behind = next(iter(view(bank, "own", ViewConfig(angle=180), SYNTHESIS))).astype(int)
    back = parts_shown(anny, view(bank, "own", ViewConfig(angle=180), SYNTHESIS).targets) == PARTS.index("torso")
    assert np.median(np.abs(behind - SHIRT).max(-1)[back]) < 30


def test_half_a_body_moves(anny, truth):
    """The photo ends at the hips: what is below is cut off, what is above moves; nothing breaks."""
    low = replace(
        truth, camera=WeakPerspective(truth.camera.scale * 1.8, truth.camera.translation + torch.tensor([[0.0, 85.0]]))
    )
    bank = bank_of(anny, low)
    assert (parts_shown(anny, low)[-1] >= 0).any(), "the body goes on below the photo"
    driving = Driving(motion_of(crossed(anny, truth), anny, 25.0), asset("demo/motion.bvh"), None)
    frame = next(iter(imitate(bank, driving, None, SYNTHESIS))).astype(int)
    assert (np.abs(frame[-1] - GREY).sum(-1) > 60).any()
    assert (np.abs(frame[:10] - GREY).sum(-1) < 30).all(), "the head stays in the picture"


@pytest.mark.parametrize(("scale", "grown"), [(0.4, 2.0), (2.5, -2.0)])
def test_a_driving_of_another_build_and_size(anny, truth, scale, grown):
    """Somebody small far away, or large and near, drives: the person keeps size, shape and ground."""
    betas = truth.betas.clone()
    betas[0] += grown
    other = BodyParams(
        betas, truth.rel_rotmats, WeakPerspective(truth.camera.scale * scale, truth.camera.translation * scale)
    )
    bank = bank_of(anny, truth)
    targets = imitate(
        bank, Driving(motion_of(other, anny, 25.0), asset("demo/motion.bvh"), None), None, SYNTHESIS
    ).targets
    torch.testing.assert_close(targets.betas, truth.betas)
    torch.testing.assert_close(targets.camera.scale, truth.camera.scale, rtol=0.02, atol=0)
    torch.testing.assert_close(targets.camera.translation, truth.camera.translation, rtol=0, atol=2.0)
