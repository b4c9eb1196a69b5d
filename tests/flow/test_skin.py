"""People painted part by part: whose skin has which tone is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from liquidwarp.flow.lending.parts import GARMENT_PARTS
from liquidwarp.flow.lending.skin import BareSkin, SkinTones, match_skin, skin_tone

SIZE = (256, 192)
LIGHT, DARK, GREEN = (225, 180, 155), (120, 75, 50), (40, 160, 60)
BARE = ("face", "left_lower_arm", "right_lower_arm", "left_hand", "right_hand")


def photo(parts, skin, cloth=GREEN):
    """Bare where BARE says so, half as bright in the lower half of each limb's shade."""
    picture = np.full((*SIZE, 3), 120, np.float32)
    bare = np.isin(parts.part, [GARMENT_PARTS.index(name) for name in BARE])
    picture[parts.body] = cloth
    picture[parts.body & bare] = skin
    picture *= np.where(np.arange(SIZE[1]) % 8 < 4, 1.0, 0.85)[None, :, None]  # light and shade
    return torch.from_numpy(picture / 255).permute(2, 0, 1)


def matte(parts):
    return torch.from_numpy(parts.body).float()[None]


def where(parts, *names):
    return parts.body & np.isin(parts.part, [GARMENT_PARTS.index(name) for name in names])


def linear(colour):
    return (np.array(colour) / 255) ** 2.2


def toned(image, parts, own, wanted):
    return match_skin(image, parts, BareSkin.of(image, parts, own), wanted)


def test_tone_is_that_of_the_face(parts):
    for skin in (LIGHT, DARK):
        tone = skin_tone(photo(parts, skin), matte(parts), parts)
        assert np.abs(np.log(tone / linear(skin))).max() < 0.35
    masked = photo(parts, GREEN)
    assert skin_tone(masked, matte(parts), parts) is None, "a mask is no skin"
    assert skin_tone(photo(parts, LIGHT), torch.zeros(1, *SIZE), parts) is None, "nobody there"


@pytest.mark.parametrize(("own", "wanted"), [(LIGHT, DARK), (DARK, LIGHT)])
def test_bare_limbs_take_the_other_tone_and_keep_their_shade(parts, own, wanted):
    before = photo(parts, own)
    after = toned(before, parts, linear(own), SkinTones(linear(wanted))).permute(1, 2, 0).numpy()
    expected = photo(parts, wanted).permute(1, 2, 0).numpy()
    arms = where(parts, "left_lower_arm", "right_lower_arm")
    error = np.abs(after - expected)[arms].mean(1)
    assert np.median(error) < 0.04
    assert np.median(np.abs(before.permute(1, 2, 0).numpy() - expected)[arms]) > 0.2, "they differed before"
    kept = where(parts, "torso", "face", "left_hand", "right_hand")
    assert np.median(np.abs(after - before.permute(1, 2, 0).numpy())[kept]) < 0.005
    cloth = where(parts, "torso")
    assert np.abs(after - before.permute(1, 2, 0).numpy())[cloth].mean() < 0.02


def test_everybody_keeps_the_same_tone(parts):
    before = photo(parts, LIGHT)
    torch.testing.assert_close(toned(before, parts, linear(LIGHT), SkinTones(linear(LIGHT))), before, rtol=0, atol=0.02)


BEIGE = (205, 175, 150)
"""Cloth that is nearly a light skin's colour."""


def test_cloth_nearly_in_the_skins_colour_stays(parts):
    before = photo(parts, LIGHT, BEIGE)
    after = toned(before, parts, linear(LIGHT), SkinTones(linear(DARK)))
    change = (after - before).abs().mean(0).numpy()
    dressed = where(parts, "torso", "hips", "left_upper_arm", "right_upper_leg", "left_lower_leg")
    assert change[dressed].mean() < 0.03
    assert np.median(change[where(parts, "left_lower_arm", "right_lower_arm")]) > 0.1


