"""People of one colour each lend each other parts: whose colour is where is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from liquidwarp.body.measures import measure
from liquidwarp.body.model import BodyParams
from liquidwarp.body.motion import motion_of
from liquidwarp.body.parts import PARTS
from liquidwarp.config import GeneratorConfig, SynthesisConfig
from liquidwarp.errors import SettingError, ShapeError
from liquidwarp.flow.compose import compose_flow
from liquidwarp.flow.lending.given import label_photo
from liquidwarp.flow.lending.parts import GARMENT_PARTS, _outermost, garment_parts, keep_parts, shown_parts
from liquidwarp.flow.sources import prepare_sources
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.geometry.raster import rasterize
from liquidwarp.recover.digitize import Recovery
from liquidwarp.recover.photos import SourcePhotos, silhouette
from liquidwarp.synthesizer import prepare_bank, render_frames
from liquidwarp.tasks.imitate import Driving
from liquidwarp.tasks.transfer import check_wear, dress, transfer
from liquidwarp.weights import asset, load_tensors

SYNTHESIS = SynthesisConfig(size=256, background="draft", renderer="texture", extension="none")
RED, GREEN, BLUE, GREY = (200, 30, 30), (30, 180, 30), (30, 30, 200), (120, 120, 120)
HALO = 6
"""Width of the coloured rim around the body that only halos can carry [px]."""


def person(anny, colour, girth=0.0, grown=0, shift=0.0):
    """A photo of a body in one colour before grey; ``grown`` pixels of cloth lie around it."""
    truth, _ = load_tensors(asset("demo/truth.safetensors"))
    betas = truth["betas"].clone()
    betas[1] += girth
    camera = WeakPerspective(truth["scale"][:1], truth["translation"][:1] + shift).resized(0.25)
    body = BodyParams(betas, truth["rel_rotmats"][:1], camera)
    mask = torch.from_numpy(silhouette(anny, body, (256, 192))).float()[None, None]
    if grown:
        mask = torch.nn.functional.max_pool2d(mask, 2 * grown + 1, 1, grown)
    matte = mask[0, 0].numpy() > 0
    picture = np.where(matte[..., None], np.uint8(colour), np.uint8(GREY))
    seen = torch.ones(1, dtype=torch.bool)
    return SourcePhotos(
        name=f"{colour}",
        pictures=(picture,),
        alphas=(None,),
        recovery=Recovery(body, (), seen, seen[:, None].expand(1, len(anny.parents)), 0.0, ()),
        mattes=(np.uint8(255) * matte,),
        silhouettes=(silhouette(anny, body, (256, 192)),),
    )


def bank_of(anny, *given, config=SYNTHESIS, **options):
    return prepare_bank(person(anny, *given, **options), anny, config, background=np.full((256, 192, 3), 120, np.uint8))


@pytest.fixture(scope="module")
def red(anny):
    return bank_of(anny, RED)


@pytest.fixture(scope="module")
def green(anny):
    return bank_of(anny, GREEN, girth=1.0, shift=30.0)


@pytest.fixture(scope="module")
def blue(anny):
    return bank_of(anny, BLUE, girth=-1.0)


@pytest.fixture(scope="module")
def regions(red):
    """Part of each pixel of the wearer, -1 beside the body and near where two parts meet."""
    model, body = red.model, red.body
    raster = rasterize(
        body.camera.project(model.pose(model.rest(body.betas[None]), body.rel_rotmats).vertices), model.faces, 256, 192
    )
    part = torch.where(raster.covered, model.face_part[raster.pix_to_face.clamp(min=0)], -1).float()[:, None]
    most = torch.nn.functional.max_pool2d(part, 9, 1, 4)
    least = -torch.nn.functional.max_pool2d(-part, 9, 1, 4)
    return torch.where(most == least, part, -1)[0, 0].long().numpy()


def colour_of(frame, regions, *names):
    inside = np.isin(regions, [PARTS.index(name) for name in names])
    assert inside.sum() > 5
    return np.median(frame[inside], 0)


def is_colour(frame, regions, colour, *names):
    return bool(np.abs(colour_of(frame, regions, *names) - colour).max() < 12)


ARMS = ("left_upper_arm", "left_lower_arm", "right_upper_arm", "right_lower_arm")
LEGS = ("left_upper_leg", "left_lower_leg", "right_upper_leg", "right_lower_leg")


def test_every_part_has_its_givers_colour(red, green, blue, regions):
    result = transfer(red, {"arms": green, "legs": blue}, synthesis=SYNTHESIS)
    assert (len(result), result.size) == (1, (192, 256))
    frame = next(iter(result))
    assert is_colour(frame, regions, GREEN, *ARMS)
    assert is_colour(frame, regions, BLUE, *LEGS)
    assert is_colour(frame, regions, RED, "torso")
    assert is_colour(frame, regions, RED, "head", "face")
    assert (frame[:, :8] == GREY).all(), "the wearer's background"


def test_all_other_parts_are_unchanged(red, green, regions):
    alone = next(render_frames(red, red.body, SYNTHESIS)).astype(int)
    worn = next(iter(transfer(red, {"left_arm": green}, synthesis=SYNTHESIS))).astype(int)
    elsewhere = (regions >= 0) & ~np.isin(regions, [PARTS.index(n) for n in ARMS[:2]])
    changed = np.abs(worn - alone).max(-1)[elsewhere]
    assert (changed > 3).mean() < 0.01, "but for the seam at the shoulder"
    assert is_colour(worn, regions, GREEN, *ARMS[:2])
    assert is_colour(worn, regions, RED, *ARMS[2:])
    shape = (alone != GREY).any(-1) == (worn != GREY).any(-1)
    assert shape.mean() > 0.99, "the wearer's own body shape"


def test_what_no_photo_shows_is_made_up_from_the_giver(red, green, blue):
    """Turned around, with a single front photo of each: the back of the legs is the giver's too."""
    model = red.model
    body = red.body
    back = body.rel_rotmats.clone()
    back[:, model.roles.root] = torch.diag(torch.tensor([-1.0, 1.0, -1.0])) @ back[:, model.roles.root]
    dressed = dress(red, {"legs": green, "upper": blue}, SYNTHESIS)
    turned = BodyParams(body.betas, back, body.camera)
    frame = next(render_frames(dressed, turned, SYNTHESIS))
    raster = rasterize(
        body.camera.project(model.pose(model.rest(body.betas[None]), back).vertices), model.faces, 256, 192
    )
    part = torch.where(raster.covered, model.face_part[raster.pix_to_face.clamp(min=0)], -1)[0].numpy()
    assert is_colour(frame, part, GREEN, "left_lower_leg", "right_lower_leg")
    assert is_colour(frame, part, BLUE, "left_lower_arm", "right_lower_arm")


