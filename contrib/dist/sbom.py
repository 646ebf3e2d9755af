#!/usr/bin/env python3
"""Prints the SBOM of a static program: CycloneDX 1.6, JSON.

    sbom.py PROGRAM TRIPLE

It lists exactly what is linked into PROGRAM for TRIPLE: the crates, the C libraries that two of them compile (SQLite, AWS-LC),
and what the toolchain adds (the Rust standard library, glibc). The crates are those in Cargo.lock that the program's features
enable for that target, without build scripts, tests and procedural macros, which are not linked.

The same source and toolchain give the same output, so there is no serial number and no time. Must never print a path of the
machine, nor guess: missing data is an error.
"""

import json
import os
import platform
import re
import subprocess
import sys
import tomllib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# The features of each program, as in the Makefile.
FEATURES = {"flaskpaste": "server", "flaskpaste-postgres": "postgres", "fpaste": "client"}

# The C library in a crate: name, location of its version, identifiers, licence.
BUNDLED = {
    "libsqlite3-sys": {
        "name": "sqlite",
        "file": "sqlite3/sqlite3.h",
        "version": r'#define SQLITE_VERSION +"([0-9.]+)"',
        "license": "blessing",
        "purl": "pkg:generic/sqlite@{}",
        "cpe": "cpe:2.3:a:sqlite:sqlite:{}:*:*:*:*:*:*:*",
    },
    "aws-lc-sys": {
        "name": "aws-lc",
        "file": "aws-lc/include/openssl/base.h",
        "version": r'#define AWSLC_VERSION_NUMBER_STRING +"([0-9.]+)"',
        "license": "ISC AND (Apache-2.0 OR ISC)",
        "purl": "pkg:github/aws/aws-lc@v{}",
    },
}


def output_of(*command, **options):
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, cwd=ROOT, **options).stdout


def found(pattern, text, what):
    match = re.search(pattern, text)
    if not match:
        sys.exit(f"sbom.py: cannot find the version of {what}")
    return match.group(1)


def cargo_tree(program, triple):
    """The crates linked into a program, as (name, version), and the dependencies of each.

    Uses cargo tree, because cargo metadata also enables the features that build scripts and tests need."""
    lines = output_of(
        "cargo", "tree", "--locked", "--edges", "normal,no-proc-macro", "--no-dedupe", "--prefix", "depth",
        "--format", " {p}", "--target", triple, "--no-default-features", "--features", FEATURES[program],
    )  # fmt: skip
    dependencies = {}
    path = []
    for line in filter(None, lines.splitlines()):
        depth, name, version = line.split()[:3]
        crate = (name, version.removeprefix("v"))
        dependencies.setdefault(crate, set())
        del path[int(depth) :]
        if path:
            dependencies[path[-1]].add(crate)
        path.append(crate)
    return dependencies


def packages(triple):
    """The metadata of each crate, by (name, version)."""
    text = output_of(
        "cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", triple, "--all-features"
    )  # fmt: skip
    return {(package["name"], package["version"]): package for package in json.loads(text)["packages"]}


def licence(package):
    """The licence as an SPDX expression; older crates use a slash for OR."""
    return re.sub(" ?/ ?", " OR ", package["license"])


def purl(crate):
    return "pkg:cargo/{}@{}".format(*crate)


def crate_component(crate, package, checksum):
    component = {"type": "library", "bom-ref": purl(crate), "name": crate[0], "version": crate[1]}
    if package["description"]:
        component["description"] = " ".join(package["description"].split())
    component["scope"] = "required"
    component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    component["licenses"] = [{"expression": licence(package)}]
    component["purl"] = purl(crate)
    if package["repository"]:
        component["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return component


def bundled_component(crate_name, package):
    library = BUNDLED[crate_name]
    folder = os.path.dirname(package["manifest_path"])
    with open(os.path.join(folder, library["file"]), encoding="utf-8") as header:
        version = found(library["version"], header.read(), library["name"])
    return library_component(library, version)


def library_component(library, version):
    """A library that is not a crate."""
    names = {key: library[key].format(version) for key in ("cpe", "purl") if key in library}
    component = {"type": "library", "bom-ref": names["purl"], "name": library["name"], "version": version}
    return component | {"scope": "required", "licenses": [{"expression": library["license"]}]} | names


def toolchain_components(triple):
    """The code linked in by the compilers."""
    rust = found(r"(?m)^release: (.+)$", output_of("rustc", "-vV"), "Rust")
    arch = triple.split("-")[0]
    compiler = "cc" if arch == platform.machine() else f"{arch}-linux-gnu-gcc"
    macros = output_of(compiler, "-E", "-dM", "-", input="#include <features.h>\n")
    glibc = ".".join(found(rf"#define {name} (\d+)", macros, "glibc") for name in ("__GLIBC__", "__GLIBC_MINOR__"))
    return [
        library_component(
            {"name": "rust-std", "license": "MIT OR Apache-2.0", "purl": "pkg:generic/rust-std@{}"}, rust
        ),
        library_component(
            {
                "name": "glibc",
                "license": "LGPL-2.1-or-later",
                "purl": "pkg:generic/glibc@{}",
                "cpe": "cpe:2.3:a:gnu:glibc:{}:*:*:*:*:*:*:*",
            },
            glibc,
        ),
    ]


def bill_of_materials(program, triple):
    known = packages(triple)
    with open(os.path.join(ROOT, "Cargo.lock"), "rb") as file:
        checksums = {(p["name"], p["version"]): p.get("checksum") for p in tomllib.load(file)["package"]}
    tree = cargo_tree(program, triple)
    root = next(iter(tree))
    ours = known[root]

    components, edges = [], {}
    for crate in sorted(tree.keys() - {root}):
        components.append(crate_component(crate, known[crate], checksums[crate]))
        edges[purl(crate)] = {purl(dependency) for dependency in tree[crate]}
        if crate[0] in BUNDLED:
            bundled = bundled_component(crate[0], known[crate])
            components.append(bundled)
            edges[purl(crate)].add(bundled["bom-ref"])
            edges[bundled["bom-ref"]] = set()
    own = f"pkg:generic/{program}@{ours['version']}"
    toolchain = toolchain_components(triple)
    edges |= {component["bom-ref"]: set() for component in toolchain}
    edges[own] = {purl(crate) for crate in tree[root]} | {component["bom-ref"] for component in toolchain}
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": program,
                "version": ours["version"],
                "description": ours["description"],
                "licenses": [{"expression": ours["license"]}],
                "purl": own,
                "externalReferences": [{"type": "vcs", "url": ours["repository"]}],
                "properties": [
                    {"name": "flaskpaste:target", "value": triple},
                    {"name": "flaskpaste:features", "value": FEATURES[program]},
                ],
            },
        },
        "components": sorted(components + toolchain, key=lambda component: component["bom-ref"]),
        "dependencies": [{"ref": ref, "dependsOn": sorted(edges[ref])} for ref in sorted(edges)],
    }


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in FEATURES:
        sys.exit(f"usage: sbom.py {'|'.join(FEATURES)} TRIPLE")
    json.dump(bill_of_materials(*sys.argv[1:]), sys.stdout, indent=2, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main()
