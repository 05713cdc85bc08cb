import torch

from training.nets.style.statistics import adain, statistics, style_code


def test_statistics_are_means_and_deviations_of_channels() -> None:
    features = torch.tensor([[[[1.0, 3.0], [1.0, 3.0]], [[5.0, 5.0], [5.0, 5.0]]]])
    mean, deviation = statistics(features)
    assert mean.tolist() == [[2, 5]]
    torch.testing.assert_close(deviation, torch.tensor([[1.0, 0.0]]), atol=4e-3, rtol=0)
    assert deviation[0, 1] > 0  # something to divide by


def test_statistics_are_float32_whatever_the_precision() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        mean, deviation = statistics(torch.rand(1, 4, 8, 8).bfloat16())
    assert mean.dtype == deviation.dtype == torch.float32


def test_features_take_the_statistics_asked_for_and_keep_their_order() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, 16, 16, generator=generator)
    mean, deviation = torch.tensor([[1.0, -2, 3]] * 2), torch.tensor([[0.5, 2, 1]] * 2)
    changed = adain(features, mean, deviation)
    found = statistics(changed)
    torch.testing.assert_close(found[0], mean, atol=1e-4, rtol=0)
    torch.testing.assert_close(found[1], deviation, atol=1e-4, rtol=0)
    assert changed.flatten(2).argsort().equal(features.flatten(2).argsort())


def test_its_own_statistics_change_nothing() -> None:
    features = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(adain(features, *statistics(features)), features)


def test_a_code_holds_the_statistics_of_one_level_after_the_other() -> None:
    levels = [torch.rand(2, 3, 8, 8), torch.rand(2, 5, 4, 4)]
    code = style_code(levels)
    assert code.shape == (2, 16)
    mean, deviation = statistics(levels[1])
    assert code[:, 6:11].equal(mean)
    assert code[:, 11:].equal(deviation)
