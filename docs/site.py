#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The docs as one site that can be searched: site.py REPOSITORY FOLDER [--check]

mkdocs with the theme material (Debian: mkdocs, mkdocs-material) makes the site from existing files: the guide, the
examples with their pictures, the public headers, the essays in src/, the benchmarks. The pages are written as Markdown
to FOLDER/pages, and the site to FOLDER/html. A file that a page links to becomes a page. --check: all links and anchors
have targets, no page loads anything from another host, and no page is missing."""
import html.parser
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap
import urllib.parse

TOP, OUT = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
PAGES, SITE = OUT / "pages", OUT / "html"
HIDDEN = re.compile(r"<!-- c\b.*?\n-->", re.S)  # the part of a snippet that only the tests read
QUOTED = re.compile(r"^```(\w+) (\S+)$", re.M)  # code of a file; a test compares both
LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?\)")
COMMENT = re.compile(r"/\*\*? ?(.*?)\*/", re.S)
LANGUAGES = {".c": "c", ".h": "c", ".hpp": "cpp", ".cpp": "cpp", ".py": "python", ".js": "javascript", ".css": "css", ".sql": "sql",
             ".html": "html", ".sh": "bash", ".yml": "yaml", ".json": "json"}


def inside(comment):
    """Return a comment as Markdown, with indented lines as code; lists of arguments keep their columns."""
    lines = [re.sub(r"^ ?\* {0,2}", "", line).rstrip() for line in comment.strip().split("\n")]
    out, code = [], False
    for line in lines:
        is_code = bool(re.match(r" {2,}\S|[A-Za-z_]+(, [a-z_]+)*  +\S", line)) or (code and not line.strip())
        if is_code != code:
            out += ["", "```text"] if is_code else ["```", ""]
        code = is_code
        out.append(line if is_code else re.sub(r"([<*_\[\]])", r"\\\1", line).replace("\\@", "@"))
    if code:
        out.append("```")
    return re.sub(r"(?<=^```text\n).*?(?=^```)", lambda found: textwrap.dedent(found[0]), "\n".join(out), flags=re.M | re.S)


def header(path):
    """Return a public header as a page: its first comment, then each declaration under its name."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"^/\* SPDX.*?\*/\n", "", text)
    name = str(path.relative_to(TOP / "include"))
    head = COMMENT.match(text)
    page = [f"# {name}", "", inside(head.group(1)) if head else "", "", f"    #include <{name}>", ""]
    rest = text[head.end() if head else 0:]
    for comment, declaration in re.findall(r"(/\*\*.*?\*/)\n((?:(?!/\*\*)[^\n]+\n)+)", rest, re.S):
        names = re.findall(r"\b(vestry_[a-z0-9_]+)\(|#define (VESTRY_[A-Z0-9_]+)|^\} (vestry_[a-z0-9_]+);|typedef .*?\b(vestry_[a-z0-9_]+);",
                           declaration, re.M)
        names = [next(filter(None, found)) for found in names] or re.findall(r"\b(?:struct|enum) (vestry_[a-z0-9_]+)", declaration)
        if not names:
            continue
        title = next((n for n in names if re.search(rf"VESTRY_API[^;]*\b{n}\(", declaration)), names[-1])
        page += [f"## {title}", "", inside(COMMENT.match(comment).group(1)), "", "```c", declaration.rstrip(), "```", ""]
    return "\n".join(page)


def essays():
    """Return the essays of src/: the path of a page → its subject and its text."""
    made = {}
    for path in sorted((TOP / "src").rglob("*.[ch]")):
        text = path.read_text(encoding="utf-8")
        marks = re.findall(r"^/\* essay: (.*?) \*/", text, re.M | re.S)
        if not marks:
            continue
        about = " ".join(re.sub(r"\s*\n \* ", " ", mark) for mark in marks)
        after = text[text.rindex("/* essay:"):]
        comments = [c.group(1) for c in COMMENT.finditer(after)][1:]
        words = next((c for c in comments if len(c) > 200), comments[0] if comments else "")
        place = path.relative_to(TOP)
        made[f"essays/{str(place.relative_to('src')).replace('/', '-')}.md"] = (
            about, f"# {about[:1].upper()}{about[1:]}\n\nFrom `{place}`.\n\n{inside(words)}\n")
    return made


