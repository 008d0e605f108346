# Starts a session in the background and tells its number. Arguments: the script of sessions, and what `sh -c` takes with it.
p="$TMPDIR/.processes"
mkdir -p -m 700 "$p" || exit 1
setsid sh -c "$@" </dev/null >/dev/null 2>&1 &
until [ -e "$p/$!/ready" ]; do
    kill -0 "$!" 2>/dev/null || exit 1
    sleep 0.01
done
echo "$!"
