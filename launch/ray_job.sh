#!/usr/bin/env bash
# toolrl as a job of a Ray cluster that runs already: it outlives this terminal. Fill in what stands above the line, or let
# `toolrl launch ray-job CONF… --nodes N` do it. docs/cluster.md says how to start the cluster, docs/security.md what its token is for.
#   ray job logs ID --follow      what it says
#   ray job stop ID               SIGTERM: it saves and ends; this script, started again, goes on from there
set -euo pipefail

COMMAND=rl                              # or sft
SETTINGS=(conf/tool_n1_7b.yaml)         # files of settings, then section.name=value
TOOLRL=toolrl                           # the program, as the head of the cluster finds it
WORK=$PWD                               # folder that every node sees; the names in SETTINGS start there
ID=toolrl-$(date +%Y%m%d-%H%M%S)
# Ray kills a job so many seconds after it was told to stop: no less than checkpoint.preempt_timeout_s + 60. Variables of
# cluster/nccl/ that the nodes were not started with belong here, too; a key does not, since every user of the cluster can read it.
ENVIRONMENT='{"RAY_JOB_STOP_WAIT_TIME_S": "360"}'
# ----------------------------------------------------------------------------------------------------------------------------------
export RAY_API_SERVER_ADDRESS=${RAY_API_SERVER_ADDRESS:-http://127.0.0.1:8265}
export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token}

# The token comes from RAY_AUTH_TOKEN, or from a file that nobody else may read; never from a command line, which everybody sees.
token=${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}
if [[ $RAY_AUTH_MODE == token && -z ${RAY_AUTH_TOKEN:-} ]]; then
  [[ -r $token ]] || { echo "ray_job.sh: no token: set RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH to that of the cluster" >&2; exit 2; }
  [[ -z $(find -L "$token" -perm /077) ]] || { echo "ray_job.sh: others may read $token: chmod 600 $token" >&2; exit 2; }
fi

printf -v work %q "$WORK"
printf -v run '%q ' "$TOOLRL" "$COMMAND" "${SETTINGS[@]}" cluster.address=auto
ray job submit --submission-id "$ID" --runtime-env-json "{\"env_vars\": $ENVIRONMENT}" "$@" -- bash -c "cd $work && exec $run"
