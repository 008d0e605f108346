# Runs a program in a session of its own, whose number is that of this shell, and keeps what is known of it in a folder.
# Arguments: how long the program may take, in seconds, or 0; how many bytes a part of what it writes has; the program.
# What it writes is also written to the outputs of this shell, and waits for them, until they are closed.
d="$TMPDIR/.processes/$$" time="$1" most="$2"
shift 2
rm -rf "$d"
mkdir -m 700 "$d" && mkfifo -m 600 "$d/in" "$d/1" "$d/2" || exit 1
printf '%s\n' "$*" >"$d/command"

# Keeps the last two parts of a stream; in a file beside them, the number of the last one.
echo 0 >"$d/out.n"
echo 0 >"$d/err.n"
keep() {
    n=0
    while
        stdbuf -o0 head -c "$most" 2>/dev/null | tee -p "$1.$n" 2>/dev/null
        [ "$(wc -c <"$1.$n")" -eq "$most" ]
    do
        rm -f "$1.$((n - 1))"
        n=$((n + 1))
        # Whoever reads it meanwhile finds a number.
        echo "$n" >"$1.next" && mv "$1.next" "$1.n"
    done
    # What is left where there is no room for it.
    exec tee -p /dev/null
}

# Whether something that the program has left can still write.
held() {
    for f in /proc/[0-9]*/fd/[12]; do
        if [ "$f" -ef "$d/1" ] || [ "$f" -ef "$d/2" ]; then return 0; fi
    done
    return 1
}

exec 4<>"$d/1" 5<>"$d/2"
{
    exec <"$d/1" 4>&- 5>&-
    keep "$d/out"
} &
out=$!
{
    exec <"$d/2" >&2 4>&- 5>&-
    keep "$d/err"
} &
err=$!
# Whoever knows its number finds it.
: >"$d/ready"
echo "$$"
begun="$(date +%s)"
timeout --foreground -k 1 -- "$time" "$@" <>"$d/in" >"$d/1" 2>"$d/2" 4>&- 5>&-
code=$?
exec 4>&- 5>&-
looks=0
while kill -0 "$out" 2>/dev/null || kill -0 "$err" 2>/dev/null; do
    if held; then
        looks=$((looks + 1))
        [ "$looks" -lt 20 ] || break
        sleep 0.05
    else
        wait "$out" "$err"
    fi
done
echo "$code" >"$d/exit"
if [ "$time" -gt 0 ] && [ $(($(date +%s) - begun)) -ge "$time" ]; then
    case "$code" in 124 | 137) kill -KILL 0 ;; esac
fi
exit "$code"
