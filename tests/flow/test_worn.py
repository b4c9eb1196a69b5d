import numpy as np
import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.flow.clothes.hair import find_hair
from liquidwarp.flow.clothes.halo import halo
from liquidwarp.flow.clothes.skirt import find_ending, find_skirt, legs_of
from liquidwarp.flow.clothes.worn import worn_things
from liquidwarp.flow.compose import compose_layers
from liquidwarp.flow.mesh.extension import no_extension
from liquidwarp.flow.mesh.surface import project_bodies
from liquidwarp.flow.mesh.surroundings import look_around
from liquidwarp.flow.sources import prepare_sources
from liquidwarp.flow.unseen.atlas import fill_atlas, merge_texture
from liquidwarp.geometry.camera import WeakPerspective, pixels_to_ndc
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import rotvec_to_matrix
from liquidwarp.geometry.warp import sample_at

SIZE = (256, 256)
DOWN = {"upperarm01_L": (0.0, 0.0, 0.45), "upperarm01_R": (0.0, 0.0, -0.45)}
SKIN, SHIRT, HAIR, RED, GREY = (
    (0.85, 0.66, 0.55),
    (0.3, 0.4, 0.75),
    (0.25, 0.13, 0.07),
    (0.8, 0.1, 0.1),
    (0.6, 0.6, 0.6),
)


@pytest.fixture(scope="module")
def anny():
    return AnnyBody.load()


def params(model, yaw=0.0, **joints):
    rotvec = torch.zeros(1, len(model.joint_names), 3)
    rotvec[0, 0, 1] = yaw
    for name, value in joints.items():
        rotvec[0, model.joint_names.index(name.replace("_", "."))] = torch.tensor(value)
    camera = WeakPerspective(torch.tensor([130.0]), torch.tensor([[128.0, 128.0]]))
    return BodyParams(torch.zeros(len(model.beta_names)), rotvec_to_matrix(rotvec), camera)


def seen(model, body):
    raster = rasterize(project_bodies(model, no_extension(model), body).body, model.faces, *SIZE)
    part = torch.where(raster.covered, model.face_part[raster.pix_to_face.clamp(min=0)], -1)[0].numpy()
    return raster, part


def joint(model, body, name):
    joints = model.pose(model.rest(body.betas[None]), body.rel_rotmats).joints
    return body.camera.project(joints)[0, model.joint_names.index(name), :2].numpy()


def painted(model, body):
    """Skin all over, a blue shirt; and the body's parts."""
    _, part = seen(model, body)
    image = np.empty((*SIZE, 3), np.float32)
    image[:] = GREY
    image[part >= 0] = SKIN
    image[part == PARTS.index("torso")] = SHIRT
    return image, part


def with_hair(model, body, arm_colour=SKIN):
    """Brown hair on both sides of the face, down over the left upper arm to its middle."""
    image, part = painted(model, body)
    limbs = [PARTS.index(f"left_{name}") for name in ("upper_arm", "lower_arm", "hand")]
    image[np.isin(part, limbs)] = arm_colour
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    face = np.argwhere(part == PARTS.index("face"))
    (top, left), (chin, right) = face.min(0), face.max(0)
    elbow, shoulder = joint(model, body, "lowerarm01.L"), joint(model, body, "upperarm01.L")
    end = 0.5 * (elbow[1] + shoulder[1])
    hair = (y > top) & (y < chin) & (((x > right - 2) & (x < right + 9)) | ((x < left + 2) & (x > left - 9)))
    hair |= (y >= chin) & (y < end) & (x > right - 2) & (x < max(elbow[0], shoulder[0]) + 4)
    image[hair] = HAIR
    return image, torch.as_tensor((part >= 0) | hair)[None, None].float(), hair, part