def test_the_choice_reaches_the_flow_that_attention_follows(red, green, regions):
    """Where a part's giver is another one, the source's visibility is exactly 0: attention cannot look there."""
    dressed = dress(red, {"legs": green}, SYNTHESIS)
    flow = compose_flow(dressed.sources, red.body, (256, 192))
    shins = torch.from_numpy(np.isin(regions, [PARTS.index("left_lower_leg"), PARTS.index("right_lower_leg")]))
    shins[(torch.arange(256) < 192) | (torch.arange(256) > 208)] = False  # away from the soft seams
    face = torch.from_numpy(regions == PARTS.index("face"))
    wearer, giver = flow.visible[0]
    assert wearer[shins].max() == 0
    assert giver[shins].mean() > 0.5
    assert giver[face].max() == 0
    assert wearer[face].mean() > 0.5


def test_seams_are_soft(red, green, regions):
    """Between shin and thigh both colours mix; nowhere near is there a third one."""
    frame = next(iter(transfer(red, {"left_lower_leg": green}, synthesis=SYNTHESIS))).astype(float)
    own = np.isin(regions, [PARTS.index("left_lower_leg"), PARTS.index("left_upper_leg")])
    column = int(np.median(np.nonzero(own)[1]))
    line = frame[np.nonzero(own[:, column])[0].min() : np.nonzero(own[:, column])[0].max(), column]
    mixed = (line[:, 0] > 50) & (line[:, 1] > 50)
    assert 1 <= mixed.sum() <= 12
    assert np.abs(line.sum(1) - sum(RED)).max() < 40


def test_trousers_go_up_to_the_waist(red, green, regions):
    """The hips go with "lower"; "upper" ends at the waist."""
    frames = {
        name: next(iter(transfer(red, {name: green}, synthesis=SYNTHESIS))) for name in ("lower", "upper", "hips")
    }
    rows = np.nonzero((regions == PARTS.index("torso")).any(1))[0]
    chest, hips = (slice(*np.percentile(rows, share).astype(int)) for share in ((10, 50), (88, 100)))
    torso = regions == PARTS.index("torso")
    for name, high, low in (("lower", RED, GREEN), ("upper", GREEN, RED), ("hips", RED, GREEN)):
        for rows, colour in ((chest, high), (hips, low)):
            assert np.abs(frames[name][rows][torso[rows]].mean(0) - colour).max() < 15, (name, colour)
    assert garment_parts("lower")[-1] == "hips"
    assert "hips" not in garment_parts("upper")
    assert set(garment_parts("all")) == set(GARMENT_PARTS)


