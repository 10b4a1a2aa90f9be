#!/usr/bin/env bash
# A Slurm cluster on one machine, for the tests: a controller and three nodes of 2 CPUs and 8 GB that share the
# machine; n3 has a pretend GPU. They need not be real: Slurm is told to believe its configuration.
#
#   tests/slurm/start.sh STATE [accounting]     # STATE: a folder for keys, logs and state; made if missing
#   tests/slurm/stop.sh                         # ends what start.sh started, and removes /etc/slurm/*.conf
#
# Needs root and Debian's packages slurm-wlm and munge, for accounting slurmdbd and mariadb-server too; no systemd.
# The configuration must lie in /etc/slurm, since Snakemake's executor clears SLURM_CONF from the environment.
# A configuration that is not its own is never touched.
set -euo pipefail

[ $# -ge 1 ] || { sed -n '2,6p' "$0" >&2; exit 2; }
folder=$(cd "$(dirname "$0")" && pwd)
. "$folder/daemons.sh"
accounting=${2:-none}
here=$(hostname -s)

fail() { echo "start.sh: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "only root can start a cluster"
for program in slurmctld slurmd munged; do
  command -v $program >/dev/null || fail "$program is missing: apt-get install slurm-wlm munge"
done
if [ "$accounting" = accounting ]; then
  for program in slurmdbd mariadbd; do
    command -v $program >/dev/null || fail "$program is missing: apt-get install slurmdbd mariadb-server"
  done
fi
for name in slurm gres slurmdbd cgroup; do
  if [ -e "$etc/$name.conf" ] && ! grep -q "^$mark" "$etc/$name.conf"; then
    fail "$etc/$name.conf was written by somebody else: these tests would disturb a cluster that is in use"
  fi
done
before=$(state_of_conf || true)
if pid_of "$before/slurmctld.pid" slurmctld >/dev/null &&
  owner=$(cat "$before/owner" 2>/dev/null) && kill -0 "$owner" 2>/dev/null; then
  fail "process $owner started a cluster and still runs; tests/slurm/stop.sh ends it"
fi
"$folder/stop.sh" # what a killed test left

mkdir -p "$1" "$etc"
state=$(realpath "$1")
mkdir -p "$state"/{ctld,n1,n2,n3,log}
echo "$PPID" >"$state/owner"
trap '"$folder/stop.sh"; fail "the cluster did not come up; $state/log has the logs"' ERR

wait_for() { # a command, until it succeeds
  for _ in $(seq 600); do "$@" >/dev/null 2>&1 && return 0; sleep 0.2; done
  echo "start.sh: waited 2 minutes in vain for: $*" >&2
  return 1
}

# The order of these files is that of what may be left when this script is killed: stop.sh reads slurm.conf.
cat >"$etc/slurm.conf" <<CONF
$mark $state
ClusterName=tests
SlurmctldHost=$here(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$state/ctld
SlurmctldPidFile=$state/slurmctld.pid
SlurmctldLogFile=$state/log/slurmctld
SlurmdSpoolDir=$state/%n
SlurmdPidFile=$state/slurmd-%n.pid
SlurmdLogFile=$state/log/slurmd-%n
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
GresTypes=gpu
ReturnToService=2
MinJobAge=7200
SlurmdTimeout=10
KillWait=3
SchedulerParameters=sched_interval=2,bf_interval=2
AccountingStorageType=accounting_storage/$([ "$accounting" = accounting ] && echo slurmdbd || echo none)
AccountingStorageHost=127.0.0.1
NodeName=n1 NodeHostname=$here NodeAddr=127.0.0.1 Port=17001 CPUs=2 RealMemory=8000
NodeName=n2 NodeHostname=$here NodeAddr=127.0.0.1 Port=17002 CPUs=2 RealMemory=8000
NodeName=n3 NodeHostname=$here NodeAddr=127.0.0.1 Port=17003 CPUs=2 RealMemory=8000 Gres=gpu:1
PartitionName=main Nodes=n1,n2,n3 Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=n1,n2 MaxTime=120 State=UP
PartitionName=gpu Nodes=n3 MaxTime=INFINITE State=UP
CONF
cat >"$etc/gres.conf" <<CONF
$mark $state
AutoDetect=off
NodeName=n3 Name=gpu File=/dev/null
CONF
echo "$mark $state" >"$etc/cgroup.conf"

# munge says who is who. Its socket has one place: where it answers already, that one serves.
if ! munge -n >/dev/null 2>&1; then
  install -d -m 755 /run/munge
  install -d -m 700 "$state/munge"
  (umask 077 && head -c 1024 /dev/urandom >"$state/munge/key")
  munged --force --key-file="$state/munge/key" --pid-file="$state/munged.pid" --log-file="$state/log/munged" \
    --seed-file="$state/munge/seed"
  wait_for munge -n
fi

if [ "$accounting" = accounting ]; then
  socket=$state/mariadb.socket
  mariadb-install-db --no-defaults --user=root --datadir="$state/mariadb" --skip-test-db >"$state/log/mariadb-install" 2>&1
  mariadbd --no-defaults --user=root --datadir="$state/mariadb" --socket="$socket" --port=33306 \
    --bind-address=127.0.0.1 --pid-file="$state/mariadbd.pid" --innodb-buffer-pool-size=64M \
    --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=0 >"$state/log/mariadbd" 2>&1 &
  wait_for mariadb --no-defaults --socket="$socket" -e "select 1"
  mariadb --no-defaults --socket="$socket" -e \
    "create user 'slurm'@'127.0.0.1' identified by 'slurm'; grant all on slurm_acct.* to 'slurm'@'127.0.0.1';"
  (umask 077 && cat >"$etc/slurmdbd.conf" <<CONF
$mark $state
AuthType=auth/munge
DbdHost=localhost
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=33306
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct
PidFile=$state/slurmdbd.pid
LogFile=$state/log/slurmdbd
CONF
  )
  slurmdbd
  wait_for sacctmgr -i show cluster
  sacctmgr -i add cluster tests >>"$state/log/sacctmgr"
  sacctmgr -i add account covarion >>"$state/log/sacctmgr"
  sacctmgr -i add user root account=covarion >>"$state/log/sacctmgr"
fi

slurmctld
for node in n1 n2 n3; do slurmd -N $node; done
all_idle() { [ "$(sinfo -h -N -o %T | sort -u)" = idle ]; }
wait_for all_idle
