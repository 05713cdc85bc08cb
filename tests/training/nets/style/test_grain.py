import torch

from training.nets.style.grain import DEVIATION, Grain


def test_it_is_as_faint_as_it_says_and_changes_no_brightness() -> None:
    grain = Grain()(torch.zeros(1, 3, 512, 512))
    assert abs(float(grain.std()) / DEVIATION - 1) < 0.05
    assert abs(float(grain.mean())) < 0.1 * DEVIATION


def test_it_is_grey_and_the_same_for_every_picture() -> None:
    grain = Grain()(torch.zeros(2, 3, 40, 90))
    assert grain[:, :1].expand_as(grain).equal(grain)
    assert grain[0].equal(grain[1])
    assert Grain()(torch.zeros(2, 3, 40, 90)).equal(grain)


def test_it_does_not_repeat_within_a_picture() -> None:
    rows = Grain()(torch.zeros(1, 3, 1, 4000))[0, 0, 0].unfold(0, 100, 1)
    assert len(torch.unique(rows, dim=0)) == len(rows)


def test_strength_scales_it_picture_by_picture() -> None:
    pixels = torch.rand(3, 3, 16, 24)
    grain = Grain()
    found = grain(pixels, torch.tensor([0.0, 0.5, 1.0]))
    assert found[0].equal(pixels[0])
    assert torch.allclose(found[1], (pixels[1] + grain(pixels)[1]) / 2, atol=1e-6)
    assert found[2].equal(grain(pixels)[2])


def test_no_checkpoint_holds_it() -> None:
    assert not Grain().state_dict()