def test_halos_come_from_the_wearer_of_the_part(anny):
    """Cloth beside the arms is the giver's, cloth beside the legs one's own, and nothing of the arms' is left."""
    config = SynthesisConfig(size=256, background="draft", renderer="texture", extension="halo")
    wide, tight = bank_of(anny, RED, config=config, grown=HALO), bank_of(anny, GREEN, config=config)
    frame = next(iter(transfer(wide, {"arms": tight, "hands": tight}, synthesis=config))).astype(int)
    alone = next(render_frames(wide, wide.body, config)).astype(int)
    drawn = np.abs(frame - GREY).max(-1) > 40
    before = np.abs(alone - GREY).max(-1) > 40
    knee = 180
    assert drawn[knee:].sum() > 0.97 * before[knee:].sum(), "the legs keep their cloth"
    dressed = dress(wide, {"arms": tight}, config).sources
    owner = dressed.extension.owner[dressed.extension.faces[:, 0]]
    assert (owner == 0).any()
    for source, (bank, own, others) in enumerate(((wide, LEGS, ARMS), (tight, ARMS, LEGS))):
        parts = label_photo(anny, bank.bodies, bank.images[0], bank.sources.mattes[0, 0]).part
        beside = [np.isin(parts, [GARMENT_PARTS.index(name) for name in names]) for names in (own, others)]
        given = dressed.fringes[0, source, 0].numpy()
        lower = np.isin(
            parts,
            [GARMENT_PARTS.index(f"{side}_lower_{limb}") for side in ("left", "right") for limb in ("arm", "leg")],
        )
        before = bank.sources.fringes[0, 0, 0].numpy()
        assert np.quantile(given[beside[1] & lower], 0.95) < 0.1, "but softly where parts meet"
        assert given[beside[1] & lower].mean() < 0.02
        if source == 0:
            assert given[beside[0] & lower].sum() > 0.85 * before[beside[0] & lower].sum()


def test_wide_clothes_are_wide_on_others_too(red, anny):
    """Only where both sides are lent; who was told to have another body keeps that change."""
    betas = red.bodies.betas.clone()
    betas[anny.beta_names.index("calf-girth")] += 11
    wide = replace(red, bodies=replace(red.bodies, betas=betas))
    taller = torch.zeros_like(betas).index_fill(0, torch.tensor([anny.beta_names.index("torso-length")]), 1.0)
    wearer = replace(red, body=replace(red.body, betas=red.body.betas + taller))

    def wider(*names):
        body = dress(wearer, dict.fromkeys(names, wide), SYNTHESIS).body
        calf, torso = (
            [measure(anny, one.betas, name) for one in (body, wearer.body)] for name in ("calf-girth", "torso-length")
        )
        assert torso[0] == pytest.approx(torso[1], rel=0.01)
        return calf[0] / calf[1]

    assert wider("legs") > 1.1
    assert wider("left_leg") == pytest.approx(1.0)
    assert wider("arms") == pytest.approx(1.0, abs=0.02)


def test_a_picture_shows_the_body_in_lent_clothes(red, anny):
    """Not the wearer's as it fills the own clothes, a skirt say."""
    betas = red.bodies.betas.clone()
    betas[anny.beta_names.index("thigh-girth")] += 11
    skirt = replace(red, bodies=replace(red.bodies, betas=betas), body=replace(red.body, betas=betas))
    shown = transfer(skirt, {"legs": red}, synthesis=SYNTHESIS).targets.betas
    thigh = [measure(anny, one, "thigh-girth") for one in (red.body.betas, shown, betas)]
    assert thigh[1] - thigh[0] < 0.4 * (thigh[2] - thigh[0])


def test_driven(red, green, anny, regions):
    motion = motion_of(red.body, anny, 12.0)
    driving = Driving(motion, asset("demo/motion.bvh"), None)
    result = transfer(red, {"legs": green}, driving, synthesis=SYNTHESIS)
    assert (len(result), result.fps) == (1, 12.0)
    assert is_colour(next(iter(result)), regions, GREEN, *LEGS)


