#!/usr/bin/env bash
# toolrl on this machine alone: starts Ray for the length of the run, on loopback, with a token of its own (docs/security.md).
# SIGTERM, or Ctrl-C twice, ends it; the same command goes on from the newest checkpoint.
# Further settings may follow:  launch/local.sh run.steps=10
set -euo pipefail

COMMAND=rl                              # or sft
SETTINGS=(conf/demo.yaml)               # files of settings, then section.name=value
BIN=${BIN:-.venv/bin}                   # where toolrl is installed

exec "$BIN/toolrl" "$COMMAND" "${SETTINGS[@]}" cluster.address=local "$@"
