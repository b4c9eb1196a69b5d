"""What personalisation changes is kept small and put back exactly."""

import copy

import pytest
import torch

from liquidwarp.errors import WeightsCorruptError
from liquidwarp.personal.changes import (
    Change,
    changed_copy,
    difference,
    low_rank_factors,
    merge_low_rank,
    prepare_tuned,
)


def nudged(network, names, rank=None):
    """A copy with some weights changed, by matrices of a rank if one is given."""
    other = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(0)
    for name, weight in other.state_dict().items():
        if name.startswith(names):
            flat = weight.flatten(1) if weight.dim() > 1 else weight[None]
            step = torch.randn(flat.shape, generator=generator)
            if rank is not None and weight.dim() > 1:
                down = torch.randn(rank, flat.shape[1], generator=generator)
                step = torch.randn(flat.shape[0], rank, generator=generator) @ down
            weight += 0.01 * step.view(weight.shape)
    return other


def test_a_change_comes_back(plain_network):
    tuned = nudged(plain_network, "transfer_net.up_full")
    change = difference(plain_network.state_dict(), tuned.state_dict())
    assert all(name.startswith("transfer_net.up_full") for name in change.tensors)
    again = changed_copy(plain_network, change).state_dict()
    for name, weight in tuned.state_dict().items():
        torch.testing.assert_close(again[name], weight, atol=2e-5, rtol=0)


def test_a_change_of_low_rank_is_kept_small_without_loss(plain_network):
    names = "transfer_net.blocks"
    tuned = nudged(plain_network, names, rank=2)
    whole = difference(plain_network.state_dict(), tuned.state_dict())
    small = difference(plain_network.state_dict(), tuned.state_dict(), rank=2)
    assert small.size < 0.2 * whole.size
    again = changed_copy(plain_network, small).state_dict()
    for name, weight in tuned.state_dict().items():
        torch.testing.assert_close(again[name], weight, atol=2e-4, rtol=0)


@pytest.mark.parametrize("rank", [0, 2])
def test_half_of_a_change_is_halfway(plain_network, rank):
    tuned = nudged(plain_network, ("transfer_net.blocks", "transfer_net.heads"), rank=2)
    half = difference(plain_network.state_dict(), tuned.state_dict(), rank).scaled(0.5)
    assert any("/" in name for name in half.tensors) == (rank > 0)
    between, after = changed_copy(plain_network, half).state_dict(), tuned.state_dict()
    for name, weight in plain_network.state_dict().items():
        torch.testing.assert_close(between[name], (weight + after[name]) / 2, atol=2e-4, rtol=0)


def test_nothing_changed_is_nothing_kept(plain_network):
    assert difference(plain_network.state_dict(), plain_network.state_dict()).tensors == {}


def test_a_change_of_another_network_is_refused(plain_network):
    with pytest.raises(WeightsCorruptError, match="does not fit"):
        changed_copy(plain_network, Change({"transfer_net.nowhere": torch.zeros(3).half()}))
    with pytest.raises(WeightsCorruptError, match="does not fit"):
        changed_copy(plain_network, Change({"transfer_net.heads.bias": torch.zeros(3).half()}))


@pytest.mark.parametrize(
    ("tuned", "expected"),
    [
        ("transfer", ("transfer_net.",)),
        ("decoder", ("transfer_net.up_", "transfer_net.heads.")),
        ("all", ("transfer_net.", "source_net.encoder.", "source_net.blocks.")),
    ],
)
def test_only_what_is_tuned_may_change(plain_network, tuned, expected):
    network = copy.deepcopy(plain_network)
    parameters = prepare_tuned(network, tuned, rank=4)
    free = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert len(parameters) == len(free)
    assert free == {name for name, _ in network.named_parameters() if name.startswith(expected)}


def test_low_rank_additions_begin_with_nothing_and_become_plain_weights(plain_network):
    network = copy.deepcopy(plain_network)
    parameters = prepare_tuned(network, "low-rank", rank=2)
    merged = merge_low_rank(network)
    for name, weight in plain_network.state_dict().items():
        torch.testing.assert_close(merged[name], weight)
    assert sum(p.numel() for p in parameters) < 0.5 * sum(p.numel() for p in plain_network.transfer_net.parameters())
    with torch.no_grad():
        for parameter in parameters:
            parameter += 0.01
    moved = merge_low_rank(network)
    assert set(moved) == set(merged)
    change = difference(plain_network.state_dict(), moved, rank=2)
    factors = [name for name in change.tensors if name.endswith("/up")]
    assert factors
    assert all(change.tensors[name].shape[1] == 2 for name in factors)


def test_known_factors_give_the_same_change_as_the_search_for_them(plain_network):
    network = copy.deepcopy(plain_network)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in prepare_tuned(network, "low-rank", rank=2):
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    moved, factors = merge_low_rank(network), low_rank_factors(network)
    assert all(name in moved for name in factors)
    searched, known = (difference(plain_network.state_dict(), moved, 2, each) for each in (None, factors))
    assert searched.tensors.keys() == known.tensors.keys()
    assert any(name.removesuffix("/up") in factors for name in known.tensors if name.endswith("/up"))
    for name, values in searched.dense().items():
        torch.testing.assert_close(known.dense()[name], values, atol=2e-4, rtol=0)
