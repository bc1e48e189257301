#!/usr/bin/env bash
# Make a Docker engine answer, or say why none can.
#
#   infra/images/engine.sh         nothing when one answers; else install Debian's, where root may, and start it
#   infra/images/engine.sh stop    end the engine that this script started, and no other
#
# Where systemd runs, it runs the engine as well. Elsewhere the engine runs in the background until it is stopped, with its
# log and its process id in ${XDG_CACHE_HOME:-~/.cache}/sigmax, and gives networks addresses of 10.213.0.0/16: Compose makes
# one for each service, and Docker's own choice of addresses ends at thirty.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/sigmax"
LOG="$CACHE/dockerd.log"
PID_FILE="$CACHE/dockerd.pid"
START_TIMEOUT_S=60

say() { printf '%s\n' "$*" >&2; }
die() { printf '%s\n' "$@" >&2; exit 1; }

answers() { docker info >/dev/null 2>&1; }

# The process id of an engine of this machine, whoever started it.
running_engine() {
    local name
    for name in /proc/[0-9]*/comm; do
        if [ "$(cat "$name" 2>/dev/null)" = dockerd ]; then
            name="${name#/proc/}"
            printf '%s\n' "${name%/comm}"
            return
        fi
    done
    return 1
}

# An id alone may belong to another process by now: the engine started here names its own file of the id.
own_engine() {
    local pid
    pid="$(cat "$PID_FILE" 2>/dev/null)" || return 1
    { tr '\0' '\n' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qxF -- "--pidfile=$PID_FILE" || return 1
    printf '%s\n' "$pid"
}

# A process that has ended and that nobody has asked about still has its id; its state tells. Its command line does not: that
# is empty for a moment, too, while a process becomes another program.
alive() { [[ "$(awk '/^State:/ {print $2}' "/proc/$1/status" 2>/dev/null)" == [!ZX] ]]; }

# wait_for PID SECONDS: until the engine answers; fail when it ends before or takes longer.
wait_for() {
    local until=$((SECONDS + $2))
    while [ "$SECONDS" -lt "$until" ]; do
        if answers; then return; fi
        alive "$1" || return 1
        sleep 0.5
    done
    return 1
}

# What keeps this machine from running an engine; each case ends here with what its user can do.
check_machine() {
    local error pid rights
    if error="$(docker info 2>&1)"; then return; fi
    if grep -qi 'permission denied' <<<"$error"; then
        die "A Docker engine runs, and you may not use it. Be root, or join its group and log in again:" \
            "  sudo usermod -aG docker $(id -un)"
    fi
    if [ -n "${DOCKER_HOST:-}" ]; then
        die "DOCKER_HOST is $DOCKER_HOST, and no engine answers there. Start that one, or unset DOCKER_HOST."
    fi
    if [ "$(uname -s)" != Linux ]; then
        die "No Docker engine answers. Start Docker Desktop, OrbStack, or Colima (macOS: brew install colima docker && colima start)."
    fi
    if pid="$(running_engine)"; then
        # It may have been started a moment ago.
        wait_for "$pid" 20 && exit 0
        die "A Docker engine runs (process $pid) and does not answer here: ${error##*$'\n'}" \
            "Its log says more; a second one would spoil its data."
    fi
    rights="0x$(awk '/^CapEff/ {print $2}' /proc/self/status)"
    if [ "$(id -u)" != 0 ]; then
        die "No Docker engine answers, and only root may start one: sudo infra/images/engine.sh" \
            "(or install Docker: https://docs.docker.com/engine/install)"
    fi
    # The rights to mount (21) and to make networks (12).
    if (((rights >> 21 & rights >> 12 & 1) == 0)); then
        die "No Docker engine answers, and none can run here: this machine is a container without the right to start others."
    fi
    if ! command -v dockerd >/dev/null && ! command -v apt-get >/dev/null; then
        die "No Docker engine answers, and it is installed by this script on Debian and its relatives alone:" \
            "  Fedora   dnf install moby-engine && systemctl start docker" \
            "  others   https://docs.docker.com/engine/install"
    fi
}

install_engine() {
    local package
    for package in docker.io docker-cli; do
        # Newer releases of Debian have the client in a package of its own.
        if command -v dockerd >/dev/null && command -v docker >/dev/null; then return; fi
        ../bootstrap.sh packages "$package" iptables mmdebstrap ca-certificates || die "Docker could not be installed."
    done
    if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
        die "Debian's docker.io is installed, and its programs are not on PATH ($PATH)."
    fi
}

start() {
    local pid
    if answers; then return; fi
    check_machine
    install_engine
    if [ -d /run/systemd/system ]; then
        systemctl start docker || die "systemd could not start Docker: journalctl -u docker"
        wait_for 1 "$START_TIMEOUT_S" || # process 1 is systemd
            die "Docker was started and does not answer: journalctl -u docker"
        say "The Docker engine runs. To stop it: systemctl stop docker.socket docker"
        return
    fi
    mkdir -p "$CACHE"
    setsid dockerd --pidfile="$PID_FILE" --default-address-pool base=10.213.0.0/16,size=24 >"$LOG" 2>&1 </dev/null &
    pid=$!
    if ! wait_for "$pid" "$START_TIMEOUT_S"; then
        kill "$pid" 2>/dev/null || true
        tail -n 10 "$LOG" >&2
        die "The Docker engine did not start; these were its last lines ($LOG has all)."
    fi
    say "The Docker engine runs; its log: $LOG. To stop it: infra/images/engine.sh stop"
}

stop() {
    local pid
    if ! pid="$(own_engine)"; then
        say "No engine runs that this script started."
        return
    fi
    kill "$pid"
    for _ in $(seq 120); do
        if ! alive "$pid"; then
            say "The Docker engine has ended, and its containers with it."
            return
        fi
        sleep 0.5
    done
    die "The Docker engine (process $pid) has not ended within a minute; its log: $LOG"
}

case "${1:-start}" in
    start) start ;;
    stop) stop ;;
    *) die "usage: infra/images/engine.sh [stop]" ;;
esac
