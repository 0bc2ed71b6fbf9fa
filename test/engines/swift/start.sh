#!/bin/bash
# One-machine OpenStack Swift with its S3 API, for tests: Debian's packages, no systemd, no container engine.
#   apt-get install -y --no-install-recommends swift-proxy swift-account swift-container swift-object memcached curl
# usage: start.sh DIR PORT ACCOUNT_PORT CONTAINER_PORT OBJECT_PORT MEMCACHED_PORT
# S3 on http://127.0.0.1:PORT; end it with stop.sh DIR. DIR is emptied. ORIGIN is what CORS allows: Swift has it by configuration.
# /etc/swift/swift.conf as Debian ships it (hash prefix and suffix "changeme") is used as it is.
set -euo pipefail
usage="usage: start.sh DIR PORT ACCOUNT_PORT CONTAINER_PORT OBJECT_PORT MEMCACHED_PORT"
D=${1:?$usage}; PORT=${2:?$usage}; MEMCACHED=${6:?$usage}
declare -A PORTS=([account]=${3:?$usage} [container]=${4:?$usage} [object]=${5:?$usage})
ORIGIN=${ORIGIN:-*}
AK=${AK:-test:tester}; SK=${SK:-testing}
rm -rf "$D"; mkdir -p "$D"/{etc,srv/d1,cache,log,run}
cp /etc/swift/swift.conf "$D/etc/"
cd "$D/etc"
for s in account container object; do
  swift-ring-builder $s.builder create 6 1 1 >/dev/null
  swift-ring-builder $s.builder add --region 1 --zone 1 --ip 127.0.0.1 --port ${PORTS[$s]} --device d1 --weight 1 >/dev/null
  swift-ring-builder $s.builder rebalance >/dev/null 2>&1
  cat > $s.conf <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = ${PORTS[$s]}
workers = 1
user = root
swift_dir = $D/etc
devices = $D/srv
mount_check = false
disable_fallocate = true
log_level = WARNING
recon_cache_path = $D/cache
[pipeline:main]
pipeline = $s-server
[app:$s-server]
use = egg:swift#$s
[$s-replicator]
[$s-auditor]
CONF
done
printf '[container-updater]\n[container-sync]\n' >> container.conf
printf '[object-updater]\n' >> object.conf
cat > proxy.conf <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $PORT
workers = 2
user = root
swift_dir = $D/etc
log_level = WARNING
cors_allow_origin = $ORIGIN
cors_expose_headers = ETag,x-amz-request-id,x-amz-meta-a
strict_cors_mode = false
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$MEMCACHED
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
max_upload_part_num = 10000
max_parts_listing = 1000
min_segment_size = 5242880
dns_compliant_bucket_names = true
cors_preflight_allow_origin = $ORIGIN
[filter:tempauth]
use = egg:swift#tempauth
user_${AK/:/_} = $SK .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
max_manifest_segments = 10000
max_manifest_size = 67108864
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
allow_object_versioning = true
[filter:symlink]
use = egg:swift#symlink
CONF
memcached -u root -l 127.0.0.1 -p "$MEMCACHED" -U 0 -m 64 -d -P "$D/run/memcached.pid"
for s in account container object; do setsid swift-$s-server "$D/etc/$s.conf" >"$D/log/$s.log" 2>&1 </dev/null & echo $! >"$D/run/$s.pid"; done
setsid swift-proxy-server "$D/etc/proxy.conf" >"$D/log/proxy.log" 2>&1 </dev/null & echo $! >"$D/run/proxy.pid"
for p in "${PORTS[@]}"; do for _ in $(seq 300); do (exec 3<>/dev/tcp/127.0.0.1/$p) 2>/dev/null && break; sleep 0.1; done; done
for _ in $(seq 300); do curl -fs -o /dev/null "http://127.0.0.1:$PORT/healthcheck" && break; sleep 0.1; done
curl -fs -o /dev/null "http://127.0.0.1:$PORT/healthcheck"
echo "s3 http://127.0.0.1:$PORT accessKeyId=$AK secretAccessKey=$SK"
