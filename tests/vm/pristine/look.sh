#!/bin/sh
# Tells of this guest all that a case may have changed; the same in every fresh fork.
cd /
echo "name $(hostname)"
test "$(date +%Y)" -gt 2020 || echo "clock $(date)"
echo "files $(find / -xdev -type f -exec stat -c '%n %s %a %u %Y' {} + | sort | md5sum)"
echo "other files $(find / -xdev ! -type f | sort | md5sum)"
find /etc /root -type f -exec md5sum {} + | sort
ls -A /tmp /mnt /dev/shm
echo "room $(df -k /tmp | tail -n 1)"
echo "disk $(md5sum </dev/vda)"
cut -d' ' -f1 /proc/modules | sort
cut -d' ' -f1-3 /proc/mounts | sort
ip -o link | sed 's/qdisc.*state/state/'
ip -4 -o addr
ip route
netstat -ltn | tail -n +3
for setting in kernel/sysrq kernel/panic vm/swappiness net/ipv4/ip_forward; do
    echo "$setting $(cat /proc/sys/$setting)"
done
ps -o comm | grep -E '^(nc|sleep|qemu-ga|python)' | sort | uniq -c
