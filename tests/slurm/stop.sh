#!/usr/bin/env bash
# End what start.sh started, jobs included, and remove its configuration; a cluster of anybody else is left alone.
set -uo pipefail
. "$(cd "$(dirname "$0")" && pwd)/daemons.sh"
state=$(state_of_conf)
[ -n "$state" ] || exit 0

end() { # a pid file, a daemon's name
  local pid
  pid=$(pid_of "$1" "$2") || return 0
  kill "$pid" 2>/dev/null
  for _ in $(seq 50); do [ "$(pid_of "$1" "$2")" = "$pid" ] || return 0; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null
}

if pid_of "$state/slurmctld.pid" slurmctld >/dev/null; then
  timeout 5 scancel --user=root 2>/dev/null
  for _ in $(seq 50); do [ -z "$(timeout 5 squeue -h 2>/dev/null)" ] && break; sleep 0.1; done
fi
for node in n1 n2 n3; do end "$state/slurmd-$node.pid" slurmd; done
end "$state/slurmctld.pid" slurmctld
end "$state/slurmdbd.pid" slurmdbd
end "$state/mariadbd.pid" mariadbd
end "$state/munged.pid" munged
for name in gres slurmdbd cgroup slurm; do # slurm.conf last: it says where the state is
  grep -qs "^$mark" "$etc/$name.conf" && rm -f "$etc/$name.conf"
done
exit 0
