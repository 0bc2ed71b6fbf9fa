#!/bin/bash
# Runs a command inside of a Debian tree, as root. Its mounts vanish with its last process.
# usage: in-tree.sh TREE COMMAND...
TREE=${1:?usage: in-tree.sh TREE COMMAND...}; shift
exec unshare -m --propagation private bash -c \
  'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && mount --rbind /sys "$0/sys" && exec chroot "$0" "$@"' \
  "$TREE" "$@"
