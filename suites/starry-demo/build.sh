#!/bin/sh
# Runs once before the cases, with the name of the suite's folder.
set -eu
[ "$1" = starry-demo ]
echo "built for $ARCH in $STARRY_RUN_DIR"
