"""Bodies made to measure: what was asked for is measured afterwards, in another way."""

import math

import pytest
import torch
import trimesh

from liquidwarp.body.measures import MEASURED, _tape_around, measure
from liquidwarp.body.shape import edit_shape, parse_shape, shape_names, shape_table
from liquidwarp.errors import SettingError


@pytest.fixture(scope="module")
def betas(anny):
    return 0.3 * torch.randn(len(anny.beta_names), generator=torch.Generator().manual_seed(1))


def edited(anny, betas, text):
    return edit_shape(anny, betas, parse_shape(text, anny))


def test_a_tape_around_a_cylinder():
    """A tube of radius 0.2 m, cut straight and slantwise."""
    tube = trimesh.creation.cylinder(radius=0.2, height=2.0, sections=200)
    triangles = torch.tensor(tube.triangles, dtype=torch.float32)
    centre = torch.tensor([0.0, 0.0, 0.1])
    straight = _tape_around(triangles, centre, torch.tensor([0.0, 0.0, 1.0]))
    assert straight == pytest.approx(math.tau * 0.2, rel=1e-3)
    slant = _tape_around(triangles, centre, torch.tensor([math.sqrt(0.5), 0.0, math.sqrt(0.5)]))
    a, b = 0.2 * math.sqrt(2), 0.2
    ramanujan = math.pi * (3 * (a + b) - math.sqrt((3 * a + b) * (a + 3 * b)))
    assert slant == pytest.approx(ramanujan, rel=1e-3)


def test_measures_of_the_average_body(anny):
    zero = torch.zeros(len(anny.beta_names))
    rest = anny.rest(zero[None])
    assert measure(anny, zero, "height") == pytest.approx(float(anny.height(zero[None])))
    mesh = trimesh.Trimesh(rest.vertices[0].numpy(), anny.faces.numpy(), process=False)
    assert measure(anny, zero, "weight") == pytest.approx(1000 * abs(mesh.volume), rel=1e-3)
    girths = {name: measure(anny, zero, name) for name in MEASURED if name.endswith("girth")}
    assert girths["waist-girth"] < girths["bust-girth"] < girths["hips-girth"]
    assert girths["lowerarm-girth"] < girths["calf-girth"] < girths["thigh-girth"]


@pytest.mark.parametrize(("text", "change"), [("height=+5cm", 0.05), ("height=-0.04m", -0.04), ("height=+2%", None)])
def test_height(anny, betas, text, change):
    taller = edited(anny, betas, text)
    before, after = float(anny.height(betas[None])), float(anny.height(taller[None]))
    assert after - before == pytest.approx(0.02 * before if change is None else change, abs=1e-3)
    growth = [measure(anny, taller, bone) / measure(anny, betas, bone) for bone in ("upperleg-length", "torso-length")]
    assert growth[0] == pytest.approx(growth[1], abs=0.01), "bones grow alike"
    assert measure(anny, taller, "head-width") == pytest.approx(measure(anny, betas, "head-width"), abs=2e-3)


@pytest.mark.parametrize(("text", "factor"), [("weight=+10%", 1.1), ("weight=-8%", 0.92)])
def test_weight(anny, betas, text, factor):
    other = edited(anny, betas, text)
    assert measure(anny, other, "weight") == pytest.approx(factor * measure(anny, betas, "weight"), rel=1e-3)
    assert float(anny.height(other[None])) == pytest.approx(float(anny.height(betas[None])), abs=3e-3)
    waist = measure(anny, other, "waist-girth") - measure(anny, betas, "waist-girth")
    assert math.copysign(1, waist) == math.copysign(1, factor - 1)


def test_height_and_weight_together_in_any_order(anny, betas):
    both, swapped = edited(anny, betas, "height=+5cm,weight=+10%"), edited(anny, betas, "weight=+10%, height=+5cm")
    torch.testing.assert_close(both, swapped)
    assert measure(anny, both, "height") - measure(anny, betas, "height") == pytest.approx(0.05, abs=3e-3)
    assert measure(anny, both, "weight") == pytest.approx(1.1 * measure(anny, betas, "weight"), rel=1e-3)


def test_single_directions(anny, betas):
    """Lengths, girths and absolute values come out; a plain number is the coefficient itself."""
    assert measure(anny, edited(anny, betas, "height=175cm"), "height") == pytest.approx(1.75, abs=1e-3)
    for text, name, change in (
        ("waist-girth=+4cm", "waist-girth", 0.04),
        ("lowerleg-length=-3cm", "lowerleg-length", -0.03),
        ("shoulder-width=+1cm", "shoulder-width", 0.01),
    ):
        other = edited(anny, betas, text)
        assert measure(anny, other, name) - measure(anny, betas, name) == pytest.approx(change, abs=2e-4)
        assert (other != betas).sum() == 1, "nothing else"
    other = edited(anny, betas, "belly=+1.5")
    assert float((other - betas)[anny.beta_names.index("belly")]) == pytest.approx(1.5)


def test_everything_that_is_measured_can_be_changed(anny):
    zero = torch.zeros(len(anny.beta_names))
    names = shape_names(anny)
    assert set(MEASURED) < set(names)
    assert names[:2] == ("height", "weight")
    assert not [name for name in names if name.startswith(("pc", "shoe"))]
    assert [name for name, _ in shape_table(anny)] == list(names)
    for name in names[2:]:
        if name in MEASURED:
            one = zero.index_fill(0, torch.tensor([anny.beta_names.index(name)]), 1.0)
            assert measure(anny, one, name) > measure(anny, zero, name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hieght=+5cm", "expected one of height, weight, upperarm-length"),
        ("height", "NAME=AMOUNT"),
        ("height=+5cm,", "NAME=AMOUNT"),
        ("height=+5,weight=+1%", "cm, m, %"),
        ("height=5%", "expected \\+ or -"),
        ("waist-girth=+1kg", "cm, m, %"),
        ("belly=+1cm", "plain number"),
        ("height=+1cm,height=+2cm", "given twice"),
        ("height=+60cm", "expected -.*cm to \\+.*cm"),
        ("weight=+90%", "expected -.*% to \\+.*%"),
        ("waist-girth=300cm", "expected [0-9.]+cm to [0-9.]+cm"),
        ("belly=+9", "from -3.3 to \\+3.3"),
    ],
)
def test_mistakes(anny, betas, text, words):
    with pytest.raises(SettingError, match=f"^shape: .*{words}"):
        edited(anny, betas, text)
