import math
import random
from dataclasses import replace

import pytest
import torch

from liquidwarp.body.anny import AnnyBody
from liquidwarp.body.parts import PARTS, parts_of
from liquidwarp.config import BodyNoise, SyntheticConfig
from liquidwarp.errors import SettingError
from liquidwarp.geometry.raster import rasterize
from liquidwarp.geometry.rotations import matrix_to_rotvec, rotvec_to_matrix
from liquidwarp.synthetic.dataset import SyntheticBatch, SyntheticPeople, perturb
from liquidwarp.synthetic.degrade import degrade, develop
from liquidwarp.synthetic.figure import MATERIALS, Outfit, dress, underwear_faces
from liquidwarp.synthetic.outfits import draw_outfit
from liquidwarp.synthetic.poses import PoseLibrary, draw_poses
from liquidwarp.synthetic.wardrobe import Wardrobe


def test_shapes_and_ranges(people: SyntheticPeople) -> None:
    batch = people.sample(2, views=3, size=64)
    assert batch.images.shape == batch.backgrounds.shape == (2, 3, 3, 64, 64)
    assert batch.mattes.shape == (2, 3, 1, 64, 64)
    for values in (batch.images, batch.mattes, batch.backgrounds):
        assert values.min() >= 0
        assert values.max() <= 1
    share = batch.mattes.mean((2, 3, 4))
    assert (share > 0.04).all()
    assert (share < 0.7).all()
    assert len(batch.body[1]) == 3


def test_nobody_is_bare(model: AnnyBody, wardrobe: Wardrobe) -> None:
    """Whatever the wardrobe lacks, the trunk is covered: by clothes, else by underwear."""
    tops = replace(wardrobe, garments=wardrobe.of_kind("top"))
    chance = random.Random(0)
    for female in (True, False) * 10:
        outfit = draw_outfit(wardrobe, SyntheticConfig(), female, chance)
        assert {"top", "trousers"} <= {garment.kind for garment in outfit.garments}
        draw_outfit(tops, SyntheticConfig(), female, chance)
    figures = dress(model, torch.zeros(1, len(model.beta_names)), [Outfit.of([], skin=9, eyes=0)])
    covered = underwear_faces(model)
    skin = figures.material[0, figures.layer[0]] == MATERIALS.index("skin")
    assert torch.equal(~skin, covered)
    height = figures.vertices[0, model.faces, 1].mean(1)
    trunk = model.face_part == PARTS.index("torso")
    hips = model.rest(torch.zeros(1, len(model.beta_names))).joints[0, list(model.roles.upper_leg), 1].mean()
    assert covered[trunk & (height > hips - 0.25)].all()
    assert not covered[torch.isin(model.face_part, torch.tensor([PARTS.index(p) for p in parts_of("arms")]))].any()


def test_same_seed_same_people_and_any_batch_by_its_index(
    model: AnnyBody, wardrobe: Wardrobe, poses: PoseLibrary
) -> None:
    def fresh(seed: int) -> SyntheticPeople:
        return SyntheticPeople(model, wardrobe, poses, SyntheticConfig(), seed)

    first, again = fresh(7), fresh(7)
    one, two = first.sample(1, 2, 48), first.sample(1, 2, 48)
    assert torch.equal(one.images, again.sample(1, 2, 48).images)
    assert torch.equal(two.images, again.sample(1, 2, 48, index=1).images)
    assert torch.equal(two.fitted.rel_rotmats, again.sample(1, 2, 48, index=1).fitted.rel_rotmats)
    assert not torch.equal(one.images, two.images)
    assert not torch.equal(one.images, fresh(8).sample(1, 2, 48).images)


def test_true_body_lies_where_the_picture_shows_it(
    model: AnnyBody, wardrobe: Wardrobe, poses: PoseLibrary, plain: SyntheticConfig
) -> None:
    naked = replace(wardrobe, garments=())
    odd = replace(plain, supersample=3)
    batch = SyntheticPeople(model, naked, poses, odd, seed=1).sample(2, views=2, size=96)
    for person in range(2):
        body = batch.body[person]
        vertices = model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices
        covered = rasterize(body.camera.project(vertices), model.faces, 96, 96).covered
        matte = batch.mattes[person, :, 0] > 0.5
        overlap = (covered & matte).sum((1, 2)) / (covered | matte).sum((1, 2))
        assert (overlap > 0.97).all(), overlap


