#!/usr/bin/env bash
# Make a virtual environment with everything that the package needs; `make setup` calls it:
#     tools/setup_env.sh DIRECTORY openmmlab|onedl cpu|cuda
# If it is killed half way, it continues from there next time: pip skips what is installed and keeps mmcv's
# wheel once it is built, and the stamp DIRECTORY/.ready that make looks for is written last.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=$1 hosts=$2 device=$3
python=$venv/bin/python
case $hosts in
    openmmlab) mmcv=mmcv ;;
    onedl) mmcv=onedl-mmcv ;;
    *) echo "expected openmmlab or onedl, got '$hosts'" >&2 && exit 2 ;;
esac

say() { printf '\n== %s\n' "$*"; }
pip() { "$python" -m pip --disable-pip-version-check "$@"; }
install() { pip install --constraint constraints.txt "$@"; }

find_python() {
    local name
    for name in python3 python3.13 python3.12 python3.11 python3.10; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2> /dev/null; then
            echo "$name"
            return
        fi
    done
    echo "Python >= 3.10 is needed; found $(python3 --version 2> /dev/null || echo none)" >&2
    return 1
}

compile_install() { # like install, where mmcv may have to be compiled
    if [ "$device" = cuda ]; then
        FORCE_CUDA=1 MMCV_WITH_OPS=1 install --no-build-isolation "$@"
    else # mmcv compiles for any GPU it sees, whatever FORCE_CUDA says: hide it
        CUDA_VISIBLE_DEVICES='' MMCV_WITH_OPS=1 install --no-build-isolation "$@"
    fi
}

ops_fit() {
    "$python" - "$device" << 'END'
import sys
import torch, mmcv._ext
sys.exit(sys.argv[1] == 'cuda' and mmcv._ext.get_compiling_cuda_version() == 'not available')
END
}

rm -f "$venv"/.ready*
if [ -n "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ]; then
    say "The active environment stays as it is. To use it: pip install -e . and make ... PYTHON=python"
fi

say "1/3 A virtual environment in $venv"
if ! pip --version 2> /dev/null; then
    base=$(find_python)
    "$base" -m venv --clear "$venv"
fi
rm -rf "$venv"/lib/python*/site-packages/~* # what a killed pip leaves, and a later one trips over

say "2/3 torch: a download of up to several GB on Linux; that build runs without a GPU too"
install torch setuptools wheel ninja psutil numpy

say "3/3 mmcv, whose ops take about 10 minutes on 2 cores to compile for the $device (once: then pip"
echo "   has the wheel in its cache), mmdet, this package and its tools"
compile_install --editable ".[$hosts,lvis,demo,export,test]"
if ! "$python" -c 'import cv2' 2> /dev/null; then
    say "OpenCV misses a system library such as libGL: taking its headless build instead"
    pip uninstall --yes opencv-python
    install --force-reinstall --no-deps opencv-python-headless
fi
if ! "$python" -c 'import triton' 2> /dev/null; then
    say "torch's build for the CPU has no Triton: adding it for the tests of CBN's GPU kernels"
    pip install --no-deps triton==3.9.0 || echo "   none for this machine: those tests are skipped"
fi
if ! ops_fit; then
    say "The wheel from pip's cache does not fit this torch or device: compiling mmcv again"
    compile_install --no-cache-dir --force-reinstall --no-deps "$mmcv"
fi

say "Checking the environment"
"$python" tools/doctor.py
touch "$venv/.ready" "$venv/.ready-$device"
say "$venv is ready"
[ "$device" = cuda ] || echo "   For a GPU, with the CUDA toolkit of torch's release: make setup CUDA=1"
[ "$hosts" = openmmlab ] || echo "   To use it: make ... STACK=onedl"
