#!/usr/bin/env bash
# Evaluate under Slurm:
#   GPUS=8 tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]
# The environment variables are those of tools/slurm_train.sh.
set -euo pipefail

usage="usage: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options]"
partition=${1:?$usage}
job_name=${2:?$usage}
config=${3:?$usage}
checkpoint=${4:?$usage}

# SRUN_ARGS holds several words.
# shellcheck disable=SC2086
exec srun --partition="$partition" --job-name="$job_name" \
    --gres="gpu:${GPUS_PER_NODE:-8}" \
    --ntasks="${GPUS:-8}" --ntasks-per-node="${GPUS_PER_NODE:-8}" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python3 -u "$(dirname "$0")/test.py" "$config" "$checkpoint" \
    --launcher slurm "${@:5}"