def with_skirt(model, body, inner=RED):
    """A red skirt that flares from the hips to above the knees; ``inner`` is the colour between the legs' axes."""
    image, part = painted(model, body)
    hips, knees = ([joint(model, body, f"{bone}.{side}") for side in "RL"] for bone in ("upperleg01", "lowerleg01"))
    top, hem = int(hips[0][1]), int(0.3 * hips[0][1] + 0.7 * knees[0][1])
    skirt = np.zeros(SIZE, bool)
    for y in range(top, hem):
        flare = 14 + 8 * (y - top) / (hem - top)
        skirt[y, int(hips[0][0] - flare) : int(hips[1][0] + flare)] = True
    image[skirt] = RED
    between = np.abs(np.arange(SIZE[1]) - (hips[0][0] + hips[1][0]) / 2) < 6
    image[skirt & between[None]] = inner
    arms = np.isin(part, [i for i, name in enumerate(PARTS) if name.endswith(("arm", "hand"))])
    image[arms] = SKIN
    return image, torch.as_tensor((part >= 0) | skirt)[None, None].float(), skirt & ~arms


def tensor(image):
    return torch.as_tensor(image).permute(2, 0, 1)[None]


def sources_of(model, body, image, matte):
    return prepare_sources(model, halo(model, body, matte), body, tensor(image), matte)


def like(picture, colour, tolerance=0.15):
    return (picture - torch.tensor(colour)[:, None, None]).abs().amax(0) < tolerance


def hair_in(model, body, image, matte):
    raster, _ = seen(model, body)
    return find_hair(image, look_around(model, raster, matte[0, 0], 130.0))


def test_hair_is_found_on_the_arm_and_not_on_clothes_of_its_colour(anny):
    body = params(anny, **DOWN)
    image, matte, hair, part = with_hair(anny, body)
    arm = part == PARTS.index("left_upper_arm")
    found = hair_in(anny, body, image, matte).mask
    assert found[arm & hair].mean() > 0.9
    assert found[arm & ~hair].mean() < 0.1
    assert not found[part == PARTS.index("right_upper_arm")].any()
    sleeve, matte, hair, _ = with_hair(anny, body, arm_colour=HAIR)
    assert not hair_in(anny, body, sleeve, matte).mask[arm & ~hair].any()


def test_short_sleeves_of_the_hairs_colour_are_no_hair(anny):
    body = params(anny, **DOWN)
    image, matte, _, part = with_hair(anny, body)
    upper = np.isin(part, [PARTS.index(f"{side}_upper_arm") for side in ("left", "right")])
    image[upper | (part == PARTS.index("torso"))] = HAIR
    found = hair_in(anny, body, image, matte)
    assert found.mask.any()
    assert not found.mask[upper].any()
    assert not found.beside.any()
    assert not worn_things(anny, body, tensor(image), matte)


def test_a_dark_glove_at_one_arm_hides_no_hair_on_the_other(anny):
    body = params(anny, **DOWN)
    image, matte, hair, part = with_hair(anny, body)
    image[np.isin(part, [PARTS.index(f"right_{name}") for name in ("lower_arm", "hand")])] = HAIR
    found = hair_in(anny, body, image, matte).mask
    arm = part == PARTS.index("left_upper_arm")
    assert found[arm & hair].mean() > 0.9
    assert found[arm & ~hair].mean() < 0.1
    assert not found[part == PARTS.index("right_upper_arm")].any()


def test_an_arm_beside_hair_shows_its_own_colours_or_nothing(anny):
    body = params(anny, **DOWN)
    image, matte, hair, part = with_hair(anny, body)
    arm = (part == PARTS.index("left_upper_arm")) & ~hair
    rows = np.nonzero(arm)[0]
    stain = arm & (np.arange(SIZE[0])[:, None] < rows.min() + 0.7 * np.ptp(rows))
    assert stain.sum() > 30
    image[stain] = SHIRT
    beside = hair_in(anny, body, image, matte).beside
    assert beside[stain].mean() > 0.8
    assert beside[part == PARTS.index("right_upper_arm")].mean() < 0.05
    sources = sources_of(anny, body, image, matte)
    pixel = (((sources.body[0, 0, :, :2] + 1) / 2) * 256).long().clamp(0, 255)
    stained = torch.as_tensor(stain)[pixel[:, 1], pixel[:, 0]]
    stained &= anny.vertex_part == PARTS.index("left_upper_arm")
    assert stained.sum() > 20
    assert sources.body[0, 0, stained, 2].max() < 0.05


