# Gives a session its input, that of this shell. Arguments: the number of the session, and how many seconds it may take.
d="$TMPDIR/.processes/$1"
[ -e "$d/ready" ] || exit 3
[ ! -e "$d/exit" ] && kill -0 "$1" 2>/dev/null || exit 4
exec 3>"$d/lock"
flock -w "$2" 3 || exit 5
timeout "$2" sh -c 'exec cat >"$1"' sh "$d/in" 3>&- || exit 5