def test_bare_trunks_take_the_other_tone(parts):
    before = photo(parts, LIGHT, LIGHT)
    after = toned(before, parts, linear(LIGHT), SkinTones(linear(DARK)))
    expected = photo(parts, DARK, DARK)
    assert np.median((after - expected).abs().mean(0).numpy()[where(parts, "torso", "left_upper_leg")]) < 0.05


def test_a_spot_on_a_sleeve_is_no_skin(parts):
    """Sleeves and trousers are bare along one stretch or nowhere."""
    before = photo(parts, LIGHT)
    leg = where(parts, "left_upper_leg", "left_lower_leg")
    spot = leg & (parts.along > 0.5) & (parts.along < 1.5) & (np.arange(SIZE[1]) % 4 == 0)[None]
    before[:, torch.from_numpy(spot)] = torch.tensor(LIGHT)[:, None] / 255
    after = toned(before, parts, linear(LIGHT), SkinTones(linear(DARK)))
    assert (after - before).abs().mean(0).numpy()[spot].mean() < 0.03


PALE = (250, 203, 178)


def lit_limbs(parts, face, limbs, bare=("lower_arm", "lower_leg")):
    """A face in one light, limbs in another."""
    picture = photo(parts, face)
    for index, name in enumerate(GARMENT_PARTS):
        if name.endswith(bare):
            shown = torch.from_numpy(parts.body & (parts.part == index))
            picture[:, shown] = torch.tensor(limbs, dtype=torch.float32)[:, None] / 255
    return picture


def test_limbs_have_tones_of_their_own(parts):
    tones = BareSkin.of(lit_limbs(parts, LIGHT, PALE), parts, linear(LIGHT)).tones
    for tone in (tones.arm, tones.leg):
        assert np.abs(np.log(tone / linear(PALE))).max() < 0.05
    dressed = BareSkin.of(photo(parts, LIGHT), parts, linear(LIGHT)).tones
    assert dressed.arm is not None
    assert dressed.leg is None, "green trousers"


def test_limbs_look_like_the_wearers_where_both_are_bare(parts):
    """A wearer whose face is in the shade of a hat: the giver's legs shall be as light as the wearer's own."""
    shaded = (185, 148, 127)
    wanted = BareSkin.of(lit_limbs(parts, shaded, PALE), parts, linear(shaded)).tones
    after = toned(lit_limbs(parts, LIGHT, LIGHT), parts, linear(LIGHT), wanted).permute(1, 2, 0).numpy()
    for limb in ("left_lower_arm", "right_lower_leg"):
        assert np.abs(np.median(after[where(parts, limb)], 0) - np.array(PALE) / 255).max() < 0.06


def test_stockings_are_no_bare_legs(parts):
    """Much darker than the face: they become a little lighter on a wearer with bare legs, not bare."""
    wanted = BareSkin.of(lit_limbs(parts, LIGHT, LIGHT), parts, linear(LIGHT)).tones
    stockings = tuple(0.55 * c for c in LIGHT)
    before = lit_limbs(parts, LIGHT, stockings, ("_leg",))
    after = toned(before, parts, linear(LIGHT), wanted).permute(1, 2, 0).numpy()
    assert np.median(after[where(parts, "left_lower_leg")], 0).max() < 0.8 * LIGHT[0] / 255


def test_limbs_keep_the_wearers_hue_in_whatever_light(parts):
    """A giver in yellow light: the blue that her legs lack comes back as far as the red that they have too much of."""
    yellow = (185, 143, 117)
    wanted = BareSkin.of(lit_limbs(parts, LIGHT, PALE), parts, linear(LIGHT)).tones
    before = lit_limbs(parts, LIGHT, yellow)
    after = toned(before, parts, linear(LIGHT), wanted).permute(1, 2, 0).numpy()
    leg = np.median(after[where(parts, "left_lower_leg")], 0)
    assert np.abs(leg / leg.sum() - np.array(PALE) / sum(PALE)).max() < 0.012


