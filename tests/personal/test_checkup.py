"""Photos that do not go together are told of."""

from dataclasses import replace

import pytest
import torch

from liquidwarp.errors import SettingError
from liquidwarp.geometry.warp import resize
from liquidwarp.personal import checkup
from liquidwarp.personal.checkup import check_views


class ColourOfTheFace(torch.nn.Module):
    """Stands in for the face network: the mean colour is who it is."""

    def forward(self, image):
        return [image.mean((2, 3))[..., None, None]]


@pytest.fixture
def faces(person, monkeypatch):
    """The demo's views, as if both showed the face."""
    monkeypatch.setattr(checkup.FaceIdentityNet, "load", classmethod(lambda cls: ColourOfTheFace()))
    eyes = torch.tensor([[140.0, 40.0], [134.0, 40.0], [116.0, 40.0], [122.0, 40.0], [128.0, 52.0]])
    views = [replace(view, faces=True, landmarks=eyes) for view in person.views]
    return [replace(views[0], image=torch.full_like(views[0].image, 0.2)), views[1]]


def test_two_persons_are_refused_unless_allowed(faces):
    other = replace(faces[1], image=torch.full_like(faces[1].image, 0.9))
    with pytest.raises(SettingError, match=r"photos 1 and 2 .*different persons .*--allow-mixed"):
        check_views([faces[0], other])
    notes = check_views([faces[0], other], allow_mixed=True).notes
    assert any("different persons" in note for note in notes)


def test_one_person_passes(faces):
    same = replace(faces[1], image=torch.full_like(faces[1].image, 0.25))
    assert not any("different persons" in note for note in check_views([faces[0], same]).notes)


def test_faces_too_small_to_tell_are_not_compared(faces):
    far = [replace(view, landmarks=view.landmarks / 4) for view in faces]
    assert checkup.face_distances(far) == {}


def test_a_hidden_face_is_told(person):
    assert any("No photo shows the face" in note for note in check_views(person.views).notes)


def test_a_blurred_photo_is_told_and_not_learned_from(person):
    sharp, other = person.views
    size = sharp.size
    blurred = replace(other, image=resize(resize(other.image[None], 24, 24), size, size)[0].clamp(0, 1))
    found = check_views([sharp, blurred])
    assert found.blurred == {1}
    assert any("Photo 2 is blurred" in note for note in found.notes)
    assert check_views([sharp, other]).blurred == frozenset()
