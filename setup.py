"""The package's metadata; versions that were tested together are in constraints.txt."""

import platform
import re
import zlib
from pathlib import Path

from setuptools import Extension, find_packages, setup

ROOT = Path(__file__).parent
CPU = ROOT / "mmdet_ltnorm" / "norms" / "backends" / "cpu"
INIT = (ROOT / "mmdet_ltnorm" / "__init__.py").read_text(encoding="utf-8")
VERSION = re.search(r'^__version__ = "(.+)"$', INIT, re.MULTILINE)

# C++ code of the norms, once for each instruction set that pays (wider ones than AVX2 do not).
# Optional: where it does not compile, the package installs and does without. OpenMP is compiled
# for, but not linked: its runtime is the one that torch has loaded, so that there are no two sets
# of threads. The checksum tells the package a library that is older than its sources.
NORMS_CPU = {"norms_cpu": []}
if platform.machine() in ("x86_64", "AMD64"):
    NORMS_CPU["norms_cpu_avx2"] = ["-mavx2", "-mfma"]
CPP = sorted(path for end in ("*.cpp", "*.h") for path in (CPU / "csrc").glob(end))
CHECKSUM = zlib.crc32(b"".join(path.read_bytes() for path in CPP))

setup(
    name="mmdet_ltnorm",
    version=VERSION.group(1),
    description="Normalized batch norms for long-tailed recognition with MMDetection",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["ltnorm", "mmdet_ltnorm", "mmdet_ltnorm.*"]),
    package_data={"mmdet_ltnorm": ["py.typed", ".mim/configs/**/*.py"]},  # a link in a clone
    entry_points={"console_scripts": ["ltnorm = ltnorm:main"]},
    ext_modules=[
        Extension(
            f"mmdet_ltnorm.norms.backends.cpu.{name}",
            [str(path.relative_to(ROOT)) for path in CPP if path.suffix == ".cpp"],
            depends=[str(path.relative_to(ROOT)) for path in CPP],
            define_macros=[("SOURCES_CRC32", f"{CHECKSUM}u")],
            extra_compile_args=["-std=c++17", "-O3", "-fopenmp", "-Wno-psabi", *flags],
            language="c++",
            optional=True,
        )
        for name, flags in NORMS_CPU.items()
    ],
    python_requires=">=3.10",  # vernier's and the tested torch's own bound
    # torch, mmengine, mmcv and mmdet are extras on purpose: mmcv's ops fit only the torch they were
    # compiled with, and two kinds of packages install these imports: pip would lay one kind over
    # the other. `python tools/doctor.py` checks which are there. mmcv goes in before an extra is
    # asked for, as tools/setup_env.sh does: pip alone would build it without its ops.
    install_requires=[
        "numpy>=1.26",  # vernier's own bound
        "pycocotools>=2.0.6",  # masks of predictions and their areas
        "scipy>=1.10",  # sparse sums of the paired bootstrap
        "tensorboard>=2.15",  # the configs log scalars to it; mmengine refuses to start without
        "vernier==0.5.4",  # the metric's engine; exact, for we call its private core
    ],
    extras_require={
        # mmdet reads LVIS with it, and it is our metric's reference engine. An extra, for it brings
        # opencv-python, which lays itself over an opencv-python-headless: there, and anywhere that
        # mmdet is installed, `pip install --no-deps lvis` is enough.
        "lvis": ["lvis>=0.5.3"],
        "openmmlab": [
            "torch>=2.4",  # the allow-list that weights_only loading needs
            "mmengine>=0.10,<1",  # mmdet 3.3.0's upper bound
            "mmcv>=2.0,<2.2",  # mmdet 3.3.0 refuses 2.2
            "mmdet>=3.3,<4",
            "setuptools<82",  # mmengine 0.10 imports pkg_resources, which 82 dropped
        ],
        "onedl": [  # the maintained forks, for the newest torch and CUDA
            "torch>=2.4",
            "onedl-mmengine>=0.10.12",
            "onedl-mmcv>=2.3.6",
            "onedl-mmdetection>=3.5.1",
        ],
        "demo": [
            "matplotlib>=3.7",  # curves and drawn predictions
            "scikit-learn>=1.2",  # ships the handwritten digits of Digits-LT
        ],
        "docs": [  # the pinned versions need Python 3.11
            "docutils>=0.22",  # formulas as MathML, without a script
            "furo>=2024.8",
            "myst-parser>=5.2",
            "sphinx>=8",
            "sphinx-copybutton>=0.5",
        ],
        "export": ["onnx>=1.16", "onnxruntime>=1.18"],  # folded models outside torch
        "test": ["hypothesis>=6", "mypy>=1.14", "pytest>=8", "pytest-xdist>=3.5", "ruff>=0.6"],
    },
)
