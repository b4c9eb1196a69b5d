"""A personalised person comes back from its file, or is refused with a reason."""

import errno
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from liquidwarp import weights
from liquidwarp.cache import Cache
from liquidwarp.errors import MediaError, SettingError, WeightsCorruptError
from liquidwarp.flow.draw import seen_weight
from liquidwarp.gan.pretrained import load_generator, save_generator
from liquidwarp.mixture import as_known
from liquidwarp.personal.person import network_digest, personalise_banks, with_tuning
from liquidwarp.personal.person_file import check_person, load_person
from liquidwarp.renderers import drawn_flow
from liquidwarp.synthesizer import prepare_bank, render_frames
from liquidwarp.weights import load_tensors

from .conftest import CONFIG, SYNTHESIS


@pytest.fixture(scope="module")
def network_folder(tmp_path_factory, plain_network):
    return save_generator(tmp_path_factory.mktemp("network"), plain_network)


@pytest.fixture(scope="module")
def bank(demo_photos, anny, network_folder):
    return prepare_bank(demo_photos, anny, SYNTHESIS, load_generator(network_folder), np.zeros((9, 9, 3), np.uint8))


@pytest.fixture(scope="module")
def alice(bank, person, network_folder):
    """Personalised with the lessons that other tests prepared as well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("liquidwarp.personal.person.prepare_material", lambda *_: person)
        generator = bank.renderer.generator
        (alice,) = personalise_banks([bank], generator, str(network_folder), SYNTHESIS, CONFIG, Cache(enabled=False))
    return alice


def test_the_person_has_a_network_of_its_own(alice, bank):
    assert alice.tuning.score < 1
    assert alice.fingerprint() != bank.fingerprint()
    assert network_digest(alice.renderer.generator) != network_digest(bank.renderer.generator)


def test_a_file_gives_the_same_person(alice, anny, tmp_path):
    path = alice.save(tmp_path / "alice.liquid")
    again = load_person(path, anny, replace(SYNTHESIS, size=512))
    assert again.images.shape == alice.images.shape
    assert (again.name, again.notes) == (alice.name, alice.notes)
    assert again.renderer.keeps_photos == alice.renderer.keeps_photos
    np.testing.assert_array_equal(again.picture, alice.picture)
    np.testing.assert_array_equal(again.background, alice.background)
    for name, weight in alice.renderer.generator.state_dict().items():
        assert torch.equal(again.renderer.generator.state_dict()[name], weight)
    (first,), (second,) = (list(render_frames(who, who.body, SYNTHESIS)) for who in (alice, again))
    assert np.abs(first.astype(int) - second).mean() < 0.3, "crops are kept with 8 bits"


def test_the_change_is_small(alice, tmp_path):
    whole = sum(weight.numel() * 2 for weight in alice.renderer.generator.state_dict().values())
    assert alice.tuning.change.size < 0.8 * whole


def test_other_suffixes_are_refused(alice, tmp_path):
    with pytest.raises(SettingError, match="liquid"):
        alice.save(tmp_path / "alice.pth")


def test_a_file_of_another_version_is_refused(alice, anny, tmp_path):
    path = alice.save(tmp_path / "alice.liquid")
    tensors, metadata = load_tensors(path)
    save_file(tensors, path, {**metadata, "format": "liquidwarp-person-0"})
    with pytest.raises(WeightsCorruptError, match="another version"):
        load_person(path, anny, SYNTHESIS)


def test_a_changed_file_is_refused(alice, tmp_path):
    path = alice.save(tmp_path / "alice.liquid")
    tensors, metadata = load_tensors(path)
    tensors["bodies/scale"] = tensors["bodies/scale"] * 2
    save_file(tensors, path, metadata)
    with pytest.raises(WeightsCorruptError, match="differs from what was written"):
        check_person(path)


def test_a_file_that_is_cut_off_is_refused(alice, tmp_path):
    path = alice.save(tmp_path / "alice.liquid")
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(WeightsCorruptError):
        check_person(path)


def test_a_file_of_another_network_is_refused(alice, anny, network_folder, plain_network, tmp_path):
    path = alice.save(tmp_path / "alice.liquid")
    other = {name: weight * 1.1 for name, weight in plain_network.state_dict().items()}
    try:
        save_generator(network_folder, plain_network, state=other)
        with pytest.raises(WeightsCorruptError, match="other weights"):
            load_person(path, anny, SYNTHESIS)
    finally:
        save_generator(network_folder, plain_network)


def test_a_full_disk_leaves_nothing_behind(alice, tmp_path, monkeypatch):
    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(weights, "save_file", full)
    with pytest.raises(MediaError, match="disk is full"):
        alice.save(tmp_path / "alice.liquid")
    assert list(tmp_path.iterdir()) == []


def test_a_finished_personalisation_is_found_again(bank, person, network_folder, tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr("liquidwarp.personal.person.prepare_material", lambda *_: calls.append(1) or person)
    generator, cache = bank.renderer.generator, Cache(tmp_path)
    config = replace(CONFIG, steps=2)
    first, again = (
        personalise_banks([bank], generator, str(network_folder), SYNTHESIS, config, cache)[0] for _ in range(2)
    )
    assert len(calls) == 1
    assert again.fingerprint() == first.fingerprint()
    assert not list(tmp_path.glob("*progress*"))


def test_a_person_from_a_file_has_nothing_to_learn_from(bank, network_folder):
    with pytest.raises(SettingError, match="no photos to learn from"):
        personalise_banks(
            [replace(bank, photos=None)],
            bank.renderer.generator,
            str(network_folder),
            SYNTHESIS,
            CONFIG,
            Cache(enabled=False),
        )


def test_a_tuned_network_s_colours_are_trusted(alice):
    """It knows the person; of the colours half are the photos'."""
    own = replace(alice.renderer, keeps_photos=False, knows_person=True)
    body, size = alice.bodies[slice(0, 1)], (256, 256)
    alone, outline = replace(own, knows_person=False).render(body, size)
    flow = drawn_flow(own.sources, own.warp, body, size)
    drawn, expected = own.render(body, size), as_known(flow, alone, outline, 2)
    assert all(torch.equal(a, b) for a, b in zip(drawn, expected, strict=True))
    sure = (seen_weight(flow.visible.amax(1, keepdim=True)) > 0.99) & (flow.texture_matte > 0.5) & (outline > 0.99)
    assert int(sure.sum()) > 1000
    inside = sure.expand(-1, 3, -1, -1)
    torch.testing.assert_close(drawn[0][inside], ((alone + flow.texture) / 2)[inside], atol=0.01, rtol=0)


def test_nothing_is_kept_of_the_photos_if_that_is_asked_for(bank, alice):
    plain = replace(bank, renderer=replace(bank.renderer, keeps_photos=False))
    tuned = with_tuning(plain, replace(alice.tuning, keeps_photos=False), bank.renderer.generator)
    assert not tuned.renderer.keeps_photos
    assert not tuned.renderer.knows_person
    tuned = with_tuning(bank, replace(alice.tuning, keeps_photos=False), bank.renderer.generator)
    assert tuned.renderer.knows_person
