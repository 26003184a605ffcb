#!/usr/bin/env bash
# A shard set, composed by the machines of a Slurm job. They share nothing but the bucket.
#
#   sbatch --export=ALL examples/slurm.sh s3://bucket/fgs s3://bucket/bgs s3://bucket/shards
#
# The bucket's credentials are in the environment of sbatch.
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=12:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -euo pipefail

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
RAY_AUTH_TOKEN=$(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')
export RAY_AUTH_TOKEN TMPDIR=${TMPDIR:-/tmp}

srun --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
sleep 20
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" \
        ray start --address="$head:$port" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
fi

# The batch script runs on the first machine of the job, which is the head
datagen compose --fg "$1" --bg "$2" --out "$3" --ray-address "$head:$port" --cache-size 50 &
trap 'kill -TERM $!' TERM
wait $!
