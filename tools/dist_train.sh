#!/usr/bin/env bash
# Train on several GPUs of one machine:
#   tools/dist_train.sh CONFIG GPUS [options of tools/train.py]
# On several machines, the same command on each of them, with the first one's address:
#   NNODES=2 NODE_RANK=0 MASTER_ADDR=10.0.0.1 PORT=29500 tools/dist_train.sh CONFIG 8
#   NNODES=2 NODE_RANK=1 MASTER_ADDR=10.0.0.1 PORT=29500 tools/dist_train.sh CONFIG 8
# The machines need a common work dir: the first one writes the checkpoints, all resume from them.
# The learning rate is the config's for any number of GPUs: add --auto-scale-lr to scale it.
# Without CUDA, GPUS counts processes, which talk over gloo.
set -euo pipefail

config=${1:?usage: tools/dist_train.sh CONFIG GPUS [options]}
gpus=${2:?usage: tools/dist_train.sh CONFIG GPUS [options]}

# The ranks end with this process, which becomes torchrun's.
export MMDET_LTNORM_PARENT=$$
exec python3 -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --nproc-per-node="$gpus" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "${@:3}"
