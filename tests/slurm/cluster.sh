#!/usr/bin/env bash
# A small real Slurm for the tests: one machine that plays two nodes, everything in one folder, on loopback.
#   cluster.sh start DIR      then: export SLURM_CONF=DIR/slurm.conf
#   cluster.sh stop DIR
# As root, with slurm-wlm and munge installed. ACCOUNTING=1 adds sacct, for which slurmdbd and mariadb-server are needed.
# Partitions: low (the default; high pushes its jobs out, which are then re-queued) and high.
set -euo pipefail
do=${1:?start or stop} dir=$(realpath -m "${2:?a folder}") port=${SLURM_TEST_PORT:-27817}
export SLURM_CONF=$dir/slurm.conf

wait_for() {  # wait_for SECONDS COMMAND...: until it succeeds
  local end=$((SECONDS + $1))
  until "${@:2}" > /dev/null 2>&1; do
    ((SECONDS < end)) || { echo "gave up waiting for: ${*:2}" >&2; tail -n 5 "$dir"/*.log >&2; return 1; }
    sleep 0.2
  done
}

both_idle() { [ "$(timeout 5 sinfo -h -N -p low -t idle -o %N | wc -l)" = 2 ]; }
no_jobs() { [ -z "$(timeout 5 squeue -h)" ]; }
in_database() { mariadb --no-defaults --socket="$dir/mariadb/socket" --user=root --execute="$1"; }
answers() { exec 3<> "/dev/tcp/127.0.0.1/$1"; }

start_munge() {  # who is who: all daemons ask it
  mkdir -p -m 700 "$dir/munge"
  mkdir -p -m 755 "$dir/socket"
  (umask 077; head -c 128 /dev/urandom > "$dir/munge/key")
  munged --force --key-file="$dir/munge/key" --socket="$dir/socket/munge" --pid-file="$dir/munge/pid" \
    --log-file="$dir/munge.log" --seed-file="$dir/munge/seed"
}

start_accounting() {
  mkdir -p "$dir/mariadb"
  chown mysql "$dir/mariadb"
  mariadb-install-db --no-defaults --user=root --datadir="$dir/mariadb/data" --skip-test-db \
    --auth-root-authentication-method=normal > "$dir/mariadb-install.log" 2>&1
  setsid mariadbd --no-defaults --user=root --datadir="$dir/mariadb/data" --socket="$dir/mariadb/socket" \
    --pid-file="$dir/mariadb/pid" --bind-address=127.0.0.1 --port=$((port + 3)) \
    --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900 > "$dir/mariadb.log" 2>&1 < /dev/null &
  wait_for 30 in_database "create or replace user slurm@localhost identified by 'slurm'"
  in_database "grant all on slurm_acct_db.* to slurm@localhost; create database slurm_acct_db"
  (umask 077; cat > "$dir/slurmdbd.conf") << CONF
AuthType=auth/munge
AuthInfo=socket=$dir/socket/munge
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$((port + 2))
SlurmUser=root
LogFile=$dir/slurmdbd.log
PidFile=$dir/slurmdbd.pid
CommunicationParameters=NoInAddrAny
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$((port + 3))
StorageUser=slurm
StoragePass=slurm
CONF
  slurmdbd
  wait_for 30 answers $((port + 2))  # slurmctld ends at once where it does not answer yet
  cat >> "$SLURM_CONF" << CONF
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$((port + 2))
AccountingStoragePass=$dir/socket/munge
CONF
}

write_conf() {  # cred_expire and the intervals: re-queued jobs start again after seconds instead of two minutes
  cat > "$SLURM_CONF" << CONF
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$dir/socket/munge,cred_expire=5
SlurmctldPort=$port
SlurmctldPidFile=$dir/slurmctld.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdPidFile=$dir/slurmd.%n.pid
SlurmdLogFile=$dir/slurmd.%n.log
SlurmdSpoolDir=$dir/spool.%n
StateSaveLocation=$dir/state
SlurmdParameters=config_overrides
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
KillWait=5
MinJobAge=3600
InactiveLimit=0
PropagateResourceLimits=NONE
NodeName=node[1-2] NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 Port=$((port + 11))-$((port + 12)) CPUs=4 RealMemory=2000
PartitionName=low Nodes=ALL Default=YES PriorityTier=10 PreemptMode=REQUEUE GraceTime=20 State=UP
PartitionName=high Nodes=ALL PriorityTier=100 PreemptMode=OFF State=UP
CONF
}

start() {
  mkdir -p "$dir/state"
  chmod 755 "$dir"
  for node in node1 node2; do grep -qw "$node" /etc/hosts || echo "127.0.0.1 $node" >> /etc/hosts; done
  write_conf
  start_munge
  [ -z "${ACCOUNTING:-}" ] || start_accounting
  slurmctld -c
  for node in node1 node2; do mkdir -p "$dir/spool.$node" && slurmd -N "$node" -c; done
  wait_for 30 both_idle
}

stop() {  # jobs first: a slurmd waits for theirs
  timeout 10 scancel --user=root || true
  wait_for 20 no_jobs || true
  timeout 10 scontrol shutdown || true
  for file in "$dir"/slurmd.*.pid "$dir"/{slurmctld,slurmdbd}.pid "$dir"/{mariadb,munge}/pid; do
    [ -s "$file" ] && pid=$(cat "$file") || continue
    kill "$pid" 2> /dev/null || continue
    wait_for 10 eval "! kill -0 $pid" || kill -9 "$pid"
  done
}

"$do"
