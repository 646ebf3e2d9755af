#!/bin/sh
# Prints which source this is: source.sh commit, or source.sh date for the time that everything packed from it gets, in
# seconds. The same source gives the same answer, whoever asks, where and when: never the clock, nor the time of a file.
#
# The date is SOURCE_DATE_EPOCH, if that is set; else the time of the commit; without git, what git archive has written
# into contrib/dist/commit; and where that was not written either, the date of the manual page.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/../.."

# A folder above may be somebody else's repository, so only one of our own counts.
has_git() { [ -e .git ]; }
# The second line of the file: "COMMIT SECONDS", or the placeholder of a file that git archive has not seen.
archived() { sed -n '2s/^\([0-9a-f]\{40\}\) \([0-9]*\)$/\'"$1"'/p' contrib/dist/commit; }

commit() {
    if has_git; then
        head=$(git rev-parse HEAD)
        [ -z "$(git status --porcelain --untracked-files=no)" ] || head=$head-modified
    else
        head=$(archived 1)
    fi
    echo "${head:-unknown}"
}

date_of_source() {
    if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
        seconds=$SOURCE_DATE_EPOCH
    elif has_git; then
        seconds=$(git log -1 --format=%ct)
    else
        seconds=$(archived 2)
    fi
    if [ -z "$seconds" ]; then
        seconds=$(TZ=UTC date -d "$(sed -n 's/^\.Dd //p' man/flaskpaste.8)" +%s)
        echo "there is no git here and no SOURCE_DATE_EPOCH: the files get the date of man/flaskpaste.8" >&2
    fi
    case $seconds in
        *[!0-9]*) echo "SOURCE_DATE_EPOCH must be a number of seconds, not '$seconds'" >&2; exit 1 ;;
    esac
    echo "$seconds"
}

case ${1:-} in
    commit) commit ;;
    date) date_of_source ;;
    *) echo "usage: source.sh commit|date" >&2; exit 2 ;;
esac