def test_background_shows_where_nobody_is(people: SyntheticPeople) -> None:
    batch = people.sample(2, views=2, size=64)
    free = (batch.mattes == 0).expand_as(batch.images)
    assert (batch.images - batch.backgrounds)[free].abs().max() < 1e-5
    assert (batch.photos - batch.backgrounds)[free].abs().max() < 0.02  # the sensor's grain
    body = (batch.mattes == 1).expand_as(batch.images)
    assert (batch.images - batch.backgrounds)[body].abs().mean() > 0.05


def test_shade_lies_under_the_feet_and_belongs_to_the_place(
    model: AnnyBody, wardrobe: Wardrobe, poses: PoseLibrary, plain: SyntheticConfig
) -> None:
    def drawn(share: float) -> SyntheticBatch:
        config = replace(plain, ground=share, upper_body=0.0, degrade=0.0, tones=0.0)
        return SyntheticPeople(model, wardrobe, poses, config, seed=5).sample(2, views=2, size=96)

    bare, shaded = drawn(0.0), drawn(1.0)
    torch.testing.assert_close(bare.mattes, shaded.mattes)
    assert torch.equal(bare.body.rel_rotmats, shaded.body.rel_rotmats)
    darker = (bare.backgrounds - shaded.backgrounds).mean(2)
    assert (darker >= 0).all()
    free = (shaded.mattes == 0).expand_as(shaded.images)
    torch.testing.assert_close(shaded.images[free], shaded.backgrounds[free])
    for person in range(2):
        body = bare.body[person]
        points = body.camera.project(model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices)[..., 1]
        for view in range(2):
            centre = (darker[person, view].sum(1) * (torch.arange(96) + 0.5)).sum() / darker[person, view].sum()
            assert abs(centre - points[view].max()) < 8
            assert darker[person, view].max() > 0.02
            assert darker[person, view, : int(points[view].min())].max() < 1e-3


def test_shoulders_follow_arms_where_nobody_recorded_them(model: AnnyBody) -> None:
    """Hanging arms lower them, raised arms raise them; the arms point where they pointed."""
    roles = model.roles
    lowered = torch.zeros(3, len(model.joint_names), 3)
    for turn, row in ((0.6, 0), (-0.9, 1), (0.6, 2)):
        for side, sign in ((0, 1.0), (1, -1.0)):
            lowered[row, roles.upper_arm[side], 2] = sign * turn
    lowered[2, roles.shoulder[0][0], 0] = 0.2  # this motion knows collar bones
    library = PoseLibrary(lowered, ("a", "b", "c"))
    silent = torch.Generator().manual_seed(0)
    standing = torch.zeros(3, dtype=torch.bool)
    drawn = draw_poses(library, model, torch.arange(3), standing, silent)
    silent.manual_seed(0)
    still = draw_poses(PoseLibrary(lowered, ("a", "b", "c")), model, torch.arange(3), ~standing, silent)
    assert not torch.equal(drawn, still)
    rest = model.rest(torch.zeros(1, len(model.beta_names)))
    plain = rest.joints[0, roles.upper_arm[0], 1] - rest.joints[0, roles.shoulder[0][0], 1]

    def height(row: int) -> float:
        """How much lower the shoulder is than its collar bone's root, more than at rest [m]; noise moves it too."""
        total = 0.0
        for seed in range(24):
            noisy = draw_poses(library, model, torch.arange(3), standing, torch.Generator().manual_seed(seed))
            noisy[:, 0] = torch.eye(3)
            for joint in roles.spine:
                noisy[:, joint] = torch.eye(3)
            joints = (
                model.pose(rest, noisy).transforms[row]
                @ torch.nn.functional.pad(rest.joints[0], (0, 1), value=1)[..., None]
            )
            total += float(joints[roles.upper_arm[0], 1, 0] - joints[roles.shoulder[0][0], 1, 0] - plain) / 24
        return total

    assert height(0) > 0.012
    assert height(1) < -0.004
    assert abs(height(2)) < 0.01
    for side in (0, 1):
        clavicle, blade = roles.shoulder[side][-2:]
        arm = drawn[:2, clavicle] @ drawn[:2, blade] @ drawn[:2, roles.upper_arm[side]]
        wanted = rotvec_to_matrix(lowered[:2, roles.upper_arm[side]])
        turn = matrix_to_rotvec(wanted.mT @ arm).norm(dim=-1)
        assert turn.max() < 0.4  # the noise of three joints


