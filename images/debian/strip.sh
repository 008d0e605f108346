#!/bin/sh
# Takes away from a Debian root what nobody needs in a container: caches, logs, manuals, translations; the library
# of Perl, which only rare commands of git ask for, beside the small one that stays; git's commands for networks.
# Licences stay. What is left of Python is compiled, because nothing can be written when it runs.
#
# usage: strip.sh ROOT
set -eu
root=${1%/}
[ -x "$root/usr/bin/python3" ] || { echo "strip.sh: there is no Debian with Python in ${1}" >&2; exit 1; }

find "$root/usr/share/doc" \( -type f -o -type l \) ! -name copyright -delete
find "$root/usr/share/doc" -type d -empty -delete
for directory in man info locale lintian bug bash-completion gitweb perl perl5; do
    rm -rf "$root/usr/share/$directory"
done
rm -rf "$root"/usr/lib/*/perl "$root"/usr/lib/*/perl5 "$root"/usr/lib/*/gconv "$root"/usr/lib/*/libperl.so*
for command in credential-cache--daemon daemon http-backend http-fetch http-push imap-send remote-ext remote-fd \
    remote-ftp remote-ftps remote-http remote-https shell; do
    rm -f "$root/usr/lib/git-core/git-$command"
done
rm -rf "$root"/usr/bin/scalar "$root"/usr/lib/git-core/scalar "$root"/var/cache/* "$root"/var/log/* \
    "$root"/var/lib/apt/lists/* "$root"/etc/apt/sources.list
find "$root/usr" -name __pycache__ -prune -exec rm -rf {} +
chroot "$root/" python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /usr/lib/python3.11
