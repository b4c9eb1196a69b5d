"""Generators come back from disk as they were, and at once."""

import pytest
import torch
from torch import nn

from liquidwarp.errors import WeightsNotFoundError
from liquidwarp.gan.pretrained import load_generator, save_generator


def test_a_generator_comes_back(make_generator, tmp_path):
    generator = make_generator()
    loaded = load_generator(save_generator(tmp_path, generator))
    assert loaded.config == generator.config
    for name, tensor in loaded.state_dict().items():
        torch.testing.assert_close(tensor, generator.state_dict()[name].half().float(), rtol=0, atol=0)


def test_loading_draws_no_random_weights(make_generator, tmp_path, monkeypatch):
    """On the device "meta" torch takes seconds for them, in every command that renders with a network."""
    folder = save_generator(tmp_path, make_generator())
    monkeypatch.setattr(nn.init, "kaiming_normal_", lambda *_, **__: pytest.fail("weights were drawn"))
    assert not any(parameter.is_meta for parameter in load_generator(folder).parameters())


def test_a_run_is_not_its_weights(make_generator, tmp_path):
    save_generator(tmp_path / "run" / "weights", make_generator())
    with pytest.raises(WeightsNotFoundError, match=r"run: expected a folder with .*such as runs/mine/weights"):
        load_generator(tmp_path / "run")
    load_generator(tmp_path / "run" / "weights")
