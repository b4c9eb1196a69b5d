"""The demo's person, whose bodies, mattes and background are known, through preparation and rendering."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from liquidwarp import backdrop, renderers, synthesizer
from liquidwarp.body.model import BodyParams
from liquidwarp.body.parts import PARTS
from liquidwarp.cache import Cache
from liquidwarp.config import GeneratorConfig, SynthesisConfig
from liquidwarp.errors import SettingError, WeightsNotFoundError
from liquidwarp.flow.mesh.surface import project_bodies
from liquidwarp.flow.sources import prepare_source_batch
from liquidwarp.gan.generator import LiquidWarpingGenerator
from liquidwarp.geometry.camera import WeakPerspective
from liquidwarp.renderers import TextureRenderer, load_network
from liquidwarp.synthesizer import person_extent, prepare_bank, render_frames
from liquidwarp.weights import AssetRecord, asset

CONFIG = SynthesisConfig(size=256, background="draft")
TINY = GeneratorConfig(
    stem_channels=8,
    channels=(8, 8, 8),
    num_blocks=1,
    value_channels=8,
    modulation_channels=8,
    decoder_convs=1,
    background_channels=(8, 8, 8, 8),
    background_blocks=1,
)


@pytest.fixture(scope="module")
def scenery():
    return np.array(Image.open(asset("demo/background.jpg")).resize((192, 256), Image.Resampling.BOX))


@pytest.fixture(scope="module")
def bank(demo_photos, anny, scenery):
    return prepare_bank(demo_photos, anny, CONFIG, background=scenery)


@pytest.fixture(scope="module")
def network_bank(demo_photos, anny, scenery):
    """Its network passes the warped texture on: what goes in is known to come out."""
    generator = LiquidWarpingGenerator(replace(TINY, fusion="texture")).eval()
    return prepare_bank(demo_photos, anny, CONFIG, generator, scenery)


def moved(body, shifts):
    """The same pose at several places [px]."""
    count = len(shifts)
    translation = body.camera.translation + torch.tensor(shifts, dtype=torch.float32)
    camera = WeakPerspective(body.camera.scale.expand(count), translation)
    return BodyParams(body.betas, body.rel_rotmats.expand(count, -1, -1, -1), camera)


def psnr(first, second, where):
    return -10 * np.log10((((first.astype(float) - second) / 255) ** 2)[where].mean())


def inner(photos):
    """Where the first photo shows the person for certain."""
    both = (photos.mattes[0] > 250) & photos.silhouettes[0]
    return cv2.erode(both.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0


@pytest.mark.parametrize("kind", ["bank", "network_bank"])
def test_in_the_own_pose_the_photo_comes_back(kind, demo_photos, scenery, request):
    person = request.getfixturevalue(kind)
    (frame,) = render_frames(person, person.body, CONFIG)
    photo, matte = demo_photos.pictures[0], demo_photos.mattes[0]
    assert psnr(frame, photo, inner(demo_photos)) > 27
    assert psnr(frame, photo, matte > 5) > 18, "edges, hair and clothes included"
    assert psnr(scenery, photo, matte > 5) < 14, "the place alone would not do"
    away = cv2.dilate(matte, np.ones((25, 25), np.uint8)) == 0
    np.testing.assert_array_equal(frame[away], scenery[away])


def test_a_network_keeps_what_the_photos_show(demo_photos, anny, scenery):
    """Untrained, its own colours are grey: half of the photo's halve their error, which is 6 dB; far ones give way."""
    torch.manual_seed(0)
    generator = LiquidWarpingGenerator(replace(TINY, copy_gate=False)).eval()
    seen = {}
    for keep in ("photos", "nothing"):
        person = prepare_bank(demo_photos, anny, replace(CONFIG, keep=keep), generator, scenery)
        (frame,) = render_frames(person, person.body, CONFIG)
        seen[keep] = psnr(frame, demo_photos.pictures[0], inner(demo_photos))
    assert seen["nothing"] < 18
    assert seen["photos"] > seen["nothing"] + 6


def test_a_network_is_given_the_flows_of_its_training(network_bank):
    made = network_bank.sources
    surface = project_bodies(made.model, made.extension, network_bank.bodies)
    trained = prepare_source_batch(made.model, made.extension, surface, network_bank.images[None], made.mattes)
    for name in ("body", "around", "clear", "colours"):
        torch.testing.assert_close(getattr(made, name), getattr(trained, name))


def test_the_person_moves_with_the_camera(bank):
    first, second = render_frames(bank, moved(bank.body, [(0.0, 0.0), (30.0, -10.0)]), CONFIG)
    scene = bank.background
    person = np.abs(first.astype(int) - scene).sum(-1) > 60
    shifted = np.abs(second.astype(int) - scene).sum(-1) > 60
    rows, columns = np.nonzero(person[20:, :150])
    expected = np.zeros_like(person)
    expected[rows + 10, columns + 30] = True
    assert (expected & shifted).sum() / (expected | shifted).sum() > 0.85