def test_only_photos_are_worse(model: AnnyBody, wardrobe: Wardrobe, poses: PoseLibrary) -> None:
    def drawn(share: float) -> SyntheticBatch:
        config = SyntheticConfig(degrade=share)
        return SyntheticPeople(model, wardrobe, poses, config, seed=3).sample(3, views=2, size=64)

    bad, good = drawn(1.0), drawn(0.0)
    torch.testing.assert_close(bad.images, good.images)
    assert (bad.photos - bad.images).abs().mean() > 2 * (good.photos - good.images).abs().mean()


def test_similar_views_show_one_side_in_one_motion(model: AnnyBody, wardrobe: Wardrobe, plain: SyntheticConfig) -> None:
    """Each clip bends the neck of all its poses by an angle of its own."""
    rotvec = torch.zeros(40, len(model.joint_names), 3)
    neck = model.roles.neck[-1]
    rotvec[:, neck, 0] = torch.arange(4).repeat_interleave(10) * 0.5
    library = PoseLibrary(rotvec, tuple("aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"))

    def spread(share: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the views of each person: the bend of the neck, and how far they turn from one another [rad]."""
        config = replace(plain, similar_views=share, standing=0.0)
        body = SyntheticPeople(model, wardrobe, library, config, seed=5).sample(8, views=4, size=32).body
        bend = torch.atan2(body.rel_rotmats[:, :, neck, 2, 1], body.rel_rotmats[:, :, neck, 1, 1])
        front = body.rel_rotmats[:, :, 0, :, 2]
        cosine = (front[:, :, None] * front[:, None]).sum(-1)
        return bend.amax(1) - bend.amin(1), cosine.clamp(-1, 1).acos().flatten(1).amax(1)

    bend, turn = spread(1.0)
    assert bend.max() < 0.45  # half a radian apart are the clips, a little each pose varies
    assert turn.max() < math.radians(75)
    bend, turn = spread(0.0)
    assert bend.median() > 0.45
    assert turn.median() > math.radians(90)


def test_light_and_clothes_are_the_same_in_all_views(people: SyntheticPeople) -> None:
    batch = people.sample(6, views=4, size=64)
    weight = batch.mattes
    mean = (batch.images * weight).sum((3, 4)) / weight.sum((3, 4)).clamp(min=1)
    within = mean.var(1).mean()
    between = mean.mean(1).var(0).mean()
    assert between > 2 * within


def test_held_out_items_are_never_trained_on(wardrobe: Wardrobe, poses: PoseLibrary) -> None:
    train, held_out = wardrobe.split("train"), wardrobe.split("held_out")
    for one, other in (
        ({g.name for g in train.garments}, {g.name for g in held_out.garments}),
        (set(train.skins), set(held_out.skins)),
        (set(train.background_names), set(held_out.background_names)),
        (set(poses.split("train").clips), set(poses.split("held_out").clips)),
    ):
        assert one
        assert other
        assert not one & other
    assert len(train.garments) + len(held_out.garments) == len(wardrobe.garments)
    assert {g.kind for g in held_out.garments} == {g.kind for g in train.garments}
    with pytest.raises(SettingError, match="held_out"):
        wardrobe.split("test")


def test_noise_has_the_asked_for_size(model: AnnyBody, people: SyntheticPeople) -> None:
    body = people.sample(2, views=2, size=32).body
    generator = torch.Generator().manual_seed(0)
    noise = BodyNoise(0.1, root=0.0, joint=0.02, hand=0.05, finger=0.1, twist=0.0, scale=0.01, translation=0.01)
    draws = [perturb(model, body, noise, generator) for _ in range(40)]
    betas = torch.stack([draw.betas - body.betas for draw in draws])
    assert betas.std() == pytest.approx(0.1, rel=0.1)
    turn = torch.stack([body.rel_rotmats.mT @ draw.rel_rotmats for draw in draws])
    angle = torch.acos(((turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1)).square().mean((0, 1, 2)) / 3
    assert angle[model.roles.upper_arm[0]].sqrt() == pytest.approx(0.02, rel=0.15)
    assert angle[model.roles.root] < 1e-6
    scale = torch.stack([draw.scale / body.scale - 1 for draw in draws])
    assert scale.std() == pytest.approx(0.01, rel=0.2)
    silent = perturb(model, body, BodyNoise(*[0.0] * len(BodyNoise.__dataclass_fields__)), generator)
    torch.testing.assert_close(silent.rel_rotmats, body.rel_rotmats)


def test_shared_noise_is_alike_in_all_views(model: AnnyBody, people: SyntheticPeople) -> None:
    """What all views share does not disturb the flow between them: turns, twists and the camera's errors."""
    body = people.sample(2, views=3, size=32).body

    def errors(shared: float) -> tuple[torch.Tensor, torch.Tensor]:
        noise = BodyNoise(joint=0.05, scale=0.05)
        draw = perturb(model, body, noise, torch.Generator().manual_seed(0), shared)
        turn = body.rel_rotmats.mT @ draw.rel_rotmats
        return turn[:, :, model.roles.spine[0]], draw.scale / body.scale

    for alike in errors(1.0):
        torch.testing.assert_close(alike[:, 1:], alike[:, :1].expand_as(alike[:, 1:]), atol=1e-4, rtol=0)
    for different in errors(0.0):
        assert (different[:, 1:] - different[:, :1]).abs().amax() > 1e-3


def test_scenes_are_developed_alike_in_all_views() -> None:
    """Every channel is a rising function of itself within a grey scene, the same one in pictures and backgrounds."""
    ramp = torch.linspace(0, 1, 16).expand(4, 2, 3, 16, 16)
    images, backgrounds = develop(ramp, ramp, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(images[:, 0], images[:, 1])
    assert torch.equal(images, backgrounds)
    assert (images.diff(dim=-1) >= -1e-6).all()
    assert images.amin() >= 0
    assert images.amax() <= 1
    middle = images[:, 0, :, 0, 8]
    assert middle.mean(1).std() > 0.03  # brighter and darker scenes
    assert middle.std(1).mean() > 0.01  # warmer and colder ones
    same, _ = develop(ramp, ramp, 0.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(same, ramp)


def test_degrading_blurs_detail_and_leaves_flat_colour() -> None:
    generator = torch.Generator().manual_seed(0)
    flat = torch.full((4, 1, 3, 32, 32), 0.5)
    worse = degrade(flat, share=1.0, generator=generator)
    assert 0 < (worse - flat).abs().mean() < 0.02
    checks = ((torch.arange(32)[:, None] + torch.arange(32)) % 2).float().expand(4, 1, 3, 32, 32)
    assert degrade(checks, share=1.0, generator=generator).std() < 0.9 * checks.std()
    same = degrade(checks, share=0.0, generator=generator)
    assert (same - checks).abs().mean() < 0.01


@pytest.mark.parametrize("change", [{"supersample": 0}, {"decal": 1.5}, {"distance": (5.0, 2.0)}])
def test_settings_are_checked(change: dict[str, object]) -> None:
    with pytest.raises(SettingError, match=f"synthetic.{next(iter(change))}"):
        SyntheticConfig(**change)  # type: ignore[arg-type]


def test_a_fixed_number_of_people_in_ever_new_poses(people: SyntheticPeople) -> None:
    def sample(count: int, index: int, seed: int = 3) -> SyntheticBatch:
        config = replace(people.config, num_identities=count)
        own = SyntheticPeople(people.model, people.wardrobe, people.poses, config, seed)
        return own.sample(2, views=2, size=32, index=index)

    one = [sample(1, 0), sample(1, 1), sample(1, 0, seed=4)]
    for batch in one:
        assert (batch.body.betas == one[0].body.betas[:1]).all()
    assert (one[0].images != one[1].images).any()
    assert (one[0].body.rel_rotmats != one[2].body.rel_rotmats).any()
    three = torch.cat([sample(3, index).body.betas for index in range(3)])
    assert torch.equal(three[:3], three[3:])
    assert len(three.unique(dim=0)) == 3
    assert len(torch.cat([sample(0, index).body.betas for index in range(2)]).unique(dim=0)) == 4
    with pytest.raises(SettingError, match="num_identities"):
        SyntheticConfig(num_identities=-1)