def test_a_network_draws_the_givers_too(anny, regions):
    """An untrained network that shows the texture it starts from, and whose attention is masked by the choice."""
    tiny = GeneratorConfig(
        fusion="texture",
        stem_channels=8,
        channels=(8, 8, 8),
        num_blocks=1,
        background_channels=(8, 8, 8, 8),
        background_blocks=1,
    )
    generator = LiquidWarpingGenerator(tiny).eval()
    config = SynthesisConfig(size=256, background="draft")
    grey = np.full((256, 192, 3), 120, np.uint8)
    red, green = (prepare_bank(person(anny, colour), anny, config, generator, grey) for colour in (RED, GREEN))
    result = transfer(red, {"legs": green}, synthesis=config)
    frame = next(iter(result))
    assert is_colour(frame, regions, GREEN, *LEGS)
    assert is_colour(frame, regions, RED, "torso")


def test_nobody_is_dressed_twice(red, green, blue):
    dressed = dress(red, {"legs": green}, SYNTHESIS)
    for wear, giver in ((dressed, blue), (red, dressed)):
        with pytest.raises(SettingError, match="Give all parts in one call"):
            dress(wear, {"arms": giver}, SYNTHESIS)


def test_results_are_told_apart(red, green, blue):
    keys = {
        transfer(red, wear, synthesis=SYNTHESIS)._key() for wear in ({"legs": green}, {"legs": blue}, {"arms": green})
    }
    assert len(keys) == 3


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), "expected at least one part"),
        (("upper", "left_arm"), "left_upper_arm is given twice, by 'upper' and by 'left_arm'"),
        (("lower", "hips"), "hips is given twice"),
        (("trousers",), "'trousers' is not known"),
    ],
)
def test_mistakes(names, message):
    with pytest.raises(SettingError, match=message):
        check_wear(names)


def test_parts_that_the_giver_does_not_show(red, anny):
    """A photo from the hips up has no feet to give; of a leg it shows the upper half."""
    half = bank_of(anny, GREEN, shift=torch.tensor([[0.0, 330.0]]))
    assert not {"left_foot", "right_foot"} & set(shown_parts(half.sources))
    with pytest.raises(SettingError, match="do not show 'feet'"):
        transfer(red, {"feet": half}, synthesis=SYNTHESIS)
    transfer(red, {"lower": half}, synthesis=SYNTHESIS)


def test_somebody_must_give_every_part(red):
    weights = torch.ones(1, len(GARMENT_PARTS))
    weights[0, GARMENT_PARTS.index("hips")] = 0
    with pytest.raises(ShapeError, match="none for hips"):
        keep_parts(red.sources, weights, torch.zeros(1, dtype=torch.long))
    with pytest.raises(ShapeError, match="expected 1 sources, got 2"):
        keep_parts(red.sources, torch.ones(2, len(GARMENT_PARTS)), torch.zeros(2, dtype=torch.long))


def test_hair_hangs_over_what_others_give():
    """Vertex 0: one person's hair over another's shirt; 1: shirt over trousers; 2: two heads."""
    head, torso, hips = (GARMENT_PARTS.index(name) for name in ("head", "torso", "hips"))
    parts = torch.tensor([[head, torso, head], [torso, hips, head]])
    usual = torch.tensor([torso, torso, head])
    kept = _outermost(torch.ones(2, 3), parts, usual)
    torch.testing.assert_close(kept, torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0]]))


def painted(anny, skin, cloth):
    """Somebody in a T-shirt: face, lower arms and hands are bare."""

    plain = person(anny, cloth)
    bare = ("face", "left_lower_arm", "right_lower_arm", "left_hand", "right_hand")
    nothing = torch.full((3, 256, 192), 0.5)
    parts = label_photo(anny, plain.recovery.body, nothing, nothing[:1])
    picture = plain.pictures[0].copy()
    picture[np.isin(parts.part, [GARMENT_PARTS.index(name) for name in bare]) & (plain.mattes[0] > 0)] = skin
    background = np.full((256, 192, 3), 120, np.uint8)
    return prepare_bank(replace(plain, pictures=(picture,)), anny, SYNTHESIS, background=background)


def dressed_in(anny, shirt, trousers, over_hips):
    """Somebody whose shirt hangs over the hips, or is tucked in."""
    plain = person(anny, shirt)
    nothing = torch.full((3, 256, 192), 0.5)
    parts = label_photo(anny, plain.recovery.body, nothing, nothing[:1])
    below = (
        "left_upper_leg",
        "right_upper_leg",
        "left_lower_leg",
        "right_lower_leg",
        *(() if over_hips else ("hips",)),
    )
    picture = plain.pictures[0].copy()
    picture[np.isin(parts.part, [GARMENT_PARTS.index(n) for n in below]) & (plain.mattes[0] > 0)] = trousers
    background = np.full((256, 192, 3), 120, np.uint8)
    return prepare_bank(replace(plain, pictures=(picture,)), anny, SYNTHESIS, background=background), parts


