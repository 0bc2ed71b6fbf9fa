#!/bin/bash
# usage: stop.sh DIR    ends what start.sh DIR started; DIR itself stays
D=${1:?usage: stop.sh DIR}
kill_all() {
  local left=1
  for name in proxy object container account memcached; do
    # By group: each server has workers.
    [ -s "$D/run/$name.pid" ] && kill -KILL -- "-$(cat "$D/run/$name.pid")" 2>/dev/null && left=0
  done
  return $left
}
for _ in $(seq 100); do kill_all || exit 0; sleep 0.05; done
echo "Something of $D is still running." >&2
exit 1
