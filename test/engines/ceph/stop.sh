#!/bin/bash
# usage: stop.sh DIR    ends what start.sh DIR started; DIR itself stays
# By SIGKILL: its data is thrown away, and an orderly end takes RADOS 6 s.
D=${1:?usage: stop.sh DIR}
kill_all() {
  local left=1
  for name in client.rgw.a osd.0 mon.a; do
    [ -s "$D/run/$name.pid" ] && kill -KILL "$(cat "$D/run/$name.pid")" 2>/dev/null && left=0
  done
  return $left
}
for _ in $(seq 100); do kill_all || exit 0; sleep 0.05; done
echo "Something of $D is still running." >&2
exit 1
