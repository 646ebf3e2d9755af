#!/usr/bin/env python3
"""Prints the copyright notices and licences of what is linked into static programs, which go where the programs go.

    notices.py TRIPLE PROGRAM...

The crates are those of the bill of materials (sbom.py), each with the texts that its authors ship in it; a text that several
have stands here once. Whoever ships none is named with the licence that its manifest declares. Must never name a path of
the machine.
"""

import os
import re
import sys

import sbom

# What a crate's licence lies in, at the top of its folder and of the C library in it.
IS_NOTICE = re.compile(r"(?i)^(licen[cs]e|copying|copyright|notice|unlicense)([-._].*)?$")
FOLDERS = ("", "aws-lc")

# What the compilers link in by themselves, in a few words: their licences ask for no more with a program.
TOOLCHAIN = """\
The Rust standard library, MIT OR Apache-2.0, https://www.rust-lang.org
The GNU C library, LGPL-2.1-or-later, https://www.gnu.org/software/libc
SQLite, in the server, which its authors have dedicated to the public domain, https://www.sqlite.org/copyright.html
"""


def notices_in(folder):
    for part in FOLDERS:
        place = os.path.join(folder, part)
        for name in sorted(os.listdir(place)) if os.path.isdir(place) else []:
            path = os.path.join(place, name)
            if IS_NOTICE.match(name) and os.path.isfile(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    yield file.read().replace("\r\n", "\n").strip("\n")


def main():
    if len(sys.argv) < 3 or not set(sys.argv[2:]) <= sbom.FEATURES.keys():
        sys.exit(f"usage: notices.py TRIPLE {'|'.join(sbom.FEATURES)}...")
    triple = sys.argv[1]
    packages = sbom.packages(triple)
    crates = {crate for program in sys.argv[2:] for crate in sbom.cargo_tree(program, triple)}
    crates = sorted(crate for crate in crates if packages[crate]["source"])
    users = {}
    for crate in crates:
        for text in notices_in(os.path.dirname(packages[crate]["manifest_path"])):
            users.setdefault(text, []).append("{} {}".format(*crate))

    print("These programs contain the work of others, under their licences. The texts follow.\n")
    for crate in crates:
        print("{} {}, {}".format(*crate, sbom.licence(packages[crate])))
    print(TOOLCHAIN, end="")
    for text, names in users.items():
        print("\n" + "-" * 80)
        print(", ".join(dict.fromkeys(names)) + ":\n")
        print(text)


if __name__ == "__main__":
    main()
