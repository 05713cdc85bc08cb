import pytest
import torch

from training.nets.style.losses import (
    content_loss,
    gram,
    gram_loss,
    statistics_loss,
    total_variation,
)
from training.nets.style.statistics import statistics


def test_each_picture_has_its_own_content_loss() -> None:
    features = torch.stack([torch.ones(2, 3, 3), torch.zeros(2, 3, 3)])
    assert content_loss(features, torch.zeros_like(features)).tolist() == [1, 0]


def test_a_gram_matrix_is_of_mean_products() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 5.0]]]])
    assert gram(features).tolist() == [[[2.5, 6.5], [6.5, 17]]]


def test_a_gram_matrix_does_not_know_where_things_are_nor_how_large_the_picture_is() -> None:
    features = torch.rand(1, 4, 6, 6)
    torch.testing.assert_close(gram(features), gram(features.flip(-1).repeat(1, 1, 2, 3)))


def test_grams_are_float32_whatever_the_precision() -> None:
    features = torch.rand(1, 4, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        found = gram(features)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, gram(features))


def test_the_gram_loss_is_the_mean_squared_difference() -> None:
    features = torch.rand(2, 4, 6, 6)
    wanted = gram(features)
    assert gram_loss(features, wanted).tolist() == [0, 0]
    torch.testing.assert_close(gram_loss(features, wanted + 2), torch.tensor([4.0, 4.0]))


def test_the_statistics_loss_adds_what_means_and_deviations_lack() -> None:
    features = torch.rand(2, 4, 6, 6)
    mean, deviation = statistics(features)
    assert statistics_loss(features, mean, deviation).tolist() == [0, 0]
    found = statistics_loss(features, mean + 1, deviation - 2)
    torch.testing.assert_close(found, torch.tensor([5.0, 5.0]))


@pytest.mark.parametrize(("axis", "wanted"), [(2, 1.0), (3, 1.0)])
def test_variation_is_between_neighbours_both_ways(axis: int, wanted: float) -> None:
    stripes = torch.zeros(1, 3, 4, 4)
    stripes.index_fill_(axis, torch.tensor([1, 3]), 1.0)
    assert total_variation(stripes).tolist() == [wanted]
    assert total_variation(torch.ones(1, 3, 4, 4)).tolist() == [0]
