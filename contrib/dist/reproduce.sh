#!/bin/sh
# Builds a release twice, as if on two machines, and compares the results byte for byte: make reproduce.
#
#             one                             two
#   source    a clone of the commit           the unpacked output of git archive, without git
#   folder    one                             a deeper one, with a space in its name
#   user      the current user                nobody, if the current user is root
#   HOME, CARGO_HOME, rustup's toolchain      all in other folders
#   umask     022                             077
#   clock     this machine's                  400 days later (faketime), for all but rustc
#   locale    C, UTC                          Turkish if it can be generated, else C.UTF-8; Kiritimati, 14 hours ahead
#   jobs      as many as processors           3
#
# Builds the last commit, needs no network once the crates are fetched, and keeps both builds if they differ. The folder is
# created in REPRODUCE, by default /var/tmp; it needs about 5 GB.
set -eu
cd "$(dirname "$0")/../.."
umask 022

for program in faketime git python3; do
    command -v $program > /dev/null || { echo "make reproduce needs $program; on Debian: apt-get install faketime git python3" >&2; exit 1; }
done
[ -z "$(git status --porcelain --untracked-files=no)" ] || echo "uncommitted changes are ignored" >&2
# Not below this folder, or cargo would read its configuration, too. Another user needs access.
work=$(mktemp -d "${REPRODUCE:-/var/tmp}/flaskpaste-reproduce.XXXXXXXXXX")
chmod 755 "$work"
cargo fetch --locked --quiet

sysroot=$(rustc --print sysroot)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
# A clean environment; CI is kept, because it forbids skipping an architecture.
clean() { env -i ${CI+CI="$CI"} "$@"; }

build_one() {
    git clone --quiet . "$work/one"
    ( cd "$work/one" &&
        clean PATH="$sysroot/bin:$PATH" HOME="$HOME" CARGO_HOME="$cargo_home" CARGO_NET_OFFLINE=true LC_ALL=C TZ=UTC \
            make dist deb )
}

# Hard links if possible: a toolchain is a gigabyte, and nothing writes to it.
copy() { cp -al "$1" "$2" 2>/dev/null || { rm -rf "$2" && cp -a "$1" "$2"; }; }

build_two() {
    two="$work/two/a deeper folder/flaskpaste"
    mkdir -p "$two" "$work/two/bin" "$work/two/home" "$work/two/cargo/registry"
    git archive HEAD | tar -C "$two" -xf -
    copy "$sysroot" "$work/two/toolchain"
    cp -r "$cargo_home/registry/index" "$cargo_home/registry/cache" "$work/two/cargo/registry/"
    locale=C.UTF-8
    if localedef -i tr_TR -f UTF-8 "$work/two/tr_TR.UTF-8" 2>/dev/null; then locale=tr_TR.UTF-8; fi
    as_nobody=
    if [ "$(id -u)" = 0 ]; then
        as_nobody="setpriv --reuid=65534 --regid=65534 --clear-groups"
        for mine in "$work/two/a deeper folder" "$work/two/home" "$work/two/cargo"; do chown -R 65534:65534 "$mine"; done
    else
        echo "both builds run as the current user: only root can switch users" >&2
    fi
    # rustc hangs under faketime, like other programs with their own allocator, so it sees the real clock.
    printf '#!/bin/sh\nunset LD_PRELOAD\nexec "%s" "$@"\n' "$work/two/toolchain/bin/rustc" > "$work/two/bin/rustc"
    chmod 755 "$work/two/bin/rustc"
    # Faking the monotonic clock would make timed waits hang; file times are not faked either.
    # shellcheck disable=SC2086
    ( cd "$two" && umask 077 &&
        clean $as_nobody faketime -f +400d env FAKETIME_DONT_FAKE_MONOTONIC=1 NO_FAKE_STAT=1 \
            PATH="$work/two/bin:$work/two/toolchain/bin:/usr/bin:/bin" RUSTC="$work/two/bin/rustc" \
            HOME="$work/two/home" CARGO_HOME="$work/two/cargo" CARGO_NET_OFFLINE=true CARGO_BUILD_JOBS=3 \
            LOCPATH="$work/two" LC_ALL=$locale TZ=Pacific/Kiritimati make dist deb )
}

# Prints which files of two archives or packages differ.
tell() {
    echo "$1 differs:"
    mkdir -p "$work/unpacked/one" "$work/unpacked/two"
    for build in one two; do
        eval "file=\$dist_$build/\$1"
        case $1 in
            *.tar.gz) tar -C "$work/unpacked/$build" -xzf "$file" ;;
            *.deb) dpkg-deb --raw-extract "$file" "$work/unpacked/$build" ;;
            *) cp "$file" "$work/unpacked/$build/" ;;
        esac
    done
    diff -r "$work/unpacked/one" "$work/unpacked/two" || true
    rm -rf "$work/unpacked"
}

build_one
build_two
dist_one=$work/one/target/dist
dist_two="$work/two/a deeper folder/flaskpaste/target/dist"
if diff "$dist_one/SHA256SUMS" "$dist_two/SHA256SUMS"; then
    cat "$dist_one/SHA256SUMS"
    rm -rf "$work"
    echo "both builds are identical"
    exit 0
fi
for file in $(LC_ALL=C ls "$dist_one"); do
    [ "$file" = SHA256SUMS ] || cmp -s "$dist_one/$file" "$dist_two/$file" || tell "$file"
done
echo "the builds differ; they are in $work" >&2
exit 1
