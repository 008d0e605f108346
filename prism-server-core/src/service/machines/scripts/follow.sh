# Tells of a session what `live.sh` tells, from where it is kept. Ends with its input. Arguments: the mark, the number of the
# session, how many bytes a part of what it writes has.
mark="$1" pid="$2" most="$3" d="$TMPDIR/.processes/$2"
[ -e "$d/ready" ] || exit 3
exec 3<&0
{
    read -r _ <&3
    kill -KILL 0
} &
echo "$pid"

part() {
    if [ -e "$d/exit" ]; then
        cat "$1"
    else
        tail -c +1 -f -s 0.1 --pid="$pid" "$1" | stdbuf -o0 head -c "$most"
    fi 2>/dev/null
}

# Waits for a part of a stream, or for the end.
has() {
    until [ -e "$1.$n" ]; do
        last="$(cat "$1.n" 2>/dev/null)"
        if [ "${last:-0}" -gt "$n" ]; then
            n="$last"
        elif [ -e "$d/exit" ] || ! kill -0 "$pid" 2>/dev/null; then
            return 1
        else
            sleep 0.05
        fi
    done
}

follow() {
    n="$(cat "$1.n" 2>/dev/null)"
    n=$((${n:-0} - 1))
    [ "$n" -ge 0 ] || n=0
    while has "$1"; do
        part "$1.$n"
        n=$((n + 1))
    done
}

follow "$d/out" &
out=$!
follow "$d/err" >&2 &
wait "$out" "$!"
code=137
if [ -s "$d/exit" ]; then code="$(cat "$d/exit")"; fi
printf '%s%s\n' "$mark" "$code"
printf '%s%s\n' "$mark" "$code" >&2
wait
