#!/bin/sh
set -eu
cd "$STARRY_WORKSPACE_ROOT"
test -d "$STARRY_RUN_DIR"
test -d "$STARRY_CASE_ARTIFACT_DIR"
test -d "$STARRY_CASE_LOG_DIR"
test -n "$STARRY_RUN_ID"
test "$STARRY_CASE_NAME" = environment
test "$STARRY_CASE_SLUG" = environment
test "$STARRY_CASE_TIMEOUT_SECS" = 60
test "$STARRY_CASE_LOG_PATH" = "$STARRY_CASE_LOG_DIR/environment.log"
echo "arch $ARCH, run $STARRY_RUN_ID"
