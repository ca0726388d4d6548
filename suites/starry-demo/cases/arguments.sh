#!/bin/sh
# Arguments arrive as they are written: no shell has looked at them.
set -eu
test $# = 3
test "$1" = one
test "$2" = "two words"
test "$3" = '$HOME'
