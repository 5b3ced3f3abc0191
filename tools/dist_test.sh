#!/usr/bin/env bash
# Evaluate on several GPUs of one machine:
#   tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
# On several machines, see tools/dist_train.sh.
set -euo pipefail

usage="usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options]"
config=${1:?$usage}
checkpoint=${2:?$usage}
gpus=${3:?$usage}

# The ranks end with this process, which becomes torchrun's.
export MMDET_LTNORM_PARENT=$$
exec python3 -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --nproc-per-node="$gpus" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "${@:4}"
