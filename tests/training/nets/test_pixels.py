import torch

from training.nets.pixels import Pixels


def test_one_mean_and_deviation_for_all_channels() -> None:
    images = torch.tensor([[[[0, 127, 255]]]], dtype=torch.uint8)
    normalised = Pixels(127.0, 128.0)(images)
    assert normalised.shape == (1, 3, 1, 1)
    assert normalised.flatten().tolist() == [-127 / 128, 0, 1]


def test_a_mean_and_deviation_a_channel() -> None:
    images = torch.full((1, 2, 2, 3), 100, dtype=torch.uint8)
    normalised = Pixels((100.0, 90.0, 80.0), (1.0, 10.0, 20.0))(images)
    assert normalised[0, :, 0, 0].tolist() == [0, 1, 1]
