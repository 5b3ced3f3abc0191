"""Services that a run logs to, as mmengine's visualizer backends have them."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.visualization.vis_backend import BaseVisBackend


@contextmanager
def tracker_errors_in_words() -> Iterator[None]:
    """Name the tracker whose error ends a run, and what to do.

    Raises:
        ConnectionError: a backend of the visualizer could not start, or could not log.
    """
    try:
        yield
    except Exception as error:  # each tracker raises its own
        frames = traceback.walk_tb(error.__traceback__)
        owners = [frame.f_locals.get("self") for frame, _ in frames]
        names = [type(owner).__name__ for owner in owners if isinstance(owner, BaseVisBackend)]
        if not names:
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConnectionError(
            f"the tracker {names[0]} failed: {reason}. Fix it, or leave it out of the config's "
            "visualizer.vis_backends; --resume goes on from the last checkpoint. Weights & Biases "
            "needs no network with WANDB_MODE=offline, MLflow none with "
            "tracking_uri='sqlite:///mlflow.db'"
        ) from error
