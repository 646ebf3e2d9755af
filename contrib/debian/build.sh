#!/bin/sh
# Builds the Debian packages from what `make packages` has installed into STAGE/flaskpaste and STAGE/fpaste:
#
#   build.sh STAGE VERSION ARCH FOLDER
#
# The packages depend only on these files and contrib/dist/source.sh, not on the builder's clock, umask, locale or name.
# dpkg-deb is enough for that; debhelper would only add parts.
set -eu
stage=$1 version=$2 target=$3-unknown-linux-gnu folder=$4
here=$(dirname "$0")
case $3 in
    x86_64) arch=amd64 ;;
    aarch64) arch=arm64 ;;
    *) echo "Debian packages cannot be built for $3, only for x86_64 and aarch64" >&2; exit 1 ;;
esac
export LC_ALL=C TZ=UTC
SOURCE_DATE_EPOCH=$(sh "$here/../dist/source.sh" date)
export SOURCE_DATE_EPOCH

# The short description, from Cargo.toml, without an article.
what=$(sed -n 's/^description = "A \(.*\):.*"/\1/p' "$here/../../Cargo.toml")
maintainer=$(sed -n 's/^Maintainer: //p' "$here/flaskpaste.control")
[ -n "$what" ] && [ -n "$maintainer" ] || { echo "Cargo.toml has no description 'A …: …', or flaskpaste.control no maintainer" >&2; exit 1; }

debian_changelog() {
    printf '%s (%s) unstable; urgency=medium\n\n  * The changes are in changelog.gz.\n\n' "$1" "$version"
    printf ' -- %s  %s\n' "$maintainer" "$(date -R -d "@$SOURCE_DATE_EPOCH")"
}

# The files Debian policy requires in every package.
add_documents() {
    package=$1 root=$2
    install -d "$root/usr/share/doc/$package" "$root/usr/share/lintian/overrides"
    install -m 644 "$here/copyright" "$root/usr/share/doc/$package/copyright"
    # Not in a pipe, which would hide its failure.
    python3 "$here/../dist/notices.py" "$target" "$package" > "$root/usr/share/doc/$package/third-party.txt"
    gzip -9n "$root/usr/share/doc/$package/third-party.txt"
    gzip -9n < "$here/../../CHANGELOG.md" > "$root/usr/share/doc/$package/changelog.gz"
    debian_changelog "$package" | gzip -9n > "$root/usr/share/doc/$package/changelog.Debian.gz"
    install -m 644 "$here/$package.lintian-overrides" "$root/usr/share/lintian/overrides/$package"
    find "$root/usr/share/man" -type f -exec gzip -9n {} +
    # Guides link to the manual pages as they are installed.
    find "$root/usr/share/doc" -name '*.md' -exec sed -i 's|\(/man[18]/[a-z]*\.[18]\))|\1.gz)|g' {} +
}

# The folder DEBIAN: maintainer scripts, checksums and the control file. The size is computed as by dpkg-gencontrol, because
# that of `du` depends on the file system.
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
        # For postinst; not in /usr/share/doc, which administrators may exclude.
        install -d "$root/usr/share/flaskpaste"
        install -m 644 "$here/../flaskpaste.env" "$root/usr/share/flaskpaste/flaskpaste.env"
    fi
    add_documents $package "$root"
    add_control $package "$root"
    chmod -R a-s,u=rwX,go=rX "$root"
    find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
    dpkg-deb --root-owner-group -Zxz --build "$root" "$folder/${package}_${version}_$arch.deb"
done
