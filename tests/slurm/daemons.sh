# Read by start.sh and stop.sh.
etc=/etc/slurm
mark="# written by tests/slurm/start.sh, state in"

state_of_conf() { # the folder of the cluster that the configuration is of; nothing where it is somebody else's
  sed -n "s|^$mark ||p" $etc/slurm.conf 2>/dev/null
}

pid_of() { # the process of a pid file, if it is still that daemon and no later process of that number
  local pid
  pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] &&
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$2"* ]] &&
    ! grep -q "^State:.*zombie" "/proc/$pid/status" 2>/dev/null && echo "$pid"
}
