"""The label and the prediction of an image."""

from typing import Any

import torch
from mmengine.structures import BaseDataElement


class ClsDataSample(BaseDataElement):
    """`gt_label` and `pred_label`, int64 of shape (1,), and `pred_score` of shape (C,)."""

    gt_label: torch.Tensor
    pred_label: torch.Tensor
    pred_score: torch.Tensor

    def to(self, *args: Any, **kwargs: Any) -> "ClsDataSample":
        """Move the tensors; return the same object if there is nothing to move, as a tensor does.

        The data preprocessor calls it for each sample of a batch. mmengine's own way, a deep copy,
        takes half as long as the whole pipeline of an image of 32x32 pixels.
        """
        moved = {key: value.to(*args, **kwargs) for key, value in self.items()}
        if all(moved[key] is value for key, value in self.items()):
            return self
        return self.replaced(**moved)

    def replaced(self, **tensors: torch.Tensor) -> "ClsDataSample":
        """Return a copy of the sample with these tensors replaced."""
        result = type(self)(**dict(self.items()) | tensors)
        for key, value in self.metainfo_items():
            result.set_field(value, key, field_type="metainfo")
        return result

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the label as a number.

        A worker of a data loader sends every tensor by a file descriptor of its own. A batch of 512
        labels would need 512 of them, and 1,024 is a usual limit for a process.
        """
        state = dict(self.__dict__)
        label = state.get("gt_label")
        if label is not None and label.device.type == "cpu":
            state["gt_label"] = label.tolist()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if isinstance(state.get("gt_label"), list):
            state["gt_label"] = torch.tensor(state["gt_label"])
        self.__dict__.update(state)
