"""Stage two of cRT on ImageNet-LT: features fixed, a new classifier, 4 images of a class at a time.

10 epochs (Kang et al., "Decoupling"), lr and batch of stage one. All modules are in train mode, so
running statistics follow the new sampling, as in the authors' code; see SecondStageClassifier.
"""

_base_ = ["./parts/runtime.py", "./parts/imagenet_lt.py"]

max_epochs = 10

model = dict(type="SecondStageClassifier")
train_dataloader = dict(sampler=dict(_delete_=True, type="ClassAwareSampler", num_sample_class=4))
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = dict(T_max=max_epochs)
