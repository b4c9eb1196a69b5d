"""A person taken apart: what is where, and how softly it is given."""

import numpy as np
import torch

from liquidwarp.flow.lending.given import label_photo
from liquidwarp.flow.lending.parts import GARMENT_PARTS

SIZE = (256, 192)


def where(parts, *names):
    return parts.body & np.isin(parts.part, [GARMENT_PARTS.index(name) for name in names])


def test_pixels_are_named_by_the_nearest_part(parts):
    assert parts.part.min() >= 0, "every pixel is next to some part"
    assert len(np.unique(parts.part[parts.body])) == len(GARMENT_PARTS)
    rows = {name: np.nonzero(where(parts, name))[0].mean() for name in ("face", "torso", "hips", "left_foot")}
    assert rows["face"] < rows["torso"] < rows["hips"] < rows["left_foot"]
    foot = np.argwhere(where(parts, "left_foot"))[-1]
    assert GARMENT_PARTS[parts.part[foot[0] + 3, foot[1]]].endswith("foot"), "also below the sole"


def test_what_is_given_ends_softly(parts):
    weights = torch.zeros(len(GARMENT_PARTS))
    weights[GARMENT_PARTS.index("torso")] = 1
    share = parts.share(weights)[0].numpy()
    torso, face = where(parts, "torso"), where(parts, "face")
    assert share[torso].max() > 0.99
    assert share[face].max() < 0.2
    assert np.median(share[face]) < 0.001
    steps = np.abs(np.diff(share, axis=0)).max()
    assert steps < 0.5, "no hard edge"
    assert (parts.share(torch.ones(len(GARMENT_PARTS))) > 0.99).all()


def test_limbs_have_a_height(parts):
    for name, low, high in (("left_upper_arm", 0, 1), ("right_lower_leg", 1, 2)):
        along = parts.along[where(parts, name)]
        least, most = np.quantile(along, (0.03, 0.97))
        assert low <= least < low + 0.3 < high - 0.3 < most <= high
    assert np.median(parts.along[where(parts, "torso")]) == 0


SKIN, SHIRT, HAIR = (217, 168, 140), (76, 102, 191), (64, 33, 18)


def long_hair(parts, shirt):
    """Somebody with long hair on both sides of the face, down to the chest; the photo, its matte and the hair."""
    picture = np.full((*SIZE, 3), 150, np.float32)
    picture[parts.body] = SKIN
    picture[where(parts, "torso", "hips")] = shirt
    face, torso = (np.argwhere(where(parts, name)) for name in ("face", "torso"))
    (top, left), (chin, right) = face.min(0), face.max(0)
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    beside = ((x > right - 2) & (x < right + 8)) | ((x < left + 2) & (x > left - 8))
    hair = (y > top) & (y < (chin + torso[:, 0].max()) // 2) & beside
    picture[hair] = HAIR
    image = torch.from_numpy(picture / 255).permute(2, 0, 1)
    return image, torch.from_numpy(parts.body | hair).float()[None], hair


def test_long_hair_is_the_heads_wherever_it_falls(anny, demo_body, parts):
    image, matte, hair = long_hair(parts, SHIRT)
    found = label_photo(anny, demo_body, image, matte)
    head, torso = (GARMENT_PARTS.index(name) for name in ("head", "torso"))
    chest = hair & where(parts, "torso")
    assert chest.sum() > 40
    assert (found.part[chest] == head).mean() > 0.7
    assert (found.part[where(parts, "torso") & ~hair] == head).mean() < 0.1
    assert ((found.vertices == head) & (parts.vertices == torso)).sum() > 5


def test_a_shirt_of_the_hairs_colour_is_no_hair(anny, demo_body, parts):
    image, matte, _ = long_hair(parts, HAIR)
    found = label_photo(anny, demo_body, image, matte)
    shirt = where(parts, "torso")
    assert (found.part[shirt] == GARMENT_PARTS.index("head")).mean() < 0.1


def test_a_top_of_the_hairs_colour_below_an_open_coat_is_no_hair(anny, demo_body, parts):
    """A strip down the middle that is connected with the hair; and trousers of that colour."""
    image, matte, _ = long_hair(parts, SHIRT)
    torso = where(parts, "torso", "hips")
    rows, columns = np.nonzero(torso)
    middle = np.abs(np.arange(SIZE[1]) - columns.mean()) < 0.2 * np.ptp(columns)
    top = torso & middle[None] & (np.arange(SIZE[0])[:, None] > np.quantile(rows, 0.1))
    legs = where(parts, *(name for name in GARMENT_PARTS if name.endswith("leg")))
    across = torso & (np.abs(np.arange(SIZE[0])[:, None] - np.quantile(rows, 0.15)) < 4)
    image[:, torch.from_numpy(top | across | legs)] = torch.tensor(HAIR, dtype=torch.float32)[:, None] / 255
    found = label_photo(anny, demo_body, image, matte)
    head = found.part == GARMENT_PARTS.index("head")
    assert head[top].mean() < 0.1
    assert head[legs].mean() < 0.1


def test_hair_off_the_shoulders_is_the_heads_even_in_the_shirts_colour(anny, demo_body, parts):
    """Beside the head it is told by where it is; a wide shirt, which begins at the shoulders, is the shirt's."""
    face, torso = (np.argwhere(where(parts, name)) for name in ("face", "torso"))
    (top, left), right = face.min(0), face.max(0)[1]
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    hair = (
        (y > top)
        & (y < torso[:, 0].min() + 4)
        & (((x > right - 2) & (x < right + 9)) | ((x < left + 2) & (x > left - 9)))
    )
    beside = hair & ~parts.body
    wide = np.roll(where(parts, "torso"), 4, 1) & ~parts.body & ~hair
    picture = torch.full((3, *SIZE), 0.5)
    picture[:, torch.from_numpy(parts.body | hair | wide)] = 0.1
    matte = torch.from_numpy(parts.body | hair | wide).float()[None]
    found = label_photo(anny, demo_body, picture, matte)
    weights = torch.tensor([float(name == "torso") for name in GARMENT_PARTS])
    share = found.share(weights)[0].numpy()
    assert beside.sum() > 100
    assert (found.part[beside] == GARMENT_PARTS.index("head")).mean() > 0.95
    assert share[beside].mean() < 0.05
    assert share[wide].mean() > 0.5
