"""Long-tailed recognition with normalized norms for MMDetection; importing registers everything."""

import sys
import warnings

__version__ = "0.1.0"


def register() -> None:
    """Import every room, which registers what configs name."""
    # mmengine imports it when it reads a config of mmdet's; a user can change nothing about that.
    warnings.filterwarnings("ignore", "pkg_resources is deprecated", UserWarning)
    try:
        import mmdet_ltnorm.analysis
        import mmdet_ltnorm.calibration
        import mmdet_ltnorm.classification
        import mmdet_ltnorm.data
        import mmdet_ltnorm.deployment
        import mmdet_ltnorm.engine
        import mmdet_ltnorm.evaluation
        import mmdet_ltnorm.losses
        import mmdet_ltnorm.norms
        import mmdet_ltnorm.predictors
        import mmdet_ltnorm.surgery  # noqa: F401
    except ImportError as error:
        # The hosts are not dependencies that pip installs (setup.py says why).
        if (error.name or "").split(".")[0] not in ("torch", "mmengine", "mmcv", "mmdet"):
            raise
        raise ImportError(
            f"mmdet_ltnorm needs {error.name}, which is missing or broken: "
            "`python -m ltnorm doctor` prints the line that fixes it",
            name=error.name,
        ) from error


# Not while Python looks for what `python -m mmdet_ltnorm` is to run: --help needs none of it.
if sys.argv[:1] != ["-m"]:
    register()
    from mmdet_ltnorm.deployment import load as load