def test_of_a_half_body_only_what_the_picture_shows_takes_pixels(bank, anny, monkeypatch):
    """Four times as large, the legs are below the picture: they are neither in a photo's crop nor in a frame's."""
    body, (width, height) = bank.body, bank.size
    near = replace(body, camera=WeakPerspective(4 * body.camera.scale, 4 * body.camera.translation))
    held = person_extent(anny, near, np.zeros((height, width), np.uint8))
    assert (held.amin(0) >= 0).all()
    assert (held.amax(0) <= torch.tensor([width, height])).all()
    torch.testing.assert_close(held.amax(0)[1], torch.tensor(float(height)))
    crops = []
    taken = synthesizer.crop_around
    monkeypatch.setattr(
        synthesizer, "crop_around", lambda *given, **named: crops.append(taken(*given, **named)) or crops[-1]
    )
    next(render_frames(bank, near, CONFIG))
    assert crops[0].side <= max(width, height) * (1 + 2 * CONFIG.margin) + 1


def test_the_tail_is_the_same_whenever_it_is_rendered(bank):
    targets = moved(bank.body, [(float(x), 0.0) for x in (0, 5, 10, 15)])
    whole = list(render_frames(bank, targets, CONFIG))
    tail = list(render_frames(bank, targets, CONFIG, start=2))
    assert len(whole) == 4
    assert len(tail) == 2
    np.testing.assert_array_equal(whole[2:], tail)


def test_batches_change_nothing(network_bank):
    targets = moved(network_bank.body, [(0.0, 0.0), (8.0, 0.0), (16.0, 3.0)])
    single = list(render_frames(network_bank, targets, CONFIG))
    batched = list(render_frames(network_bank, targets, replace(CONFIG, batch=2)))
    assert np.abs(np.array(single, int) - batched).max() <= 1


def test_only_one_batch_is_ever_in_hand(bank):
    """However long the motion: what is rendered grows with what was taken."""
    lengths = []

    class Recorder:
        def fingerprint(self):
            return "recorder"

        def render(self, targets, size, choice=None, heads=None):
            lengths.append(len(targets))
            return torch.zeros(len(targets), 3, *size), torch.zeros(len(targets), 1, *size)

    frames = render_frames(
        replace(bank, renderer=Recorder()), moved(bank.body, [(0.0, 0.0)] * 50), replace(CONFIG, batch=4)
    )
    next(frames)
    assert lengths == [4]
    assert len(list(frames)) == 49
    assert lengths == [4] * 12 + [2]


@pytest.fixture(scope="module")
def attentive_bank(demo_photos, anny, scenery):
    """Its untrained network shows what is made up by itself."""
    torch.manual_seed(0)
    generator = LiquidWarpingGenerator(TINY).eval()
    for fusion in generator.transfer_net.fusions:
        fusion.attention.previous_bias.data.fill_(4.0)
    return prepare_bank(demo_photos, anny, replace(CONFIG, keep="nothing"), generator, scenery)


def test_frames_attend_to_the_one_before_from_any_start(attentive_bank, monkeypatch):
    monkeypatch.setattr(synthesizer, "_CHAIN", 3)
    monkeypatch.setattr(synthesizer, "_WARM_UP", 1)
    targets = moved(attentive_bank.body, [(0, 0), (2, 0), (4, 0), (6, 0), (8, 0)])
    config = replace(CONFIG, keep="nothing", temporal=True)
    whole = list(render_frames(attentive_bank, targets, config))
    plain = list(render_frames(attentive_bank, targets, replace(config, temporal=False)))
    assert len(whole) == 5
    assert (whole[0] == plain[0]).all()
    for index in range(1, 5):
        assert (whole[index] != plain[index]).any()
    for start in (2, 3, 4):
        rest = list(render_frames(attentive_bank, targets, config, start))
        assert len(rest) == 5 - start
        assert all((one == other).all() for one, other in zip(rest, whole[start:], strict=True))


def test_a_chosen_source_stays_chosen_with_the_frame_before(attentive_bank):
    targets = moved(attentive_bank.body, [(0, 0), (2, 0)])
    config = replace(CONFIG, keep="nothing", temporal=True)
    assert len(list(render_frames(attentive_bank, targets, config, choice={"upper": 1}))) == 2


def test_texture_warping_has_nothing_to_attend_with(bank):
    with pytest.raises(SettingError, match="temporal: only networks"):
        next(render_frames(bank, bank.body, replace(CONFIG, temporal=True)))


