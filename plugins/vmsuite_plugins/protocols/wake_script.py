"""Wakes a Linux guest that has no native agent: reseeds and sets its clock by a script.

It runs in any shell of the guest. What may be secret goes through its standard input,
and never stands on a command line, where everybody in the guest could read it.
"""

from __future__ import annotations

from vmsuite.errors import CheckFailed
from vmsuite.ports import Shell
from vmsuite_plugins.protocols.native_agent import Woken, woken

_LIMIT = 4096
"""Bytes of output that are read: three short lines are expected."""

_PYTHON = """\
import binascii, fcntl, os, struct, sys, time
def pool(entropy, add, reseed):
    urandom = os.open("/dev/urandom", os.O_WRONLY)
    try:
        head = struct.pack("ii", 8 * len(entropy), len(entropy))
        fcntl.ioctl(urandom, add, head + entropy)
        fcntl.ioctl(urandom, reseed)
    except OSError as error:
        os.write(urandom, entropy)
        return "mixed: " + error.strerror
    return "reseeded"
def clock(now):
    try:
        time.clock_settime_ns(time.CLOCK_REALTIME, int(now))
    except OSError as error:
        return "failed: " + error.strerror
    return "set"
add, reseed, now = sys.argv[1:]
print("clock=" + (clock(now) if now else "left"))
entropy = binascii.unhexlify(sys.stdin.readline().strip())
print("pool=" + pool(entropy, int(add), int(reseed)))
print("now=%d" % time.time_ns())
"""

_PERL = """\
my $hex = <STDIN>; chomp $hex;
my $entropy = pack "H*", $hex;
my $pool = pack("ii", 8 * length $entropy, length $entropy) . $entropy;
open my $urandom, ">", "/dev/urandom" or die "failed: $!\\n";
if (ioctl($urandom, $ARGV[0], $pool) and ioctl($urandom, $ARGV[1], 0)) {
    print "reseeded\\n";
} else {
    my $why = $!;
    syswrite $urandom, $entropy;
    print "mixed: $why\\n";
}
"""

# RNDADDENTROPY and RNDRESEEDCRNG; some processor families number them otherwise.
_SCRIPT = """\
read -r entropy || exit 1
python=$1 perl=$2 now=$3
case $(uname -m) in
    mips* | ppc* | sparc* | alpha*) add=2148028931 reseed=536891911 ;;
    *) add=1074287107 reseed=20999 ;;
esac
if said=$(printf '%s\\n' "$entropy" |
    python3 -S -c "$python" $add $reseed "$now" 2>/dev/null); then
    printf '%s\\n' "$said"
    exit
fi
clock=left
if [ -n "$now" ]; then
    whole=${now%?????????}
    clock=set
    date -u -s "@$whole.${now#"$whole"}" >/dev/null 2>&1 ||
        why=$(date -u -s "@$whole" 2>&1) || clock="failed: $why"
fi
if command -v perl >/dev/null 2>&1; then
    pool=$(printf '%s\\n' "$entropy" | perl -e "$perl" $add $reseed 2>&1)
elif printf '%s\\n' "$entropy" 2>/dev/null >/dev/urandom; then
    pool="mixed: the guest has neither python3 nor perl"
else
    pool="failed: /dev/urandom cannot be written"
fi
one_line() { printf '%s' "$1" | tr '\\n' ' '; }
printf 'clock=%s\\npool=%s\\n' "$(one_line "$clock")" "$(one_line "$pool")"
printf 'now=%s000000000\\n' "$(date +%s)"
"""


def wake_script(*, clock_ns: int | None, entropy: bytes) -> tuple[list[str], bytes]:
    """Return argv and standard input of what wakes any Linux guest, best as root.

    ``clock_ns``: nanoseconds since 1970, or None to leave the clock alone. It prefers
    python3, then perl; where there is neither, the entropy is only mixed in, and
    clocks may be a second wrong.
    """
    now = "" if clock_ns is None else str(clock_ns)
    argv = ["sh", "-c", _SCRIPT, "wake", _PYTHON, _PERL, now]
    return argv, entropy.hex().encode() + b"\n"


async def wake_by_shell(shell: Shell, *, clock_ns: int | None, entropy: bytes) -> Woken:
    """Wake a guest through its shell; see ``NativeAgent.wake`` for the result.

    Raises:
        CheckFailed: the guest could not run the script.
        Unreachable: the shell does not answer.

    """
    argv, stdin = wake_script(clock_ns=clock_ns, entropy=entropy)
    done = await shell.execute(argv, stdin=stdin, limit=_LIMIT)
    if done.exit_code:
        raise CheckFailed(
            f"the guest could not be woken: exit code {done.exit_code}",
            evidence=done.stdout + done.stderr,
        )
    return woken("shell", done.stdout.encode())
