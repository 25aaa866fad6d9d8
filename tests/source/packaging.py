#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Check that debian/ describes the results of the build: packaging.py REPOSITORY BUILD_FOLDER [--write | --planted]

Each shared library has a package, and its debian/*.symbols contains the functions that the library exports, each with
the first version that had it. One line of debian/*.install names each file of `cmake --install`, and each line names a
file; each example is in vestry-tools. The versions in version.h, README.md, CHANGELOG.md and debian/changelog are
equal, and so are the maintainers in debian/ and MAINTAINERS.md.

--write makes the symbols files again (scripts/packages --symbols): a function keeps its version, a new one gets that of
version.h. It removes a function that the library no longer has, and fails if that function was in an earlier version.
--planted puts faults of each kind into a copy, and fails if one is not detected."""
import fnmatch
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

LINE = re.compile(r"^ ([\w.]+)@VESTRY_[\d.]+ (\S+)$", re.M)


def version(top):
    return re.search(r'VESTRY_VERSION +"(.*?)"', (top / "include/vestry/version.h").read_text())[1]


def has_releases(top):
    """Return whether CHANGELOG.md contains an earlier version, which must have been released."""
    return len(re.findall(r"^## ", (top / "CHANGELOG.md").read_text(), re.M)) > 1


def libraries(build):
    """Return package → soname, the version of the public functions that the library exports, and these functions;
    private ones, which other libraries of the same version call, have another version."""
    found = {}
    for path in sorted((build / "lib").glob("libvestry*.so")):
        dynamic = subprocess.run(["readelf", "-d", path], check=True, capture_output=True, text=True).stdout
        soname = re.search(r"\(SONAME\).*\[(.*)\]", dynamic)
        if not soname:
            continue  # a helper of the tests
        names = subprocess.run(["nm", "-D", "--defined-only", path], check=True, capture_output=True, text=True).stdout
        package = re.sub(r"\.so\.", "", re.sub(r"(\d)\.so\.", r"\1-", soname[1]))
        node = f"VESTRY_{soname[1].partition('.so.')[2]}"
        public = [line.split()[2].partition("@")[0] for line in names.splitlines() if line.endswith(node)]
        found[package] = soname[1], node, sorted(public)
    return found


def write_symbols(top, build):
    for package, (soname, node, names) in libraries(build).items():
        path = top / "debian" / f"{package}.symbols"
        before = dict(LINE.findall(path.read_text())) if path.exists() else {}
        gone = sorted(name for name, first in before.items() if name not in names and first != version(top))
        if not has_releases(top):
            before = {}
        elif gone:
            sys.exit(f"{path.name}: {', '.join(gone)}: gone since a release, which breaks programs (docs/abi.md)")
        lines = "".join(f" {name}@{node} {before.get(name, version(top))}\n" for name in names)
        lines += f" (symver)VESTRY_PRIVATE_{version(top)} {version(top)}\n"
        path.write_text(f"{soname} {package} #MINVER#\n* Build-Depends-Package: libvestry-dev\n{lines}")


def check_symbols(top, built):
    control = (top / "debian/control").read_text()
    for package, (soname, node, names) in built.items():
        if soname.partition(".so.")[2] != version(top).rpartition(".")[0]:
            yield f"{soname}: the soname is not that of the minor version of {version(top)} (docs/abi.md)"
        path = top / "debian" / f"{package}.symbols"
        if f"\nPackage: {package}\n" not in control:
            yield f"debian/control has no package {package} for {soname}"
        if not path.exists():
            yield f"debian/ has no {package}.symbols: scripts/packages --symbols"
            continue
        listed = {name for name, _ in LINE.findall(path.read_text())}
        if f" (symver)VESTRY_PRIVATE_{version(top)} {version(top)}\n" not in path.read_text():
            yield f"{path.name} lacks the private functions of {version(top)}: scripts/packages --symbols"
        if new := sorted(set(names) - listed):
            yield f"{path.name} lacks {', '.join(new)}: scripts/packages --symbols"
        if gone := sorted(listed - set(names)):
            yield f"{path.name} has {', '.join(gone)}, and {soname} does not: scripts/packages --symbols"
    for path in (top / "debian").glob("*.symbols"):
        if path.stem not in built:
            yield f"{path.name} belongs to no library of the build"


def installed(build, prefix):
    """Return the installed files, named as in a Debian package."""
    subprocess.run(["cmake", "--install", build, "--prefix", prefix], check=True, capture_output=True)
    for path in sorted(prefix.rglob("*")):
        if not path.is_dir():
            yield re.sub(r"^lib(64)?/([^/]*-linux-[^/]*/)?", "lib/TRIPLET/", str(path.relative_to(prefix)))


def examples(top):
    names = {path.stem for path in (top / "examples").glob("*.c")}
    folders = {path.parent.name for path in (top / "examples").glob("*/*.c")}
    return names | folders - {"shared", "evhttp"}  # evhttp needs libevent, which the package is not built with


