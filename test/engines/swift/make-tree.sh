#!/bin/bash
# A Debian 13 tree with OpenStack Swift 2.35, which checks all kinds of x-amz-checksum-*; Debian 12's 2.30 knows none of
# them. Needs root, mmdebstrap, 700 MB and a minute or more.
# usage: make-tree.sh TREE    leaves a tree alone that is there
set -euo pipefail
TREE=${1:?usage: make-tree.sh TREE}
[ -e "$TREE" ] && exit 0
PACKAGES=curl,swift-proxy,swift-account,swift-container,swift-object,memcached,libisal2
MAKING=$TREE.$$
trap 'rm -rf "$MAKING"' EXIT
mmdebstrap --quiet --variant=minbase --mode=root --include=$PACKAGES --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' trixie "$MAKING"
# Whole or not at all, and only one of those that are made at the same time.
mv -T "$MAKING" "$TREE" 2>/dev/null || [ -e "$TREE" ]
