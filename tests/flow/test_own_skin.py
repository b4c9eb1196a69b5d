"""Bare limbs of those who wear what others give, and what is between a lent garment and an own one."""

from dataclasses import replace

import pytest
import torch

from liquidwarp.flow.lending.gaps import without_gaps
from liquidwarp.flow.lending.given import along_limbs
from liquidwarp.flow.lending.own_skin import bare_of, with_own_skin
from liquidwarp.flow.lending.parts import GARMENT_PARTS, OWN_SKIN, vertex_parts
from liquidwarp.flow.mesh.extension import no_extension
from liquidwarp.flow.sources import prepare_sources

SIZE = (256, 192)
NOTHING = (2.0, 0.0)


@pytest.fixture(scope="module")
def sources(anny, demo_body):
    picture = torch.full((1, 3, *SIZE), 0.5)
    return prepare_sources(anny, no_extension(anny), demo_body, picture, torch.ones(1, 1, *SIZE))


def test_what_is_bare_in_all_photos():
    bare = bare_of([{"left_arm": (0.5, 2.0), "left_leg": (0.0, 2.0)}, {"left_arm": (0.7, 1.8), "left_leg": NOTHING}])
    assert bare["left_arm"] == bare["right_arm"] == (0.7, 1.8), "a limb that no photo shows is like its twin"
    assert bare["left_leg"][1] < bare["left_leg"][0]
    assert bare_of([]) == {}


def weights():
    """Somebody else gives the arms."""
    given = torch.zeros(2, len(GARMENT_PARTS))
    arms = torch.tensor([name.endswith("arm") for name in GARMENT_PARTS])
    given[0, ~arms], given[1, arms] = 1, 1
    return given


def test_what_both_show_bare_is_the_wearers(anny, parts, sources):
    bare = [{"left_arm": (0.5, 2.0), "right_arm": NOTHING}, {"left_arm": (0.2, 1.5), "right_arm": (0.0, 2.0)}]
    (own,), given = with_own_skin([parts], torch.tensor([0]), weights(), bare, sources)
    assert given[:, OWN_SKIN].tolist() == [1, 0]
    usual, along = vertex_parts(anny), along_limbs(anny)
    left = torch.tensor([name.startswith("left") and name.endswith("arm") for name in GARMENT_PARTS])[usual]
    skin = own.vertices == OWN_SKIN
    assert skin[left & (along > 0.6) & (along < 1.4)].all()
    assert not skin[~left | (along < 0.5) | (along > 1.5)].any()
    assert (own.part[parts.body] == OWN_SKIN).any()


def test_skin_that_the_wearers_photos_hardly_show_is_the_givers(parts, sources):
    bare = [{"left_arm": (0.0, 2.0)}] * 2
    hidden = sources.body.clone()
    hidden[..., 2] = 0
    (own,), _ = with_own_skin([parts], torch.tensor([0]), weights(), bare, replace(sources, body=hidden))
    assert not (own.vertices == OWN_SKIN).any()


def test_trousers_go_on_up_to_the_waist(anny, sources):
    """Hips that a shirt hid show what is as far below its hem; bare bellies go on down to the waist."""
    usual = vertex_parts(anny)
    hips, torso = (usual == GARMENT_PARTS.index(name) for name in ("hips", "torso"))
    height = anny.rest(torch.zeros(1, len(anny.beta_names))).vertices[0, :, 1]
    waist, seen = height[hips].min(), sources.body[0, 0, :, 2] > 0.2
    gap = (hips & (height < waist + 0.08)) | (torso & (height > waist - 0.04))
    belly = (torso & seen & (height > waist - 0.04) & (height < waist - 0.02))[None]
    filled, allowed = without_gaps(sources, (~gap).float()[None], hips, belly)
    of_hips, of_belly = gap & hips & seen, gap & torso & seen
    assert allowed[0, of_hips].mean() > 0.9
    assert allowed[0, of_belly].mean() > 0.9
    row, before = filled.body[0, 0, :, 1], sources.body[0, 0, :, 1]
    assert (row > before)[of_hips & (allowed[0] > 0)].float().mean() > 0.9, "from lower down"
    low, high = before[belly[0]].min(), before[belly[0]].max()
    assert ((row >= low - 1e-4) & (row <= high + 1e-4))[of_belly & (allowed[0] > 0)].float().mean() > 0.9
    same, still = without_gaps(sources, torch.ones(1, len(usual)), hips, belly)
    assert torch.equal(same.body, sources.body)
    assert bool((still == 1).all())
