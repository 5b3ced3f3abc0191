"""Faster and Mask R-CNN as ONNX graphs that take one raw image of a fixed size."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mmdet_ltnorm.data.wrapped import dataset_configs

# The parts that the graph is written for; their subclasses compute something else.
PARTS = {
    "rpn_head": "RPNHead",
    "roi_head": "StandardRoIHead",
    "roi_head.bbox_roi_extractor": "SingleRoIExtractor",
    "roi_head.mask_roi_extractor": "SingleRoIExtractor",
    "roi_head.mask_head": "FCNMaskHead",
}
MMDEPLOY = (
    "write a plain checkpoint (OUT.pth) and give it and its config to MMDeploy's tools/deploy.py"
)


class BestOfOverlapping(torch.autograd.Function):
    """Non-maximum suppression within rows of boxes: mmcv's in torch, ONNX's own in a graph."""

    @staticmethod
    def forward(ctx: Any, boxes: Tensor, scores: Tensor, iou: float, lowest: float) -> Tensor:
        """Return row and column (n, 2) of the boxes (R, N, 4) that are kept, above a score."""
        from mmcv.ops import nms

        kept = []
        for row in range(len(boxes)):
            above = (scores[row] > lowest).nonzero()[:, 0]
            best = above[nms(boxes[row, above], scores[row, above], iou)[1]]
            kept.append(torch.stack([torch.full_like(best, row), best], 1))
        return torch.cat(kept)

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, iou: float, lowest: float) -> Any:
        """Write ONNX's operator. It counts rows, classes, which are one here, and boxes."""
        all_of_them, one = _constant(g, 2**31 - 1), _constant(g, 1)
        scores = g.op("Unsqueeze", scores, one)
        limits = _constant(g, iou), _constant(g, lowest)
        found = g.op("NonMaxSuppression", boxes, scores, all_of_them, *limits)
        return g.op("Gather", found, g.op("Constant", value_t=torch.tensor([0, 2])), axis_i=1)


class Pooled(torch.autograd.Function):
    """RoIAlign of one image's features: mmcv's in torch, ONNX's own in a graph.

    mmcv writes ONNX's operator of opset 10, which is half a pixel off from opset 16 on.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, boxes: Tensor, layer: Any) -> Tensor:
        """Pool features (1, C, H, W) in boxes (n, 4)."""
        return layer(features, _rois(boxes))

    @staticmethod
    def symbolic(g: Any, features: Any, boxes: Any, layer: Any) -> Any:
        """Write ONNX's operator. It takes the number of the image, 0, for each box."""
        count = g.op("Gather", g.op("Shape", boxes), _constant(g, 0))
        return g.op(
            "RoiAlign",
            features,
            boxes,
            g.op("Expand", _constant(g, 0), count),
            output_height_i=layer.output_size[0],
            output_width_i=layer.output_size[1],
            sampling_ratio_i=layer.sampling_ratio,
            spatial_scale_f=layer.spatial_scale,
            mode_s=layer.pool_mode,
            coordinate_transformation_mode_s="half_pixel" if layer.aligned else "output_half_pixel",
        )


