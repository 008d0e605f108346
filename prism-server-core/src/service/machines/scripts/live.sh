# Starts a session, tells its number in a line, what it writes, and how it ended, after a mark, in both outputs. Ends when
# that was read, which is when the input ends. Arguments: the mark, and those of `start.sh`.
mark="$1"
shift
p="$TMPDIR/.processes"
mkdir -p -m 700 "$p" || exit 1
exec 3<&0
setsid sh -c "$@" </dev/null 3<&- &
{
    wait "$!"
    code=$?
} 2>/dev/null
[ -e "$p/$!/ready" ] || exit 1
if [ -s "$p/$!/exit" ]; then code="$(cat "$p/$!/exit")"; fi
printf '%s%s\n' "$mark" "$code"
printf '%s%s\n' "$mark" "$code" >&2
read -r _ <&3