def test_chosen_parts_reach_the_picture(demo_photos, anny, scenery):
    """A second photo like the first, but green: the torso may be taken from it, and only that."""
    first, green = demo_photos.pictures[0], demo_photos.pictures[0] // 4 + np.array([0, 150, 0], np.uint8)
    body = demo_photos.recovery.body[torch.tensor([0, 0])]
    twins = replace(
        demo_photos,
        pictures=(first, green),
        recovery=replace(demo_photos.recovery, body=body),
        mattes=demo_photos.mattes[:1] * 2,
        silhouettes=demo_photos.silhouettes[:1] * 2,
    )
    for generator in (None, LiquidWarpingGenerator(replace(TINY, fusion="texture")).eval()):
        person = prepare_bank(twins, anny, CONFIG, generator, scenery)
        (plain,) = render_frames(person, person.body, CONFIG, choice={"all": 0})
        (dressed,) = render_frames(person, person.body, CONFIG, choice={"all": 0, "torso": 1})
        changed = np.abs(plain.astype(int) - dressed).sum(-1) > 40
        x, y = (int(v) for v in person.body.camera.translation[0])
        assert changed[y - 40 : y - 5, x - 8 : x + 8].mean() > 0.95, "the chest is green"
        assert changed[: y - 75].mean() < 0.001, "the head is not"
        assert changed[y + 60 :].mean() < 0.001, "the shins are not"


def test_sources_are_encoded_once(demo_photos, anny, scenery, monkeypatch):
    generator = LiquidWarpingGenerator(TINY).eval()
    calls = []
    encode = generator.encode
    monkeypatch.setattr(generator, "encode", lambda batch: calls.append(batch) or encode(batch))
    person = prepare_bank(demo_photos, anny, CONFIG, generator, scenery)
    (first,) = render_frames(person, person.body, CONFIG)
    (again,) = render_frames(person, person.body, CONFIG)
    assert len(calls) == 1
    assert calls[0].conditions.shape == (1, 2, 8, 256, 256)
    body = calls[0].conditions[0, :, 6]
    cut_out = calls[0].mattes[0, :, 0]
    assert (body * cut_out).sum() > 0.97 * body.sum(), "conditions and mattes show the same person at the same place"
    np.testing.assert_array_equal(first, again)


def test_given_backgrounds_fill_the_frame(demo_photos, anny):
    wide = np.zeros((50, 200, 3), np.uint8)
    wide[:, 90:110] = (0, 200, 0)
    person = prepare_bank(demo_photos, anny, CONFIG, background=wide)
    assert person.background.shape == (256, 192, 3)
    assert (person.background[:, 60:130] == (0, 200, 0)).mean() > 0.9, "the middle of the picture, enlarged"
    (frame,) = render_frames(person, person.body, CONFIG)
    assert (frame[:, 5] == person.background[:, 5]).all()