def test_hair_stays_when_the_arm_is_raised(anny):
    body = params(anny, **DOWN)
    image, matte, hair, part = with_hair(anny, body)
    sources = sources_of(anny, body, image, matte)
    assert (sources.extension.part == PARTS.index("head")).any()
    arm = (anny.vertex_part == PARTS.index("left_upper_arm")).nonzero()[:, 0]
    row, column = sources.body[0, 0, arm, 1], sources.body[0, 0, arm, 0]
    pixel = (((torch.stack([row, column], 1) + 1) / 2) * 256).long().clamp(0, 255)
    below_hair = torch.as_tensor(hair)[pixel[:, 0], pixel[:, 1]]
    assert below_hair.sum() > 20
    assert sources.body[0, 0, arm, 2][below_hair].max() < 0.05
    raised = params(anny, upperarm01_L=(0.0, 0.0, -0.3), upperarm01_R=(0.0, 0.0, -0.75))
    layers = compose_layers(sources, project_bodies(anny, sources.extension, raised), SIZE)
    drawn = like(layers.around.texture[0], HAIR) & (layers.around.matte[0, 0] > 0.5) & layers.in_front[0]
    where = torch.as_tensor(hair & (part == PARTS.index("left_upper_arm")))
    # It hangs where it hung, within the little that the shoulder moves.
    near = torch.nn.functional.max_pool2d(where[None, None].float(), 9, 1, 4)[0, 0] > 0
    assert (drawn & near).sum() > 0.7 * where.sum()


def test_a_skirt_is_closed_between_the_legs_and_from_the_side(anny):
    body = params(anny, **DOWN)
    image, matte, skirt = with_skirt(anny, body)
    sources = sources_of(anny, body, image, matte)
    apart = {"upperleg01_L": (0.0, 0.0, -0.35), "upperleg01_R": (0.0, 0.0, 0.35)}
    for target in (params(anny, **DOWN, **apart), params(anny, yaw=1.4, **DOWN)):
        layers = compose_layers(sources, project_bodies(anny, sources.extension, target), SIZE)
        red = like(layers.around.texture[0], RED) & (layers.around.matte[0, 0] > 0.5) & layers.in_front[0]
        hips, knees = joint(anny, target, "root"), joint(anny, target, "lowerleg01.L")
        other = joint(anny, target, "lowerleg01.R")
        row = int(0.5 * hips[1] + 0.5 * knees[1])
        middle = int((knees[0] + other[0]) / 2)
        assert red[row, middle - 5 : middle + 5].float().mean() > 0.9
    assert skirt.sum() > 1000


def with_rounded_corners(model, body):
    """Its hem is 8 px lower in the middle, and one end of it is rounded off."""
    image, _, skirt = with_skirt(model, body)
    bottom = int(np.flatnonzero(skirt.any(1)).max())
    columns = np.flatnonzero(skirt[bottom])
    low, high = columns.min(), columns.max()
    for x in range(low, high + 1):
        sag = round(8 * (1 - abs(2 * (x - low) / (high - low) - 1)))
        skirt[bottom + 1 : bottom + 1 + sag, x] = True
    for y in range(bottom - 4, bottom + 1):
        skirt[y, : low + 2 * (y - bottom + 4)] = False
    image[skirt] = RED
    return image, skirt, (low, high)


