#!/bin/sh
# Identifies the source: `source.sh commit`, `source.sh date` for the timestamp of everything packed from it, in seconds, or
# `source.sh released` for whether its version has a tag, yes or no. The same source always gives the same answer; it never
# depends on the clock or file times.
#
# The date is SOURCE_DATE_EPOCH if set; else that of the commit; without git, the one git archive wrote into
# contrib/dist/commit; and without that, the date of the manual page.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/../.."

# A parent folder may be another repository, so only our own .git counts.
has_git() { [ -e .git ]; }
# The file's second line: "COMMIT SECONDS", or the placeholder if git archive did not write it.
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
        echo "no git and no SOURCE_DATE_EPOCH: using the date of man/flaskpaste.8" >&2
    fi
    case $seconds in
        *[!0-9]*) echo "SOURCE_DATE_EPOCH must be a number of seconds, not '$seconds'" >&2; exit 1 ;;
    esac
    echo "$seconds"
}

# Without the tags the answer is unknown, which is not no.
released() {
    has_git || { echo "only a git clone shows whether a version is released" >&2; exit 1; }
    tag=$(git tag --list "v$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)")
    if [ -n "$tag" ]; then echo yes; else echo no; fi
}

case ${1:-} in
    commit) commit ;;
    date) date_of_source ;;
    released) released ;;
    *) echo "usage: source.sh commit|date|released" >&2; exit 2 ;;
esac