def rewritten(path, text, wanted):
    """Return a page whose links lead to pages. Add the linked files to `wanted`, which become pages, too."""

    def link(match):
        target, anchor = match[2], match[3] or ""
        if re.match(r"[a-z]+:", target):
            return match[0]
        file = pathlib.Path(os.path.normpath(path.parent / urllib.parse.unquote(target)))
        if (TOP / file).is_dir():
            readme = file / "README.md"
            if (TOP / readme).exists() and readme in PAGES_OF:
                return f"{match[1]}{os.path.relpath(readme, path.parent)}{anchor})"
            return f"{match[1]}{os.path.relpath('README.md', path.parent)})"
        if file.suffix == ".h" and file.is_relative_to("include/vestry"):
            page = "headers" / file.relative_to("include/vestry").with_suffix(".md")
            return f"{match[1]}{os.path.relpath(page, path.parent)}{anchor})"
        if file.suffix in (".md", ".png", ".svg", ".webp"):
            return match[0]
        wanted.add(file)
        return f"{match[1]}{target}.md{anchor})"

    # Links in code are not replaced, because C has the same brackets.
    parts = re.split(r"(^```.*?^```|^(?: {4}|\t)[^\n]*$|`[^`\n]+`)", QUOTED.sub(r"From `\2`:\n\n```\1", HIDDEN.sub("", text)), flags=re.M | re.S)
    return "".join(part if i % 2 else LINK.sub(link, part) for i, part in enumerate(parts))


def write(path, text):
    to = PAGES / path
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(text, encoding="utf-8")


def title(path):
    return re.search(r"^# (.*)$", (PAGES / path).read_text(encoding="utf-8"), re.M)[1].strip()


def named(paths):
    return [{title(path): str(path)} for path in paths]


PAGES_OF = [path.relative_to(TOP) for path in sorted(
    [*TOP.glob("*.md"), *(TOP / "docs").glob("*.md"), *(TOP / "docs" / "guide").glob("*.md"), TOP / "examples" / "README.md",
     TOP / "bindings" / "README.md", TOP / "tests" / "capabilities.md"])]


def make():
    for folder in (PAGES, SITE):
        shutil.rmtree(folder, ignore_errors=True)
    wanted = set()
    for path in PAGES_OF:
        write(path, rewritten(path, (TOP / path).read_text(encoding="utf-8"), wanted))
    for path in [*(TOP / "docs").glob("*.svg"), *(TOP / "docs" / "pictures").iterdir()]:
        (PAGES / path.relative_to(TOP)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, PAGES / path.relative_to(TOP))
    for path in sorted(wanted):
        fence = "`" * 4
        code = (TOP / path).read_text(encoding="utf-8")
        write(f"{path}.md", f"# {path}\n\n{fence}{LANGUAGES.get(path.suffix, 'text')}\n{code}{fence}\n")
    headers = []
    for path in sorted((TOP / "include" / "vestry").rglob("*.h"), key=lambda path: (len(path.parts), path)):
        headers.append(f"headers/{path.relative_to(TOP / 'include' / 'vestry').with_suffix('.md')}")
        write(headers[-1], header(path))
    written = essays()
    for path, (_, text) in written.items():
        write(path, text)
    guide = [pathlib.Path("docs/guide") / name for name in
             re.findall(r"\]\(([a-z-]+\.md)\)", (TOP / "docs" / "guide" / "README.md").read_text(encoding="utf-8"))]
    guide = list(dict.fromkeys(guide))
    docs = [path for path in PAGES_OF if path.parent == pathlib.Path("docs")]
    measured = [path for path in docs if path.name.startswith("bench-") or path.name == "measured.md"]
    settings = {
        "site_name": "vestry", "docs_dir": str(PAGES), "site_dir": str(SITE), "strict": True, "use_directory_urls": False,
        "site_description": "Live connections by name: keyed stores of Datastar streams, in C",
        "theme": {"name": "material", "font": False, "features": ["navigation.sections", "navigation.top", "search.suggest", "content.code.copy"],
                  "palette": [
                      {"media": "(prefers-color-scheme: light)", "scheme": "default", "toggle": {"icon": "material/weather-night", "name": "dark"}},
                      {"media": "(prefers-color-scheme: dark)", "scheme": "slate", "toggle": {"icon": "material/weather-sunny", "name": "light"}}]},
        "plugins": ["search"], "extra": {"generator": False},
        "markdown_extensions": ["tables", "attr_list", "md_in_html", {"toc": {"permalink": True}}, "pymdownx.superfences", "pymdownx.highlight"],
        "nav": [{"vestry": "README.md"}, {"Guide": ["docs/guide/README.md", *named(guide)]}, {"Examples": "examples/README.md"},
                {"Headers": [{path[8:-3]: path} for path in headers]},
                {"How it is built": [*named(path for path in docs if path not in measured),
                                     {"Essays": [{about: path} for path, (about, _) in written.items()]},
                                     {"Capabilities and their tests": "tests/capabilities.md"}, {"Bindings": "bindings/README.md"}]},
                {"Measured": named(measured)},
                {"The project": named(path for path in PAGES_OF if path.parent == pathlib.Path(".") and path.name != "README.md")}]}
    (OUT / "mkdocs.yml").write_text(json.dumps(settings, indent=1), encoding="utf-8")  # JSON is YAML
    environment = dict(os.environ, NO_MKDOCS_2_WARNING="1")
    done = subprocess.run(["/usr/bin/mkdocs", "build", "--quiet", "--strict", "--config-file", str(OUT / "mkdocs.yml")], env=environment,
                          capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"mkdocs:\n{done.stdout}{done.stderr}")
    return guide, headers, written


