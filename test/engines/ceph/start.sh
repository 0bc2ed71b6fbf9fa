#!/bin/bash
# One-machine Ceph RADOS Gateway (S3 and STS) for tests: Debian's packages, no systemd, no container engine.
#   apt-get install -y --no-install-recommends ceph-mon ceph-osd radosgw ceph-common curl
# usage: start.sh DIR PORT MON_V2_PORT MON_V1_PORT    S3 on http://127.0.0.1:PORT; end it with stop.sh DIR
# DIR must be short (it holds unix sockets) and is emptied. STORE=bluestore keeps data on disk instead of in memory.
set -euo pipefail
usage="usage: start.sh DIR PORT MON_V2_PORT MON_V1_PORT"
D=${1:?$usage}; PORT=${2:?$usage}; MON2=${3:?$usage}; MON1=${4:?$usage}
STORE=${STORE:-memstore}
# With STS the gateway answers AccessDenied to every bad signature, whatever is wrong with it.
STS=${STS:-true}
MIN_PART_BYTES=${MIN_PART_BYTES:-5242880}
AK=${AK:-demoaccesskey}; SK=${SK:-demosecretkey0123456789}
rm -rf "$D"; mkdir -p "$D"/{mon.a,osd.0,run}
FSID=$(cat /proc/sys/kernel/random/uuid)
cat > "$D/ceph.conf" <<CONF
[global]
fsid = $FSID
mon_initial_members = a
mon_host = [v2:127.0.0.1:$MON2,v1:127.0.0.1:$MON1]
public_network = 127.0.0.0/8
cluster_network = 127.0.0.0/8
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
keyring = $D/keyring
run_dir = $D/run
admin_socket = $D/run/\$name.asok
pid_file = $D/run/\$name.pid
log_file = $D/run/\$name.log
crash_dir = $D/run
# one OSD, one copy
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 1
mon_data_avail_warn = 2
[mon]
mon_data = $D/mon.\$id
mon_cluster_log_file = $D/run/cluster.log
[osd]
osd_data = $D/osd.\$id
osd_objectstore = $STORE
bluestore_block_size = 21474836480
memstore_device_bytes = 8589934592
osd_memory_target = 1073741824
[client.rgw.a]
rgw_frontends = beast endpoint=127.0.0.1:$PORT tcp_nodelay=1
rgw_s3_auth_use_sts = $STS
rgw_multipart_min_part_size = $MIN_PART_BYTES
rgw_sts_key = 0123456789abcdef
rgw_enable_apis = s3, sts, admin
rgw_enable_usage_log = false
CONF
C="--conf $D/ceph.conf"
# --- keys (cephx)
ceph-authtool --create-keyring "$D/keyring" --gen-key -n mon. --cap mon 'allow *' >/dev/null
ceph-authtool "$D/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' >/dev/null
ceph-authtool "$D/keyring" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap osd 'allow *' --cap mgr 'allow profile osd' >/dev/null
ceph-authtool "$D/keyring" --gen-key -n client.rgw.a --cap mon 'allow rw' --cap osd 'allow rwx' --cap mgr 'allow rw' >/dev/null
# --- monitor
monmaptool --create --fsid "$FSID" --addv a "[v2:127.0.0.1:$MON2,v1:127.0.0.1:$MON1]" "$D/monmap" >/dev/null
ceph-mon $C --mkfs -i a --monmap "$D/monmap" --keyring "$D/keyring"
ceph-mon $C -i a
# --- one OSD; it finds free ports by itself
UUID=$(cat /proc/sys/kernel/random/uuid)
timeout 60 ceph $C osd new "$UUID" 0 >/dev/null
ceph-osd $C -i 0 --mkfs --osd-uuid "$UUID" 2>"$D/run/osd-mkfs.err"
ceph-osd $C -i 0 2>"$D/run/osd.err"
for _ in $(seq 150); do ceph $C osd dump 2>/dev/null | grep -q '^osd.0 up' && break; sleep 0.2; done
# --- S3 user (creates the gateway's pools)
timeout 120 radosgw-admin $C user create --uid=demo --display-name=demo --access-key="$AK" --secret-key="$SK" --caps='roles=*;user-policy=*' >"$D/user.json" 2>"$D/run/admin.err"
# --- gateway
timeout 120 radosgw $C -n client.rgw.a
for _ in $(seq 300); do curl -fs -o /dev/null "http://127.0.0.1:$PORT/" && break; sleep 0.1; done
curl -fs -o /dev/null "http://127.0.0.1:$PORT/"
# --- a role for STS AssumeRole: arn:aws:iam:::role/uploader
radosgw-admin $C role create --role-name=uploader --path=/ --assume-role-policy-doc='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":["arn:aws:iam:::user/demo"]},"Action":["sts:AssumeRole"]}]}' >/dev/null 2>>"$D/run/admin.err"
radosgw-admin $C role-policy put --role-name=uploader --policy-name=s3 --policy-doc='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:*"],"Resource":["arn:aws:s3:::*"]}]}' >/dev/null 2>>"$D/run/admin.err"
echo "s3 http://127.0.0.1:$PORT accessKeyId=$AK secretAccessKey=$SK"