def test_the_own_background_is_completed_once(demo_photos, anny, scenery, tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    person = prepare_bank(demo_photos, anny, CONFIG, cache=cache)
    near = cv2.dilate(((demo_photos.mattes[0] > 0) | demo_photos.silhouettes[0]).astype(np.uint8), np.ones((61, 61)))
    assert psnr(person.background, scenery, np.ones((256, 192), bool)) > 20
    near[160:] = 1  # the ground, where the person's shadow goes too
    assert psnr(person.background, demo_photos.pictures[0], near == 0) > 40, "elsewhere the photo is kept"

    def refuse(*_, **__):
        raise AssertionError("completed again")

    monkeypatch.setattr(backdrop, "complete_background", refuse)
    again = prepare_bank(demo_photos, anny, CONFIG, cache=cache)
    np.testing.assert_array_equal(again.background, person.background)
    with pytest.raises(AssertionError, match="completed again"):
        assert prepare_bank(demo_photos, anny, replace(CONFIG, background="good"), cache=cache).background is None


def test_other_frames_of_a_film_show_what_the_person_hides(demo_photos, anny, scenery):
    """A frame in which the person stands elsewhere uncovers the left half of the hole."""
    person = np.zeros((256, 192), bool)
    person[:, 96:] = True
    film = replace(demo_photos, scenery=((np.where(person[..., None], 255, scenery).astype(np.uint8), person),))
    hidden = (demo_photos.mattes[0] > 100) & ~cv2.dilate(person.astype(np.uint8), np.ones((21, 21))).astype(bool)
    made_up = prepare_bank(demo_photos, anny, CONFIG).background
    seen = prepare_bank(film, anny, CONFIG).background
    assert hidden.sum() > 500
    assert psnr(seen, scenery, hidden) > 30
    assert psnr(made_up, scenery, hidden) < 25


def test_extension_follows_the_renderer(bank, network_bank, demo_photos, anny, scenery):
    shell = len(anny.vertex_part)
    halo = len(bank.sources.extension.anchor)
    assert isinstance(bank.renderer, TextureRenderer)
    assert halo > 0
    assert len(network_bank.sources.extension.anchor) == shell + halo
    plain = prepare_bank(demo_photos, anny, replace(CONFIG, extension="none"), background=scenery)
    assert len(plain.sources.extension.anchor) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("network", [False, True])
def test_a_gpu_draws_the_same(demo_photos, anny, scenery, network):
    frames = []
    for device in ("cpu", "cuda"):
        generator = LiquidWarpingGenerator(replace(TINY, fusion="texture")).eval().to(device) if network else None
        person = prepare_bank(demo_photos, anny, CONFIG, generator, scenery, device)
        frames += list(render_frames(person, moved(person.body, [(0.0, 0.0), (9.0, 0.0)]), CONFIG))
    assert np.abs(np.array(frames[:2], int) - frames[2:]).mean() < 0.5


def test_a_hand_that_no_photo_shows_is_the_warp_s(network_bank):
    renderer = network_bank.renderer
    body = renderer.warp.sources.body.clone()
    body[0, :, renderer.sources.model.vertex_part == PARTS.index("left_hand"), 2] = 0
    blind = replace(renderer, warp=replace(renderer.warp, sources=replace(renderer.warp.sources, body=body)))
    size = (CONFIG.size, CONFIG.size)
    flow = renderers.drawn_flow(renderer.sources, renderer.warp, network_bank.bodies[slice(0, 1)], size)
    black = torch.zeros_like(flow.texture)
    there = renderers.part_mask(renderer.sources.model, flow, "left_hand") * (flow.texture_matte > 0.6)
    assert float(there.sum()) > 20
    assert torch.allclose(blind._with_hands(flow, black), there * flow.texture)
    assert not renderer._with_hands(flow, black).any()


def test_hair_that_no_photo_shows_is_the_warp_s(network_bank):
    """Where nothing is seen the top of the head is, and never the face; where all is seen nothing."""
    renderer, size = network_bank.renderer, (CONFIG.size, CONFIG.size)
    model, black = renderer.sources.model, torch.zeros(1, 3, *size)
    own = network_bank.bodies[slice(0, 1)]
    shown = renderers.drawn_flow(renderer.sources, renderer.warp, own, size)
    unseen = replace(shown, visible=torch.zeros_like(shown.visible))
    taken = (renderer._with_scalp(unseen, black) - unseen.texture).abs().amax(1, keepdim=True) < 1e-3
    head, face = (renderers.part_mask(model, unseen, part) > 0.999 for part in ("head", "face"))
    person = unseen.texture_matte > 0.99
    rows = torch.arange(size[0])[:, None].expand(size)[None, None]
    crown = rows[head & person].min() + 2
    assert taken[..., crown, :][(head & person)[..., crown, :]].float().mean() >= 0.5
    middle = face & person & (rows > rows[face & person].float().mean())
    assert int(middle.sum()) > 10
    assert not renderer._with_scalp(unseen, black)[middle.expand(-1, 3, -1, -1)].any()
    surely = shown.visible.amax(1, keepdim=True) > 0.9
    assert float(renderer._with_scalp(shown, black)[surely.expand(-1, 3, -1, -1)].mean()) < 0.01


def test_fingerprint_tells_people_apart(bank, network_bank, demo_photos, anny):
    assert bank.fingerprint() == bank.fingerprint()
    green = prepare_bank(demo_photos, anny, CONFIG, background=np.full((8, 8, 3), 90, np.uint8))
    other = replace(network_bank.renderer, generator=LiquidWarpingGenerator(TINY))
    names = {b.fingerprint() for b in (bank, network_bank, green, replace(network_bank, renderer=other))}
    assert len(names) == 4


def test_no_renderer_is_taken_for_another(monkeypatch, tmp_path):
    with pytest.raises(WeightsNotFoundError):
        load_network(str(tmp_path / "nowhere"))
    assert load_network("texture") == ("texture", None)
    monkeypatch.setattr(renderers, "list_assets", lambda: ())
    assert load_network("auto") == ("texture", None), "nothing is bundled"
    record = AssetRecord("generator/lite/model.safetensors", 0, "", "", "")
    both = (record, replace(record, name="generator/base/model.safetensors"))
    monkeypatch.setattr(renderers, "list_assets", lambda: both)
    asked = []
    monkeypatch.setattr(renderers, "load_generator", lambda name, device: asked.append((name, device)))
    assert load_network("auto", "cpu")[0] == "lite"
    assert load_network("auto", "cuda")[0] == "base"
    assert asked == [("lite", "cpu"), ("base", "cuda")]
    monkeypatch.setattr(renderers, "list_assets", lambda: both[1:])
    assert load_network("auto", "cpu")[0] == "base"


@pytest.mark.parametrize("wrong", [{"size": 300}, {"batch": -1}, {"num_sources": 0}, {"margin": 2.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        SynthesisConfig(**wrong)