def test_arms_look_like_the_wearers_legs_where_only_these_are_bare(parts):
    shaded = (185, 148, 127)
    wanted = SkinTones(linear(shaded), None, linear(PALE))
    after = toned(photo(parts, LIGHT), parts, linear(LIGHT), wanted).permute(1, 2, 0).numpy()
    arm = np.median(after[where(parts, "left_lower_arm")], 0)
    assert np.abs(arm - np.array(PALE) / 255).max() < 0.1 < np.abs(arm - np.array(shaded) / 255).max()


def test_who_shows_no_face_is_known_by_the_hands(parts):
    back = parts.part.copy()
    back[back == GARMENT_PARTS.index("face")] = GARMENT_PARTS.index("head")
    turned = replace(parts, part=back)
    tone = skin_tone(photo(turned, DARK), matte(turned), turned)
    assert np.abs(np.log(tone / linear(DARK))).max() < 0.35
    gloves = photo(turned, DARK)
    gloves[:, torch.from_numpy(where(turned, "left_hand", "right_hand"))] = 0.9
    assert skin_tone(gloves, matte(turned), turned) is None, "white gloves"


def test_a_bare_limb_is_skin_from_end_to_end(parts):
    """From the knee up it comes to lie in a shade of another hue, and one side of it shines."""
    before = lit_limbs(parts, LIGHT, LIGHT, ("_leg",))
    leg = torch.from_numpy(where(parts, "left_upper_leg", "left_lower_leg"))
    shade = torch.from_numpy((1 - parts.along / 2).clip(0, 1)).float()
    before = torch.where(leg, before * torch.stack([1 - 0.3 * shade, 1 - 0.5 * shade, 1 - 0.6 * shade]), before)
    shine = (torch.arange(SIZE[1]) % 4 == 0).expand(SIZE) & leg
    before[:, shine] = torch.tensor([0.95, 0.87, 0.84])[:, None]
    after = toned(before, parts, linear(LIGHT), SkinTones(linear(DARK)))
    thigh = torch.from_numpy(where(parts, "left_upper_leg"))
    darker = (after / before).mean(0)
    assert darker[thigh & ~shine].median() < 0.6
    assert darker[thigh & shine].median() < 0.9


def test_a_pale_sleeve_on_a_pale_arm_is_no_skin(parts):
    """Bare skin goes on along a limb in changing light, but not into the colour of the shirt, however slowly."""
    skin, shirt = (252, 204, 208), (254, 238, 252)
    before = photo(parts, skin, shirt)
    arm = torch.from_numpy(where(parts, "left_upper_arm", "right_upper_arm"))
    bare = torch.from_numpy(parts.along).float().clamp(0, 1)
    slowly = torch.stack([s + (b - s) * bare for b, s in zip(skin, shirt, strict=True)]) / 255
    before = torch.where(arm, slowly, before)
    after = toned(before, parts, linear(skin), SkinTones(linear(DARK)))
    change = (after - before).abs().mean(0)
    assert change[arm & (bare < 0.4)].median() < 0.1
    assert np.median(change.numpy()[where(parts, "left_lower_arm", "right_lower_arm")]) > 0.2


def test_shining_dark_skin_is_not_burnt_out_in_a_fair_tone(parts):
    before = photo(parts, DARK)
    arm = where(parts, "left_lower_arm")
    shines = torch.from_numpy(arm & (np.arange(SIZE[1]) % 4 == 0)[None])
    before[:, shines] = (before[:, shines] * 1.5).clamp(max=1)
    after = toned(before, parts, linear(DARK), SkinTones(linear(LIGHT)))
    assert after[:, shines].amax(0).median() < 1.0
    assert after[:, shines].mean() > after[:, torch.from_numpy(arm) & ~shines].mean()
