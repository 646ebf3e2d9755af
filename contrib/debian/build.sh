#!/bin/sh
# Makes the Debian packages of what `make packages` has installed into STAGE/flaskpaste and STAGE/fpaste:
#
#   build.sh STAGE VERSION ARCH FOLDER
#
# Every byte follows from these files and contrib/dist/source.sh: no time, umask, locale or name of the builder is in a
# package. dpkg-deb is enough for that; debhelper would do the same with more parts.
set -eu
stage=$1 version=$2 target=$3-unknown-linux-gnu folder=$4
here=$(dirname "$0")
case $3 in
    x86_64) arch=amd64 ;;
    aarch64) arch=arm64 ;;
    *) echo "no Debian package is made for $3, only for x86_64 and aarch64" >&2; exit 1 ;;
esac
export LC_ALL=C TZ=UTC
SOURCE_DATE_EPOCH=$(sh "$here/../dist/source.sh" date)
export SOURCE_DATE_EPOCH

# What the program is, from Cargo.toml, as the first line of a description wants it: without an article, and short.
what=$(sed -n 's/^description = "A \(.*\):.*"/\1/p' "$here/../../Cargo.toml")
maintainer=$(sed -n 's/^Maintainer: //p' "$here/flaskpaste.control")
[ -n "$what" ] && [ -n "$maintainer" ] || { echo "Cargo.toml has no description 'A …: …', or flaskpaste.control no maintainer" >&2; exit 1; }

debian_changelog() {
    printf '%s (%s) unstable; urgency=medium\n\n  * The changes are in changelog.gz.\n\n' "$1" "$version"
    printf ' -- %s  %s\n' "$maintainer" "$(date -R -d "@$SOURCE_DATE_EPOCH")"
}

# What the policy asks of every package.
add_documents() {
    package=$1 root=$2
    install -d "$root/usr/share/doc/$package" "$root/usr/share/lintian/overrides"
    install -m 644 "$here/copyright" "$root/usr/share/doc/$package/copyright"
    # Not through a pipe, in which its failure would not count.
    python3 "$here/../dist/notices.py" "$target" "$package" > "$root/usr/share/doc/$package/third-party.txt"
    gzip -9n "$root/usr/share/doc/$package/third-party.txt"
    gzip -9n < "$here/../../CHANGELOG.md" > "$root/usr/share/doc/$package/changelog.gz"
    debian_changelog "$package" | gzip -9n > "$root/usr/share/doc/$package/changelog.Debian.gz"
    install -m 644 "$here/$package.lintian-overrides" "$root/usr/share/lintian/overrides/$package"
    find "$root/usr/share/man" -type f -exec gzip -9n {} +
}

# The folder DEBIAN: the maintainer scripts, checksums and the control file. Sizes are summed up as dpkg-gencontrol does it,
# since what `du` says depends on the file system.
add_control() {
    package=$1 root=$2
    size=$(find "$root" \( -type f -printf '%s\n' -o -printf '1\n' \) | awk '{ sum += int(($1 + 1023) / 1024) } END { print sum }')
    install -d "$root/DEBIAN"
    ( cd "$root" && find usr -type f | sort | xargs -d '\n' md5sum ) > "$root/DEBIAN/md5sums"
    sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" -e "s/@WHAT@/$what/" \
        "$here/$package.control" > "$root/DEBIAN/control"
    for script in postinst prerm postrm; do
        [ ! -e "$here/$package.$script" ] || install -m 755 "$here/$package.$script" "$root/DEBIAN/$script"
    done
}

for package in flaskpaste fpaste; do
    root=$stage/$package
    if [ $package = flaskpaste ]; then
        # What postinst copies; nothing may need what is in /usr/share/doc, which administrators can leave out.
        install -d "$root/usr/share/flaskpaste"
        install -m 644 "$here/../flaskpaste.env" "$root/usr/share/flaskpaste/flaskpaste.env"
    fi
    add_documents $package "$root"
    add_control $package "$root"
    chmod -R a-s,u=rwX,go=rX "$root"
    find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz --build "$root" "$folder/${package}_${version}_$arch.deb"
done