class RawImageDetector(nn.Module):
    """A detector with all that comes before and after it: a raw image to boxes.

    Raises:
        ValueError: it is no Faster or Mask R-CNN as mmdet has them, or suppresses boxes otherwise.
    """

    def __init__(self, model: Any, size: Sequence[int]) -> None:
        super().__init__()
        _check_parts(model)
        self.model = model
        self.size = tuple(size)
        self.example = torch.zeros(1, 3, *size)
        self.outputs = ["boxes", "scores", "labels", *["masks"] * model.with_mask]
        self.free = {name: {0: "detections"} for name in self.outputs}

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return boxes (n, 4), scores, labels, and masks (n, 28, 28) in the boxes, best first."""
        host, head = self.model.data_preprocessor, self.model.roi_head
        if host._channel_conversion:
            images = images[:, [2, 1, 0]]
        if host._enable_normalize:
            images = (images - host.mean) / host.std
        features = self.model.extract_feat(images)
        proposals = self._proposals(features)
        scores, boxes = self._of_classes(features, proposals)
        kept = BestOfOverlapping.apply(
            boxes.transpose(0, 1),
            scores.t(),
            head.test_cfg.nms.iou_threshold,
            head.test_cfg.score_thr,
        )
        labels, rows = kept.unbind(1)
        scores, boxes = scores[rows, labels], boxes[rows, labels]
        best = scores.sort(descending=True)[1][: head.test_cfg.max_per_img]
        found = boxes[best], scores[best], labels[best]
        return (*found, self._masks(features, found[0], found[2])) if head.with_mask else found

    def _proposals(self, features: Sequence[Tensor]) -> Tensor:
        head, settings = self.model.rpn_head, self.model.rpn_head.test_cfg
        sizes = [level.shape[-2:] for level in features]
        anchors = head.prior_generator.grid_priors(sizes, device=features[0].device)
        boxes, scores = [], []
        for priors, logits, deltas in zip(anchors, *head(features), strict=True):
            logits = logits[0].permute(1, 2, 0).reshape(-1, head.cls_out_channels)
            deltas = deltas[0].permute(1, 2, 0).reshape(-1, 4)
            score = logits.sigmoid()[:, 0] if head.use_sigmoid_cls else logits.softmax(1)[:, 0]
            if 0 < settings.nms_pre < len(priors):
                score, best = score.topk(settings.nms_pre)
                priors, deltas = priors[best], deltas[best]
            found = self._decoded(head.bbox_coder, priors, deltas)
            large = (found[:, 2:] - found[:, :2] > settings.get("min_bbox_size", -1)).all(1)
            score = torch.where(large, score, -1)
            kept = BestOfOverlapping.apply(
                found[None], score[None], settings.nms.iou_threshold, 0.0
            )
            boxes.append(found[kept[:, 1]])
            scores.append(score[kept[:, 1]])
        best = torch.cat(scores).sort(descending=True)[1][: settings.max_per_img]
        return torch.cat(boxes)[best]

    def _of_classes(self, features: Sequence[Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores (n, classes) and the moved boxes (n, classes, 4) of proposals."""
        head = self.model.roi_head.bbox_head
        logits, deltas = head(_pooled(self.model.roi_head.bbox_roi_extractor, features, boxes))
        custom = head.custom_cls_channels
        scores = head.loss_cls.get_activation(logits) if custom else logits.softmax(1)
        deltas = deltas.unflatten(1, (-1, 4))
        moved = self._decoded(head.bbox_coder, boxes[:, None].expand_as(deltas), deltas)
        return scores[:, :-1], moved.expand(-1, head.num_classes, -1)

    def _masks(self, features: Sequence[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        head = self.model.roi_head
        masks = head.mask_head(_pooled(head.mask_roi_extractor, features, boxes)).sigmoid()
        rows = torch.arange(len(labels))
        return masks[:, 0] if masks.shape[1] == 1 else masks[rows, labels]

    def _decoded(self, coder: Any, boxes: Tensor, deltas: Tensor) -> Tensor:
        found = coder.decode(boxes.reshape(-1, 4), deltas.reshape(-1, 4)).clamp(min=0)
        return torch.minimum(found, found.new_tensor(2 * self.size[::-1])).reshape(deltas.shape)


def input_size(cfg: Any, model: Any) -> list[int]:
    """Return height and width of the image that the test pipeline's ``Resize`` fits images into.

    Raises:
        ValueError: the pipeline has no such step.
    """
    steps = next(dataset_configs(cfg.test_dataloader.dataset))["pipeline"]
    scales = [step["scale"] for step in steps if step["type"] == "Resize" and "scale" in step]
    if len(scales) != 1:
        raise ValueError(
            "an ONNX detector takes images of one size, that of Resize(scale=(width, height)) in "
            f"the test pipeline, which has {len(scales)} such steps"
        )
    divisor = getattr(model.data_preprocessor, "pad_size_divisor", 1)
    return [-(-side // divisor) * divisor for side in reversed(scales[0])]


def detector_contract(graph: RawImageDetector) -> dict[str, str]:
    """Return what an image goes through before the graph, as texts for a file's metadata."""
    host = graph.model.data_preprocessor
    mean = host.mean.flatten().tolist() if host._enable_normalize else [0, 0, 0]
    return {
        "preprocessing": "resize, ratio kept, to fit input_size; pad right and below by pad_value",
        "pad_value": json.dumps(mean[::-1] if host._channel_conversion else mean),
        "input_size": json.dumps(graph.size),
        "dtype": "float32",
        "layout": "NCHW",
        "channel_order": "BGR",
        "range": "0 to 255",
    }


def detection_error(model: Any, file: Path, size: Sequence[int]) -> float:
    """Return by how much scores and boxes of a file differ from the model's on a random image.

    Boxes count relative to the image. The limit of scores is left out on both sides, so that there
    are detections of any model. Where two overlaps or two scores are equal to rounding, the choice
    between them is open: the worst fiftieth of the detections does not count.
    """
    import onnx
    import onnxruntime
    from mmdet.structures import DetDataSample

    image = np.random.default_rng(0).integers(0, 256, (3, *size), dtype=np.uint8)
    sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0)))
    settings = model.roi_head.test_cfg
    limit, settings.score_thr = settings.score_thr, -1.0
    try:
        batch = dict(inputs=[torch.from_numpy(image)], data_samples=[sample])
        with torch.no_grad():
            expected = model.test_step(batch)[0].pred_instances
    finally:
        settings.score_thr = limit
    unlimited = onnx.load(file)
    del [n for n in unlimited.graph.node if n.op_type == "NonMaxSuppression"][-1].input[4]
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3  # it warns of the limit that nothing reads now
    session = onnxruntime.InferenceSession(
        unlimited.SerializeToString(), quiet, providers=["CPUExecutionProvider"]
    )
    images = {"images": image[None].astype(np.float32)}
    boxes, scores, labels = session.run(["boxes", "scores", "labels"], images)
    apart = np.abs(boxes - expected.bboxes.numpy()[:, None]).max(2) / max(size)
    apart = np.maximum(apart, np.abs(scores - expected.scores.numpy()[:, None]))
    apart[labels != expected.labels.numpy()[:, None]] = np.inf
    return float(np.quantile(apart.min(1), 0.98, method="lower"))


def _check_parts(model: Any) -> None:
    for name, expected in PARTS.items():
        owner, _, last = name.rpartition(".")
        part = getattr(model.get_submodule(owner), last, None)
        if part is None and name.startswith("roi_head.mask"):
            continue
        if type(part).__name__ != expected:
            has = "none" if part is None else type(part).__name__
            raise ValueError(
                f"a detector's ONNX graph is written for Faster and Mask R-CNN, whose {name} is "
                f"{expected}, and {type(model).__name__} has {has}: {MMDEPLOY}"
            )
    if model.roi_head.with_shared_head:
        raise ValueError(f"a detector's ONNX graph has no place for a shared_head: {MMDEPLOY}")
    for part in model.rpn_head, model.roi_head:
        suppression = dict(part.test_cfg.nms)
        if suppression.pop("type", "nms") != "nms" or set(suppression) != {"iou_threshold"}:
            raise ValueError(
                "a detector's ONNX graph is written for nms=dict(type='nms', iou_threshold=...), "
                f"and {type(part).__name__} has {dict(part.test_cfg.nms)}: {MMDEPLOY}"
            )


def _pooled(extractor: Any, features: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """Pool each box in the level of its size, as mmdet does, with no branch on the data."""
    levels = extractor.map_roi_levels(_rois(boxes), extractor.num_inputs)
    pooled, order = [], []
    for level, layer in enumerate(extractor.roi_layers):
        there = (levels == level).nonzero()[:, 0]
        pooled.append(Pooled.apply(features[level], boxes[there], layer))
        order.append(there)
    return torch.cat(pooled)[torch.cat(order).argsort()]


def _rois(boxes: Tensor) -> Tensor:
    return torch.cat([boxes.new_zeros(len(boxes), 1), boxes], 1)


def _constant(g: Any, value: float) -> Any:
    return g.op("Constant", value_t=torch.tensor([value]))