class Page(html.parser.HTMLParser):
    """The ids of a page, its links, and the files that it loads."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loads, self.code = set(), [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        has = dict(attrs)
        self.ids.update(filter(None, (has.get("id"), has.get("name"))))
        self.code += tag == "pre"
        if tag == "a" and has.get("href"):
            self.links.append(has["href"])
        elif has.get("src") or (tag == "link" and has.get("rel") not in ("canonical", "prev", "next")):
            self.loads.append(has.get("src") or has.get("href"))


def check(guide, headers, written):
    faults = []
    pages = {path.relative_to(SITE): Page(path.read_text(encoding="utf-8")) for path in SITE.rglob("*.html")}
    for path, page in pages.items():
        if "```" in (SITE / path).read_text(encoding="utf-8"):
            faults.append(f"{path}: a block of code is not taken for one")
        for load in page.loads:
            if re.match(r"([a-z]+:)?//", load):
                faults.append(f"{path}: loads {load}")
        for link in [*page.links, *page.loads]:
            if re.match(r"[a-z]+:|//", link) or path.name == "404.html":
                continue
            target, _, anchor = urllib.parse.unquote(link).partition("#")
            to = pathlib.Path(os.path.normpath(path.parent / target.split("?")[0])) if target else path
            if to == pathlib.Path(".") or (SITE / to).is_dir():
                to /= "index.html"
            if not (SITE / to).is_file():
                faults.append(f"{path}: {link} leads nowhere")
            elif anchor and to in pages and anchor not in pages[to].ids:
                faults.append(f"{path}: {link}: there is no such place in {to}")
    for style in [*SITE.rglob("*.css"), *SITE.rglob("*.js")]:
        for url in re.findall(r"url\([\"']?((?:https?:)?//[^)]*)", style.read_text(encoding="utf-8")):
            faults.append(f"{style.relative_to(SITE)}: loads {url}")
    found = (SITE / "search" / "search_index.json").read_text(encoding="utf-8")
    for path in (TOP / "include" / "vestry").rglob("*.h"):
        for name in re.findall(r"^VESTRY_API[^;]*?\b(vestry_[a-z0-9_]+)\(", path.read_text(encoding="utf-8"), re.M):
            if name not in found:
                faults.append(f"{name} of {path.name} is not found by the search")
    for picture in (TOP / "docs" / "pictures").iterdir():
        if not any(picture.name in (load or "") for page in pages.values() for load in page.loads):
            faults.append(f"{picture.name} is on no page")
    if faults:
        sys.exit("\n".join([*faults[:60], f"{len(faults)} faults"]))
    print(f"{len(pages)} pages: {len(guide)} of the guide, {len(headers)} headers, {len(written)} essays")


def main():
    if subprocess.run(["/usr/bin/python3", "-c", "import importlib.util as u, mkdocs; raise SystemExit(0)"], capture_output=True).returncode or \
            not pathlib.Path("/usr/share/mkdocs/themes/material").exists():
        print("site: Debian's mkdocs and mkdocs-material are not there (apt-get install mkdocs mkdocs-material)")
        sys.exit(77)
    made = make()
    if "--check" in sys.argv:
        check(*made)
    print(SITE / "index.html")


main()
