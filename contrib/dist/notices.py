#!/usr/bin/env python3
"""Prints the copyright notices and licences of the code linked into static programs, for distribution with them.

    notices.py TRIPLE PROGRAM...

The crates are those of the SBOM (sbom.py), each with the licence texts it contains; identical texts are printed once. A crate
without a text is listed with the licence in its manifest. Must never print a path of the machine.
"""

import os
import re
import sys

import sbom

# Names of licence files, at the top of a crate's folder and of the C library in it.
IS_NOTICE = re.compile(r"(?i)^(licen[cs]e|copying|copyright|notice|unlicense)([-._].*)?$")
FOLDERS = ("", "aws-lc")

# Code linked in by the compilers, in brief: their licences require no more for a program.
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

    print("These programs contain third-party code under the following licences.\n")
    for crate in crates:
        print("{} {}, {}".format(*crate, sbom.licence(packages[crate])))
    print(TOOLCHAIN, end="")
    for text, names in users.items():
        print("\n" + "-" * 80)
        print(", ".join(dict.fromkeys(names)) + ":\n")
        print(text)


if __name__ == "__main__":
    main()