@pytest.mark.parametrize("name", ["upper", "lower"])
def test_nothing_is_left_of_a_shirt_that_hangs_over_the_hips(anny, name):
    """Neither of the wearer's own, nor of the giver's when it only gives trousers."""
    long, parts = dressed_in(anny, RED, BLUE, over_hips=True)
    tucked, _ = dressed_in(anny, GREEN, (200, 200, 40), over_hips=False)
    wearer, giver = (long, tucked) if name == "upper" else (tucked, long)
    frame = next(iter(transfer(wearer, {name: giver}, synthesis=SYNTHESIS))).astype(int)
    hips = frame[(parts.part == GARMENT_PARTS.index("hips")) & parts.body]
    of_shirt = (hips[:, 0] > hips[:, 2] + 60) & (hips[:, 1] < 100)
    assert of_shirt.mean() < 0.1, "but for its rim"
    above = frame[(parts.part == GARMENT_PARTS.index("torso")) & parts.body]
    assert np.abs(np.median(above, 0) - GREEN).max() < 12


def test_no_rim_of_a_high_skirt_stays_below_a_shirt(anny):
    """Between the wearer's short shirt and the giver's low trousers nobody gives a thing: it is made up cleanly."""
    low, parts = dressed_in(anny, RED, (200, 200, 40), over_hips=True)
    torso = (parts.part == GARMENT_PARTS.index("torso")) & parts.body
    row = np.arange(256)[:, None]
    waist = row > np.nonzero(torso)[0].max() - 0.09 * parts.scale
    plain = person(anny, GREEN)
    hips = (parts.part == GARMENT_PARTS.index("hips")) & parts.body
    legs = np.isin(parts.part, [n for n, name in enumerate(GARMENT_PARTS) if name.endswith("_leg")]) & parts.body
    picture = plain.pictures[0].copy()
    picture[(torso & waist) | hips | legs] = BLUE
    wearer = prepare_bank(
        replace(plain, pictures=(picture,)), anny, SYNTHESIS, background=np.full((256, 192, 3), 120, np.uint8)
    )
    frame = next(iter(transfer(wearer, {"lower": low}, synthesis=SYNTHESIS))).astype(int)
    blue = (frame[..., 2] > frame[..., 1] + 40) & (frame[..., 2] > frame[..., 0] + 40)
    assert (blue & (torso | hips)).sum() < 0.1 * (torso & waist).sum()


def test_a_shirt_comes_as_long_as_it_is(anny):
    long, parts = dressed_in(anny, RED, BLUE, over_hips=True)
    tucked, _ = dressed_in(anny, GREEN, (200, 200, 40), over_hips=False)
    frame = next(iter(transfer(tucked, {"upper": long}, synthesis=SYNTHESIS))).astype(int)
    hips = frame[(parts.part == GARMENT_PARTS.index("hips")) & parts.body]
    assert np.abs(np.median(hips, 0) - RED).max() < 12


def test_bare_arms_have_the_wearers_skin(anny, regions, monkeypatch):
    """A pale giver's T-shirt on somebody dark: the sleeves are the shirt's, the arms below are dark."""
    light, dark = (225, 180, 155), (120, 75, 50)
    wearer, giver = painted(anny, dark, RED), painted(anny, light, GREEN)
    judged = []

    def recording(model, extension, bodies, images, mattes):
        judged.append(images)
        return prepare_sources(model, extension, bodies, images, mattes)

    monkeypatch.setattr("liquidwarp.tasks.transfer.prepare_sources", recording)
    frame = next(iter(transfer(wearer, {"upper": giver}, synthesis=SYNTHESIS)))
    nothing = torch.full((3, 256, 192), 0.5)
    parts = label_photo(anny, wearer.body, nothing, nothing[:1])

    def shown(*names):
        return np.median(frame[np.isin(parts.part, [GARMENT_PARTS.index(n) for n in names]) & parts.body], 0)

    assert np.abs(shown("left_upper_arm", "right_upper_arm") - GREEN).max() < 12
    arms = shown("left_lower_arm", "right_lower_arm")
    assert np.abs(arms - dark).max() < 25
    assert np.abs(arms - light).max() > 70
    assert torch.equal(judged[0], torch.cat([wearer.images, giver.images])), "whose is what is told by own colours"
    assert is_colour(frame, regions, RED, *LEGS)
