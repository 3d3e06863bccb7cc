#!/usr/bin/env bash
# Two servers behind HAProxy, restarted one after the other under load:
#     HALVES=target/release/halves examples/rolling/restart.sh
# Prints the numbers of requests, and exits with 1 if one was lost. HALVES is the command, and HOST
# the address of HAProxy (port 50007), the servers (50011, 50012) and their metrics (50021, 50022).
set -euo pipefail
halves=${HALVES:-halves}
export HOST=${HOST:-127.0.0.1}
here=$(cd "$(dirname "$0")" && pwd)
DIR=$(mktemp -d)
export DIR
declare -A server # The process of each server, by its number.
clients=()

# Without the messages of bash about processes that were killed.
finish() {
    exec 2>/dev/null
    local started
    started=$(jobs -p)
    # shellcheck disable=SC2086
    [ -z "$started" ] || kill -KILL $started || true
    wait
    rm -rf "$DIR"
}
trap finish EXIT
trap 'exit 1' INT TERM

# Starts a server, and returns when it accepts.
start() {
    "$halves" serve upper --listen "$HOST:5001$1" --metrics "$HOST:5002$1" \
        --proxy-protocol v2 --trust-proxy 127.0.0.0/8 \
        --drain-delay 1s --drain-timeout 30s --ready-fd 3 3>"$DIR/ready" 2>>"$DIR/log$1" &
    server[$1]=$!
    read -r <"$DIR/ready"
}

# Prints a column of HAProxy's statistics, a line for each server.
column() {
    echo 'show stat' | "$halves" connect "$DIR/haproxy.sock" | awk -F, -v column="$1" '
        NR == 1 { for (i = 1; i <= NF; i++) if ($i == column) number = i }
        /^servers,s[12],/ { print $number }'
}

# Returns when HAProxy sends clients to both servers.
wait_until_up() {
    until [ "$(column status | grep -cx UP)" = 2 ]; do sleep 0.1; done
}

# Sends a file again and again, and compares each answer after a pause of some seconds.
talk() {
    local file=$1 pause=$2 answered=0 lost=0
    until [ -e "$DIR/stop" ]; do
        if "$halves" connect "$HOST:50007" <"$file" 2>>"$DIR/errors" |
            { sleep "$pause" && cmp -s - "$file.answer"; }; then
            answered=$((answered + 1))
        else
            lost=$((lost + 1))
        fi
    done
    echo "$answered $lost" >>"$DIR/counts"
}

mkfifo "$DIR/ready"
echo hello >"$DIR/short"
head -c 20000000 /dev/zero | tr '\0' a >"$DIR/long"
for file in "$DIR/short" "$DIR/long"; do tr a-z A-Z <"$file" >"$file.answer"; done

start 1
start 2
haproxy -db -f "$here/haproxy.cfg" >"$DIR/haproxy.log" 2>&1 &
wait_until_up 2>/dev/null # Its socket may not be there yet.
# The server of the last one waits in a write for two seconds, which is longer than its drain delay.
for client in 'short 0' 'short 0' 'long 0' 'long 2'; do
    read -r file pause <<<"$client"
    talk "$DIR/$file" "$pause" &
    clients+=($!)
done

for number in 1 2; do
    kill -TERM "${server[$number]}"
    wait "${server[$number]}" || {
        echo "server $number ended with $?; 3 means that it has cut connections" >&2
        exit 1
    }
    start "$number"
    # HAProxy has to know it before the next one leaves.
    wait_until_up
done

touch "$DIR/stop"
wait "${clients[@]}"
[ ! -s "$DIR/errors" ] || sort "$DIR/errors" | uniq -c >&2
retries=$({ column wretr && column wredis; } | awk '{ sum += $1 } END { print sum }')
awk -v retries="$retries" '
    { answered += $1; lost += $2 }
    END {
        printf "2 restarts: %d answered, %d lost, %d retries of HAProxy\n", answered, lost, retries
        exit lost > 0 || answered == 0
    }' "$DIR/counts"
