"""lvis_seesaw_2x with the equalization loss in the place of Seesaw."""

_base_ = "./lvis_seesaw_2x.py"

model = dict(
    roi_head=dict(
        bbox_head=dict(
            loss_cls=dict(
                _delete_=True,
                type="EqualizationLoss",
                num_classes=_base_.model.roi_head.bbox_head.num_classes,
                ann_file=_base_.train_dataloader.dataset.data_root
                + _base_.train_dataloader.dataset.ann_file,
                threshold=1.1e-3,  # the authors' for LVIS v1; their paper has 1.76e-3 for v0.5
            )
        )
    )
)
