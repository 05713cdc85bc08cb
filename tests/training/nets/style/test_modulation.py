import torch

from training.nets.style.modulation import Modulation, modulate


def test_nothing_is_changed_at_first() -> None:
    told = Modulation(6, {"a": 2, "b": 3}, hidden=4)(torch.rand(5, 6))
    features = torch.rand(5, 3, 2, 2)
    assert modulate(features, told["b"]).equal(features)


def test_every_layer_is_told_its_own() -> None:
    modulation = Modulation(6, {"a": 2, "b": 3}, hidden=4)
    with torch.no_grad():
        modulation.told.bias.copy_(torch.arange(10.0))
    told = modulation(torch.zeros(1, 6))
    assert [part.flatten().tolist() for part in told["a"]] == [[0, 1], [2, 3]]
    assert [part.flatten().tolist() for part in told["b"]] == [[4, 5, 6], [7, 8, 9]]
    changed = modulate(torch.ones(1, 2, 1, 1), told["a"])
    assert changed.flatten().tolist() == [3, 5]
