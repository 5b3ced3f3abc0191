#!/usr/bin/env bash
# Train under Slurm:
#   GPUS=16 tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options of tools/train.py]
# GPUS in all (8), GPUS_PER_NODE (8), CPUS_PER_TASK (5), SRUN_ARGS for srun, MASTER_PORT (29500).
set -euo pipefail

usage="usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG WORK_DIR [options]"
partition=${1:?$usage}
job_name=${2:?$usage}
config=${3:?$usage}
work_dir=${4:?$usage}

# SRUN_ARGS holds several words.
# shellcheck disable=SC2086
exec srun --partition="$partition" --job-name="$job_name" \
    --gres="gpu:${GPUS_PER_NODE:-8}" \
    --ntasks="${GPUS:-8}" --ntasks-per-node="${GPUS_PER_NODE:-8}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python3 -u "$(dirname "$0")/train.py" "$config" \
    --work-dir "$work_dir" --launcher slurm "${@:5}"
