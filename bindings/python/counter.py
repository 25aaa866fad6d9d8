#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The counter in Python: a live page whose count all tabs share, a button, and a timer. counter.py [PORT]"""
import sys
import threading

import vestry

lock = threading.Lock()
count = 0


def add(number):
    global count
    with lock:
        count += number
    app.refresh("count")


with vestry.Instance() as app:

    @app.page("/")
    def page(page):
        page.topic("count")
        page.raw('<!doctype html><html lang="en"><title>Counter</title>')
        page.raw(f'<script type="module" src="{vestry.DATASTAR_URL}"></script>').head()
        page.raw("""<body><button data-on:click="@post('/jump')">Jump by ten</button>""")
        page.begin().raw("<output>").text(count).raw("</output>").end()

    @app.route("POST", "/jump")
    def jump(_, reply):
        add(10)
        reply.status(204)

    @app.route("POST", "/broken")
    def broken(_, __):
        raise ValueError("on purpose")

    @app.every(1)
    def tick():
        add(1)

    app.serve(int(sys.argv[1]) if len(sys.argv) > 1 else 8080, lambda url: print("counter.py:", url, flush=True))
