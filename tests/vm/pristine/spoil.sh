#!/bin/sh
# Spoils this guest in one way, and makes sure that it did.
set -eu
case $1 in
files) rm -rf /etc/* /root/* && mkdir /spoilt && echo spoilt >/spoilt/file ;;
name) hostname spoilt ;;
disk) dd if=/dev/urandom of=/dev/vda bs=64k conv=fsync 2>/dev/null ||
    # What it cannot write any more is beyond its end.
    test "$(od -An -tx1 -N 8 /dev/vda)" != "$(printf original | od -An -tx1)" ;;
service) killall nc ;;
clock) date -s '2001-01-01 00:00:00' ;;
modules) rmmod loop && modprobe overlay ;;
space) mount -o remount,size=32m /tmp && ! dd if=/dev/zero of=/tmp/full bs=1M 2>/dev/null ;;
processes)
    for number in 1 2 3 4 5 6 7 8 9 10; do sleep 600 >/dev/null 2>&1 </dev/null & done
    mount -t tmpfs spoilt /mnt
    ;;
network) ip addr flush dev eth0 && ip link set eth0 down ;;
settings) echo 0 >/proc/sys/kernel/sysrq && echo 1 >/proc/sys/net/ipv4/ip_forward ;;
*) echo "unknown way: $1" >&2 && exit 2 ;;
esac