def test_a_skirts_hem_is_round_and_its_sides_are_straight(anny):
    """Down to the hem of every column, and as wide as it is, however its corners look."""
    body = params(anny, **DOWN)
    image, wanted, (low, high) = with_rounded_corners(anny, body)
    _, part = painted(anny, body)
    matte = (part >= 0) | wanted
    rest = anny.rest(body.betas[None])
    posed = anny.pose(rest, body.rel_rotmats)
    raster = rasterize(body.camera.project(posed.vertices), anny.faces, *SIZE)
    around = look_around(anny, raster, torch.as_tensor(matte).float(), float(body.camera.scale[0]))
    skirt = find_skirt(find_ending(image, around, legs_of(anny, body, posed, SIZE[0])))
    assert skirt is not None
    trunk = wanted & ~np.isin(part, [i for i, name in enumerate(PARTS) if name.endswith(("arm", "hand"))])
    below = np.arange(SIZE[0])[:, None] > skirt.top + 2
    missed = (trunk & below & ~skirt.mask).sum(0)
    assert missed[low + 8 : high - 3].max() <= 2
    assert (skirt.mask & ~trunk).sum(0)[low + 4 : high - 3].max() <= 2
    last = skirt.start[-1], skirt.stop[-1]
    assert abs(last[0] - low) <= 3
    assert abs(last[1] - 1 - high) <= 2


def test_front_and_back_of_a_skirt_meet(anny):
    """No slit along its sides, seen from half aside."""
    body = params(anny, **DOWN)
    image, matte, _ = with_skirt(anny, body)
    sources = sources_of(anny, body, image, matte)
    layers = compose_layers(sources, project_bodies(anny, sources.extension, params(anny, yaw=0.5, **DOWN)), SIZE)
    tube = layers.around.matte[0, 0] > 0.5
    hips, knees = joint(anny, body, "upperleg01.L")[1], joint(anny, body, "lowerleg01.L")[1]
    for row in range(int(0.8 * hips + 0.2 * knees), int(0.45 * hips + 0.55 * knees), 3):
        columns = tube[row].nonzero()[:, 0]
        body_too = tube[row] | (layers.body.matte[0, 0, row] > 0.5)
        assert body_too[columns.min() : columns.max() + 1].all()


def test_an_open_coat_shorts_and_no_halo_are_no_skirt(anny):
    body = params(anny, **DOWN)
    image, matte, _ = with_skirt(anny, body, inner=(0.1, 0.2, 0.5))
    raster, _ = seen(anny, body)
    around = look_around(anny, raster, matte[0, 0], 130.0)
    posed = anny.pose(anny.rest(body.betas[None]), body.rel_rotmats)
    assert find_skirt(find_ending(image, around, legs_of(anny, body, posed, SIZE[0]))) is None
    image, part = painted(anny, body)
    thighs = np.isin(part, [PARTS.index("left_upper_leg"), PARTS.index("right_upper_leg")])
    image[thighs] = RED
    assert not worn_things(anny, body, tensor(image), torch.as_tensor(part >= 0)[None, None].float())
    image, matte, _ = with_skirt(anny, body)
    assert worn_things(anny, body, tensor(image), matte)
    plain = prepare_sources(anny, no_extension(anny), body, tensor(image), matte)
    assert len(plain.extension.faces) == 0


def test_no_skin_shows_through_a_skirt(anny):
    body = params(anny, **DOWN)
    image, matte, _ = with_skirt(anny, body)
    sources = sources_of(anny, body, image, matte)
    texture = fill_atlas(anny, merge_texture(sources))
    uv = anny.uv.new_zeros(len(anny.vertex_part), 2)
    uv[anny.faces.reshape(-1)] = anny.uv[anny.face_uv.reshape(-1)]
    colours = sample_at(texture.colours, pixels_to_ndc(uv[None], 1, 1))[0]
    surface = project_bodies(anny, sources.extension, body)
    hips, knees = joint(anny, body, "upperleg01.L")[1], joint(anny, body, "lowerleg01.L")[1]
    place = (surface.body[0, :, 1] - hips) / (knees - hips)
    leg = (anny.vertex_part == PARTS.index("left_upper_leg")) & (colours.sum(0) > 0)
    covered = leg & (place > 0.1) & (place < 0.5)
    below = leg & (place > 0.8)
    back = surface.normals[0, :, 2] > 0.3
    for side in (~back, back):
        assert like(colours[:, None], RED)[0][covered & side].float().mean() > 0.9
        assert like(colours[:, None], SKIN)[0][below & side].float().mean() > 0.9
    tube = (sources.extension.recess < 0).nonzero()[:, 0]
    assert len(tube) > 100
    assert sources.extension.recess[tube].amax() <= -0.02