def check_install(top, files):
    lines = [(path.name, line.split()) for path in sorted((top / "debian").glob("*.install"))
             for line in path.read_text().splitlines()]
    for name in files:
        parts = [f"usr/{part}" for part in (name, *pathlib.Path(name).parents)]
        owners = [owner for owner, words in lines if fnmatch.filter(parts, words[0])]
        if len(owners) != 1:
            yield f"{name} is installed, and is in {' and '.join(owners) or 'no debian/*.install'}"
    there = {f"usr/{part}" for name in files for part in (name, *pathlib.Path(name).parents)}
    for owner, words in lines:
        if words[0].startswith("usr/") and not fnmatch.filter(there, words[0]):
            yield f"debian/{owner} has {words[0]}, which nothing installs"
    programs = {words[0].rpartition("/")[2] for _, words in lines if words[-1] == "usr/libexec/vestry"}
    for name in sorted(programs ^ examples(top)):
        yield f"debian/vestry-tools.install and examples/ differ in {name}"


def check_versions(top):
    wanted = version(top)
    head = re.search(r"^## (\S+), (.*)$", (top / "CHANGELOG.md").read_text(), re.M)
    debian = re.match(r"vestry \((\S+)-\S+\) (\S+);", (top / "debian/changelog").read_text())
    readme = re.search(r"\bVersion (\d+\.\d+\.\d+)(, not yet released)?", (top / "README.md").read_text())
    for name, found in (("CHANGELOG.md", head[1]), ("debian/changelog", debian[1]), ("README.md", readme and readme[1])):
        if found != wanted:
            yield f"{name} begins with {found}, version.h has {wanted}"
    if readme and bool(readme[2]) != (head[2] == "not yet released"):
        yield f"README.md and CHANGELOG.md differ in whether {wanted} is released"
    if (head[2] == "not yet released") != (debian[2] == "UNRELEASED"):
        yield f"CHANGELOG.md says {head[2]!r}, debian/changelog {debian[2]}"


def check_maintainers(top):
    name, address = re.search(r"^Maintainer: (.*) <(.*)>$", (top / "debian/control").read_text(), re.M).groups()
    if f"\n| {name} | {address} |" not in (top / "MAINTAINERS.md").read_text():
        yield f"MAINTAINERS.md does not name {name} <{address}>: debian/control does"
    if not re.search(rf"^ -- {re.escape(name)} <{re.escape(address)}>  ", (top / "debian/changelog").read_text(), re.M):
        yield f"debian/changelog has no entry of {name} <{address}>, the Maintainer of debian/control"


def check(top, built, files):
    return [*check_symbols(top, built), *check_install(top, files), *check_versions(top), *check_maintainers(top)]


PLANTED = [  # a file, its text, and the replacement; a word that the message must contain
    ("debian/libvestry0.4.symbols", " vestry_create@VESTRY", " vestry_creates@VESTRY", "lacks vestry_create:"),
    ("debian/libvestry-nats0.4.symbols", None, None, "no libvestry-nats0.4.symbols"),
    ("debian/control", "Package: libvestry-sqlite0.4", "Package: libvestry-sqlite2", "no package libvestry-sqlite0.4"),
    ("debian/libvestry-dev.install", "usr/include/vestry\n", "", "include/vestry/drain.h is installed"),
    ("debian/libvestry0.4.install", "libvestry.so", "libvestry*.so", "and libvestry0.4.install"),
    ("debian/libvestry-dev.install", "cmake/vestry\n", "cmake/vestry\nusr/share/other\n", "nothing installs"),
    ("debian/vestry-tools.install", "obj-*/bin/poll usr/libexec/vestry\n", "", "differ in poll"),
    ("debian/changelog", "vestry (", "vestry (7", "debian/changelog begins with 7"),
    ("README.md", "Version ", "Version 7", "README.md begins with 7"),
    ("debian/control", "\nMaintainer: ", "\nMaintainer: An Other and ", "MAINTAINERS.md does not name An Other"),
]


def try_planted(top, built, files):
    missed = 0
    suite = re.match(r"vestry \(\S+\) (\S+);", (top / "debian/changelog").read_text())[1]
    other = "unstable" if suite == "UNRELEASED" else "UNRELEASED"
    planted = [*PLANTED, ("debian/changelog", suite, other, "CHANGELOG.md says")]
    for name, old, new, wanted in planted:
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder)
            for part in ("debian", "examples", "include/vestry"):
                shutil.copytree(top / part, copy / part)
            for part in ("CHANGELOG.md", "MAINTAINERS.md", "README.md"):
                shutil.copy(top / part, copy)
            path = copy / name
            if old is None:
                path.unlink()
            else:
                assert old in path.read_text(), f"{name} has no {old!r}: change PLANTED"
                path.write_text(path.read_text().replace(old, new, 1))
            said = check(copy, built, files)
            if not any(wanted in line for line in said):
                print(f"not found: {name} with {new!r}", *said, sep="\n  ")
                missed += 1
    print(f"{len(planted) - missed} of {len(planted)} faults found")
    return missed


def main():
    top, build, task = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    if task == ["--write"]:
        return write_symbols(top, build)
    built = libraries(build)
    assert "libvestry0.4" in built, f"{build} has no library"
    with tempfile.TemporaryDirectory() as prefix:
        files = list(installed(build, pathlib.Path(prefix)))
    if task == ["--planted"]:
        return 1 if try_planted(top, built, files) else 0
    found = check(top, built, files)
    print("\n".join(found) or f"{len(built)} libraries, {len(files)} files, version {version(top)}")
    return 1 if found else 0


sys.exit(main())
