# SPDX-License-Identifier: MIT
"""Hostile clients beside users of the chat and of the auction, on both adapters, behind nginx and behind HAProxy with the
configurations of examples/proxy: eight sites, one after the other.

On each site, users write and read first beside two processes that compute, which take the processor time that the
attackers take later; then beside the attackers, who run all attacks at once and are users themselves: they log in, open
streams that they do not read, and send junk. The condition: the p99 of users beside attackers is at most twice that
beside the processes that compute; no stream of theirs ends, no request fails, and each message or bid that the server
has accepted is in the database once and arrives in each stream."""
import http.client
import json
import multiprocessing
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import types
import urllib.parse

import attacks
import field
import honest
import target

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from port import reserve_port  # noqa: E402

PROXIES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/proxy")
START_S, PATIENCE_S, LEAST_MS = 30, 20, 5.0
USERS, PERIOD_S = 8, 0.2  # a user acts every 1.6 s
HELD_STREAMS = 40  # of attackers: civetweb has a thread for each stream
KINDS = ("page", "write", "read")


def find(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def changed(name, changes):
    """Return a configuration of examples/proxy, in which each of these texts occurs once and is replaced."""
    with open(os.path.join(PROXIES, name)) as f:
        text = f.read()
    for before, after in changes:
        assert text.count(before) == 1, f"{name}: {before}"
        text = text.replace(before, after)
    return text


class Site(target.Target):
    """A program and a proxy in front of it."""

    def __init__(self, programs, name, adapter, proxy):
        self.name, self.tls = name, None
        self.folder = tempfile.mkdtemp(prefix="vestry-soak-")
        os.chmod(self.folder, 0o755)
        self.db = os.path.join(self.folder, "site.db")
        self.port = reserve_port()
        path = os.path.join(self.folder, "web.sock")
        where = ["--unix-socket", path] if adapter == "microhttpd" else ["--port", "0"]
        self.log = open(os.path.join(self.folder, "log"), "w+b")
        self.program = subprocess.Popen([os.path.join(programs, name), *where, "--adapter", adapter, "--db", self.db],
                                        stdout=subprocess.PIPE, stderr=self.log)
        line = self.program.stdout.readline().decode()
        if adapter == "microhttpd":
            os.chmod(path, 0o666)  # the proxy's workers are not root
            upstream = path
        else:
            upstream = re.search(r"127\.0\.0\.1:\d+", line).group()
        self.proxy = subprocess.Popen(self.command(proxy, upstream), stdout=self.log, stderr=self.log)
        until = time.monotonic() + START_S
        while not self.ask(b"GET / HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n")[0]:
            if time.monotonic() > until:
                self.end()
                raise RuntimeError(f"{proxy} does not start: {self.text_of_log()}")
            time.sleep(0.05)

    def command(self, proxy, upstream):
        """Write the configuration: examples/proxy with other addresses, without TLS, which would mostly measure this
        test's own clients."""
        file = os.path.join(self.folder, "proxy")
        if proxy == "nginx":
            kept = " ".join(f"{of}_temp_path {self.folder}/{of};" for of in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            text = changed("nginx.conf", [
                ("http {", f"http {{ access_log off; {kept}"), ("listen 443 ssl http2", f"listen 127.0.0.1:{self.port}"),
                ("server unix:/run/web/web.sock", f"server {'unix:' if upstream[0] == '/' else ''}{upstream}"),
                ("ssl_certificate /etc/ssl/web.pem;", ""), ("ssl_certificate_key /etc/ssl/web.pem;", "")])
            user = "user nobody nogroup; " if os.geteuid() == 0 else ""
            command = [find("nginx"), "-p", self.folder, "-e", f"{self.folder}/error.log", "-c", file, "-g",
                       f"daemon off; pid {self.folder}/pid; {user}"]
        else:
            most = min(40000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2 - 100)  # two descriptors each
            text = changed("haproxy.cfg", [
                ("maxconn 40000", f"maxconn {most}"),
                ("bind :443 ssl crt /etc/ssl/web.pem alpn h2,http/1.1", f"bind 127.0.0.1:{self.port}"),
                ("unix@/run/web/web.sock", f"{'unix@' if upstream[0] == '/' else ''}{upstream}")])
            command = [find("haproxy"), "-W", "-db", "-f", file]
        with open(file, "w") as f:
            f.write(text)
        return command

    def stats(self, timeout=2.0):
        return None  # an example has no counters for attackers

    def text_of_log(self):
        self.log.seek(0)
        return self.log.read(65536).decode(errors="replace")

    def end(self):
        """Return None, or a fault in its end."""
        wrong = None if self.program.poll() is None else f"the program died: {self.program.returncode}"
        for process, how in ((self.program, signal.SIGTERM), (self.proxy, signal.SIGTERM)):
            process.send_signal(how)
            try:
                status = process.wait(START_S)
                if process is self.program and status:
                    wrong = wrong or f"exit status {status}"
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                wrong = wrong or f"{process.args[0]} did not stop within {START_S} s"
        return wrong


# ---- users ------------------------------------------------------------------------------------------------------------


class User:
    """A browser of the chat or the auction, over the proxy. The number of a message is part of its text, that of a bid its
    amount."""

    def __init__(self, site, name, source="127.0.0.1"):
        self.site, self.source, self.cookies, self.count = site, source, {}, 0
        status, form = self.ask("GET", "/")
        token = re.search(r'name="csrf" value="(\w{64})"', form)
        fields = {"name": name, **({"csrf": token.group(1)} if token else {})}
        status, _ = self.ask("POST", "/login", urllib.parse.urlencode(fields), "application/x-www-form-urlencoded")
        if status != 303:
            raise ConnectionError(f"/login: {status}")

    def head(self, method, path, body, content, more):
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        lines = {"Host": "soak", "Cookie": cookie, **({"Content-Type": content, "Content-Length": len(body)} if body is not None else {}), **more}
        return (f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items()) + "\r\n").encode() + (body or b"")

    def ask(self, method, path, body=None, content="application/json", **more):
        more = {name.replace("_", "-"): value for name, value in more.items()}
        with self.site.connect(PATIENCE_S, self.source) as s:
            s.sendall(self.head(method, path, body.encode() if body is not None else None, content, {"Connection": "close", **more}))
            answer = http.client.HTTPResponse(s)
            answer.begin()
            for cookie in answer.headers.get_all("Set-Cookie") or []:
                name, _, value = cookie.split(";")[0].partition("=")
                self.cookies[name] = value
            return answer.status, answer.read().decode(errors="replace")

    def load(self, path):
        """Load a document, and remember its tokens."""
        status, page = self.ask("GET", path)
        found = {name: re.search(pattern, page) for name, pattern in
                 (("csrf", r"_csrf=\"'(\w{64})'"), ("nonce", r"_once=\"'(\w{64})'"), ("tab", r"take\(\) \|\| '(\w{64})'"))}
        self.csrf, self.nonce, self.tab = (found[name].group(1) if found[name] else "" for name in ("csrf", "nonce", "tab"))
        return status

    def act(self, path, **signals):
        self.count += 1
        more = {"Datastar-Request": "true", "X-Once": f"{self.nonce}.{self.count}"}
        if self.csrf:
            more["X-CSRF-Token"] = self.csrf
        return self.ask("POST", path, json.dumps({"tabId": self.tab, **signals}), **more)

    def open(self, path, receive_bytes=0):
        """Open the stream of a page; return its socket, and the first bytes."""
        s = self.site.connect(PATIENCE_S, self.source, receive_bytes)
        query = urllib.parse.quote(json.dumps({"tabId": self.tab}))
        s.sendall(self.head("GET", f"{path}?datastar={query}", None, "", {"Datastar-Request": "true"}))
        status, rest = honest.read_head(s)
        if status != 200:
            raise ConnectionError(f"{path}: {status}")
        return s, rest


class Chat:
    page = "/"
    shown = re.compile(rb"<p[^>]*>m(\d+)</p>")

    @staticmethod
    def begin(user):
        pass

    @staticmethod
    def write(user, number):
        status, text = user.act("/channel/1/message", text=f"m{number}")
        return status if "error" not in text else 500

    @staticmethod
    def stored(db):
        return [int(text[1:]) for (text,) in db.execute("SELECT text FROM message WHERE channel = 1 AND text GLOB 'm[0-9]*' ORDER BY id")]

    junk = ("/channel/2/message", "/channel/1", "/channel/99/message", "/channel", "/channel/1/draft")  # not the users' channel


class Auction:
    page = "/lot/4"
    shown = re.compile("€ (\\d+)\\.\\d\\d</".encode())

    @staticmethod
    def begin(user):
        """Offer the lot of the users."""
        parts = {"title": "a lot", "about": "", "price": "1.00", "minutes": "600"}
        body = "".join(f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts.items())
        status, text = user.ask("POST", "/lots", body + "--b--\r\n", "multipart/form-data; boundary=b")
        if status != 303:
            raise ConnectionError(f"/lots: {status} {text}")

    @staticmethod
    def write(user, number):
        status, text = user.act("/bid/4", amount=f"{number}.00")
        return status if '"_message":""' in text else 500

    @staticmethod
    def stored(db):
        return [cents // 100 for (cents,) in db.execute("SELECT cents FROM bid WHERE lot = 4 ORDER BY number")]

    junk = ("/bid/1", "/bid/0", "/kept", "/lots")  # not the users' lot


EXAMPLES = {"chat": Chat, "auction": Auction}


class Tab(threading.Thread):
    """The stream of a user: it notes when the page first shows each number."""

    def __init__(self, user, example, sent):
        super().__init__(daemon=True)
        self.shown, self.sent, self.last, self.samples, self.has_ended = example.shown, sent, 0, [], False
        self.socket, self.data = user.open(example.page)
        self.socket.settimeout(None)
        self.start()

    def run(self):
        while data := self.receive():
            now, self.data = time.monotonic(), self.data + data
            newest = max(map(int, self.shown.findall(self.data)), default=0)
            self.data = self.data[-64:]  # a number may be cut
            self.samples += [now - self.sent[n] for n in range(self.last + 1, newest + 1) if n in self.sent]
            self.last = max(newest, self.last)
        self.has_ended = True

    def receive(self):
        try:
            return self.socket.recv(1 << 18)
        except OSError:
            return b""


def people(site, pipe):
    """The users: each has an open stream; they write in turn. Report the samples and faults since the last query."""
    example = EXAMPLES[site.name]
    users = [User(site, f"user {i}") for i in range(USERS)]
    example.begin(users[0])
    for user in users:
        user.load(example.page)
    sent = {}
    tabs = [Tab(user, example, sent) for user in users]
    samples, faults, accepted, number = {"page": [], "write": []}, [], [], 0

    def report():
        """Return what came since the last report."""
        nonlocal samples, faults
        came = {**samples, "read": []}, faults
        for tab in tabs:
            tab.samples, read = [], tab.samples
            came[0]["read"] += read
        samples, faults = {"page": [], "write": []}, []
        return came

    pipe.send("ready")
    due = time.monotonic()
    while True:
        while pipe.poll(max(0, due - time.monotonic())):
            command = pipe.recv()
            if command == "mark":
                pipe.send(report())
                continue
            most = max(accepted, default=0)  # the end: each accepted number must still arrive
            until = time.monotonic() + PATIENCE_S
            while time.monotonic() < until and any(tab.last < most for tab in tabs):
                time.sleep(0.05)
            faults += [f"a stream shows {tab.last} of {most}" for tab in tabs if tab.last < most]
            faults += ["a user's stream ended" for tab in tabs if tab.has_ended]
            pipe.send((*report(), accepted))
            return
        due = max(due + PERIOD_S, time.monotonic())
        number += 1
        user = users[number % USERS]
        sent[number] = began = time.monotonic()
        try:
            status = example.write(user, number)
            samples["write"].append(time.monotonic() - began)
            if status in (200, 204):
                accepted.append(number)
            else:
                faults.append(f"a write got {status}")
            began = time.monotonic()
            status, _ = user.ask("GET", "/")
            samples["page"].append(time.monotonic() - began)
            if status != 200:
                faults.append(f"a page got {status}")
        except (OSError, http.client.HTTPException) as e:
            faults.append(f"{type(e).__name__}: {e}")


# ---- attackers --------------------------------------------------------------------------------------------------------


def members(attacker):
    """Log in under several names, open streams that are never read, and send junk with valid sessions: wrong tokens, wrong
    types, long texts, submissions of others."""
    site, random = attacker.target, attacker.random
    example = EXAMPLES[site.name]
    users, held = [], []
    for _ in attacker.turns(200):
        source = random.choice(attacker.sources)
        try:
            if len(users) < 12 or random.random() < 0.01:
                users.append(User(site, f"hostile {len(users)}", source))
                users[-1].load(example.page)
            user = random.choice(users)
            if len(held) < HELD_STREAMS:
                held.append(user.open(example.page, 4096)[0])
            elif random.random() < 0.02:
                attacker.reset(held.pop(0))
            tokens = {"X-CSRF-Token": random.choice((user.csrf, "", "0" * 64)), "X-Once": random.choice(("", f"{user.nonce}.1", "x.1", "y" * 4000))}
            values = (random.randrange(1 << 62), "j" * random.choice((1, 60, 3000)), ["x"] * 50, None, {"a": {"b": 1}})
            signals = {"tabId": random.choice((user.tab, "f" * 64, 7)),
                       **{name: random.choice(values) for name in ("text", "edit", "edited", "drop", "name", "amount")}}
            if signals["text"] and isinstance(signals["text"], str):
                signals["text"] = "j" + signals["text"]
            user.ask("POST", random.choice(example.junk), json.dumps(signals), Datastar_Request="true", **tokens)
            attacker.did += 1
        except (OSError, http.client.HTTPException, ValueError):
            continue
    for s in held:
        s.close()


def all_attacks():
    """Return the attacks that need no particular server and do not read the counters, and the members."""
    fitting = [one for one in attacks.TABLE if not one.descriptors and not one.tls_only and one.name != "blocked-resets"]
    return [*fitting, types.SimpleNamespace(name="members", run=members)]


def compute():
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while True:
        pass


def at_site(programs, name, adapter, proxy, seconds, seed):
    """Return p99 beside computing processes and beside attackers, by kind; and faults."""
    wrong, before, after = [], {}, {}
    site = Site(programs, name, adapter, proxy)
    ours, theirs = multiprocessing.Pipe()
    users = multiprocessing.Process(target=people, args=(site, theirs), daemon=True)
    users.start()
    try:
        if not ours.poll(START_S):
            raise RuntimeError(f"the users did not begin: {site.text_of_log()}")
        ours.recv()
        loops = [multiprocessing.Process(target=compute, daemon=True) for _ in range(os.cpu_count())]
        for loop in loops:
            loop.start()
        time.sleep(2)
        ours.send("mark")
        ours.recv()
        time.sleep(seconds / 4)
        ours.send("mark")
        before, wrong = ours.recv()
        for loop in loops:
            loop.kill()
            loop.join()
        for attack, process, pipe in field.launch(site, all_attacks(), seconds * 3 / 4, 1 / 8, seed, "many", True):
            process.join(seconds + PATIENCE_S * 3)
            process.kill()
            if not field.told(pipe)[0]:
                wrong.append(f"the attack {attack.name} did nothing")
        ours.send("end")
        after, faults, accepted = ours.recv()
        wrong += faults
        users.join(PATIENCE_S)
        ended = site.end()
        if ended:
            wrong.append(ended)
        stored = example_rows(name, site.db)
        if sorted(set(stored)) != sorted(stored):
            wrong.append("a message is stored twice")
        lost = set(accepted) - set(stored)
        if lost:
            wrong.append(f"{len(lost)} of {len(accepted)} accepted messages are not stored")
        if not accepted:
            wrong.append("nothing was accepted")
    except (OSError, RuntimeError, EOFError, ConnectionError) as e:
        wrong.append(f"{type(e).__name__}: {e}")
        site.end()
    users.kill()
    shutil.rmtree(site.folder, ignore_errors=True)
    quiet, loud = ({kind: honest.percentile(of.get(kind, []), 0.99) * 1000 for kind in KINDS} for of in (before, after))
    for kind in KINDS:
        if loud[kind] > max(2 * quiet[kind], LEAST_MS):
            wrong.append(f"{kind}: p99 {loud[kind]:.1f} ms, beside computing processes {quiet[kind]:.1f}")
    return quiet, loud, {kind: len(after.get(kind, [])) for kind in KINDS}, wrong


def example_rows(name, file):
    with sqlite3.connect(file, timeout=PATIENCE_S) as db:
        return EXAMPLES[name].stored(db)


def run(programs, minutes, seed):
    """Run the eight sites, of equal duration; print a table. Return how many failed."""
    sites = [(name, adapter, proxy) for name in EXAMPLES for adapter in ("civetweb", "microhttpd") for proxy in ("nginx", "haproxy")]
    missing = [proxy for proxy in ("nginx", "haproxy") if not find(proxy)]
    if missing:
        sys.exit(f"soak: {' and '.join(missing)} not installed: apt-get install {' '.join(missing)}")
    print("| example | adapter | proxy | requests, events | page p99 ms | write p99 ms | read p99 ms | verdict |\n" + "|---" * 8 + "|", flush=True)
    failed = 0
    for name, adapter, proxy in sites:
        quiet, loud, counts, wrong = at_site(programs, name, adapter, proxy, minutes * 60 / len(sites), seed)
        cells = [name, adapter, proxy, f"{counts['page'] + counts['write']:,}, {counts['read']:,}",
                 *(f"{quiet[kind]:.1f} → {loud[kind]:.1f}" for kind in KINDS)]
        distinct = sorted(set(wrong), key=wrong.index)
        verdict = "ok" if not wrong else "**FAILS**: " + "; ".join(f"{one} ({wrong.count(one)})" for one in distinct[:8])
        print("| " + " | ".join(cells) + f" | {verdict} |", flush=True)
        failed += bool(wrong)
    return failed
