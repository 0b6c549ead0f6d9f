#!/bin/sh
# BFD against FRR's bfdd, by hand: `tests/bfd-frr.sh PATH-OF-THE-EXAMPLE [--multihop] [--c-bit]`.
# Needs root and FRR. Everything runs in two namespaces of its own, which go with the script.
# The session comes up, FRR is stopped for the detection time (down), goes on (up), and ours leaves
# with a goodbye. What FRR says of the session is printed before and after.
set -eu
program=$1
shift
ours=bfd-ours-$$
theirs=bfd-frr-$$
run=$(mktemp -d /tmp/bfd-frr.XXXXXX)
frr=
zebra=
mine=
clean() {
    for pid in $frr $zebra $mine; do kill -9 "$pid" 2>/dev/null || true; done
    exec 9>&- || true
    ip netns del "$ours" 2>/dev/null || true
    ip netns del "$theirs" 2>/dev/null || true
    rm -rf "$run"
}
trap clean EXIT INT TERM
ip netns add "$ours"
ip netns add "$theirs"
ip link add v0 netns "$ours" type veth peer name v0 netns "$theirs"
ip -n "$ours" addr add 192.0.2.1/24 dev v0
ip -n "$theirs" addr add 192.0.2.2/24 dev v0
ip -n "$ours" link set v0 up
ip -n "$theirs" link set v0 up
case " $* " in
*" --multihop "*) peer="peer 192.0.2.1 multihop local-address 192.0.2.2" ;;
*) peer="peer 192.0.2.1 local-address 192.0.2.2 interface v0" ;;
esac
cat >"$run/bfdd.conf" <<EOF
bfd
 $peer
  detect-multiplier 3
  receive-interval 200
  transmit-interval 200
EOF
chmod -R a+rX "$run"
chown -R frr "$run" 2>/dev/null || true
# bfdd learns of interfaces from zebra.
ip netns exec "$theirs" /usr/lib/frr/zebra -f /dev/null -i "$run/zebra.pid" \
    --vty_socket "$run" -z "$run/zserv.api" -A 127.0.0.1 -P 0 -u frr -g frr &
zebra=$!
until [ -S "$run/zebra.vty" ]; do sleep 0.1; done
ip netns exec "$theirs" /usr/lib/frr/bfdd -f "$run/bfdd.conf" -i "$run/bfdd.pid" \
    --vty_socket "$run" -z "$run/zserv.api" --bfdctl "$run/bfdd.sock" -A 127.0.0.1 -P 0 -u frr -g frr &
frr=$!
until [ -S "$run/bfdd.vty" ]; do sleep 0.1; done
mkfifo "$run/stop"
ip netns exec "$ours" "$program" 192.0.2.2 192.0.2.1 --tx 100 --rx 300 --multiplier 4 "$@" \
    <"$run/stop" >"$run/ours" &
mine=$!
exec 9>"$run/stop"
show() { vtysh --vty_socket "$run" -d bfdd -c "show bfd peers" 2>/dev/null || echo "(vtysh failed)"; }
wait_for() {
    tries=0
    until [ "$(grep -c "$1" "$run/ours")" -ge "$2" ]; do
        tries=$((tries + 1))
        [ $tries -lt 200 ] || { echo "FAILED: no $1"; cat "$run/ours"; exit 1; }
        sleep 0.1
    done
}
wait_for "up: true" 1
sleep 3
show
kill -STOP "$frr"
wait_for "up: false" 1
kill -CONT "$frr"
wait_for "up: true" 2
sleep 3
echo bye >&9
wait "$mine"
mine=
echo "--- ours"
cat "$run/ours"
echo "--- FRR after the goodbye"
show
