"""Every detector by name: its parts, its stages, and the weights published for it."""

import pytest
import torch
import torchvision

from training.nets.architecture import ArchitectureError, belongs
from training.nets.architectures import build as build_classifier
from training.nets.detection.architectures import (
    ARCHITECTURES,
    GRAPH_IOU,
    GRAPH_SCORE,
    build,
    find,
    freeze_first,
)
from training.nets.stages import FrozenBatchNorm2d


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_detector_has_what_its_record_says(name: str) -> None:
    architecture = find(name)
    assert architecture.name == name
    with torch.device("meta"):
        detector = build(name, 5)
    assert detector.roi_heads.box_predictor.cls_score.out_features == 6
    assert detector.roi_heads.nms_thresh == GRAPH_IOU
    assert detector.roi_heads.score_thresh == GRAPH_SCORE
    for key, _ in detector.named_parameters():
        assert sum(belongs(key, group) for group in architecture.stages) == 1, key
    norms = [m for m in detector.backbone.body.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert norms
    assert all(isinstance(norm, FrozenBatchNorm2d) for norm in norms)
    if architecture.classifier is not None:
        with torch.device("meta"):
            classifier = build_classifier(architecture.classifier, 1000)
        body, whole = detector.backbone.body.state_dict(), classifier.state_dict()
        assert {key: whole[key].shape for key in body} == {k: v.shape for k, v in body.items()}


@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if ARCHITECTURES[name].published])
def test_published_weights_exist_and_are_of_as_many_classes(name: str) -> None:
    weights = torchvision.models.get_weight(f"{find(name).published}.COCO_V1")
    with torch.device("meta"):
        detector = build(name, len(weights.meta["categories"]) - 1)
    parameters = sum(parameter.numel() for parameter in detector.parameters())
    # torchvision counts what its own training does not freeze.
    assert parameters == pytest.approx(weights.meta["num_params"], rel=0.01)


def test_there_is_no_other_detector() -> None:
    with pytest.raises(ArchitectureError, match="no detector yolo; there are efficientnet_lite0"):
        build("yolo", 3)


@pytest.mark.parametrize("stages", [-1, 6])
def test_there_are_only_so_many_stages_to_freeze(stages: int) -> None:
    name = "resnet50-fpn"
    with torch.device("meta"):
        detector = build(name, 2)
    with pytest.raises(ArchitectureError, match=f"has 5 stages to freeze, not {stages}"):
        freeze_first(detector, find(name), stages)
    freeze_first(detector, find(name), 5)
    learning = {key for key, p in detector.named_parameters() if p.requires_grad}
    assert learning
    assert all(belongs(key, find(name).stages[-1]) for key in learning)
