# SPDX-License-Identifier: MIT
"""vestry in Python: live pages, handlers, timers and dispatches of the C library.

    app = vestry.Instance()

    @app.page("/")
    def count(page):
        page.topic("count")
        page.raw("<!doctype html><title>Count</title>").head()
        page.begin().text(n).end()

    @app.route("POST", "/jump")
    def jump(request, reply):
        app.refresh("count")
        reply.status(204)

    app.serve(8080)          # until Ctrl-C

Functions are called on threads of the library, one at a time because of Python's global lock. If a function raises
vestry.Error, the answer is that of the error; any other exception is logged, and the answer is 500. Request, reply and
page are valid until the function returns."""
import json
import traceback

from vestry._vestry import ffi, lib

DATASTAR_URL = ffi.string(lib.datastar_url).decode()


class Error(Exception):
    """An error of the library. code: its number; str: the function and the name of the error."""

    def __init__(self, code, function):
        super().__init__(f"{function}: {ffi.string(lib.vestry_err_name(code)).decode()}")
        self.code = code


def _must(code, function):
    if code == lib.VESTRY_NO_MEMORY:
        raise MemoryError(function)
    if code != lib.VESTRY_OK:
        raise Error(code, function)


class _Json:
    """JSON of the C library, made from a Python value. A with statement frees it."""

    def __init__(self, value):
        self.text = json.dumps(value).encode()

    def __enter__(self):
        self.made = lib.parsed(self.text)
        if self.made == ffi.NULL:
            raise ValueError("the value cannot be written as JSON for vestry: " + self.text.decode()[:100])
        return self.made

    def __exit__(self, *_):
        lib.unparsed(self.made)


class Request:
    """A request."""

    def __init__(self, c):
        self._c = c

    @property
    def scope(self):
        """The scope of the session or user, as bytes."""
        return ffi.buffer(self._c.scope.data, self._c.scope.len)[:] if self._c.scope.len else b""

    @property
    def signals(self):
        """The signals of the page, as a dict."""
        text = lib.signals_text(self._c)
        if text == ffi.NULL:
            raise MemoryError("signals")
        try:
            return json.loads(ffi.string(text))
        finally:
            lib.drop(text)


class Reply:
    """The reply to a request."""

    def __init__(self, c):
        self._c = c

    def status(self, status):
        _must(lib.vestry_reply_status(self._c, status), "vestry_reply_status")

    def html(self, text):
        body = text.encode()
        _must(lib.vestry_reply_body(self._c, b"text/html; charset=utf-8", body, len(body)), "vestry_reply_body")

    def keep(self, name):
        """Keep the request's stream open under this name, together with other streams of the name."""
        _must(lib.keep(self._c, name.encode()), "vestry_reply_keep")

    def patch_signals(self, signals):
        with _Json(signals) as made:
            _must(lib.patch_signals(self._c, made), "vestry_reply_patch_signals")

    def patch_elements(self, html):
        _must(lib.vestry_reply_patch_elements(self._c, html.encode()), "vestry_reply_patch_elements")


class Page:
    """The render of a live page. Each function returns the page."""

    def __init__(self, c, html):
        self._c, self._html = c, html

    def topic(self, name):
        """Render the page again when this topic is refreshed."""
        _must(lib.vestry_render_topic(self._c, name.encode()), "vestry_render_topic")
        return self

    def raw(self, html):
        """Append HTML of the program, unescaped."""
        text = html.encode()
        _must(lib.vestry_html_raw(self._html, text, len(text)), "vestry_html_raw")
        return self

    def text(self, value):
        """Append a text or a number, escaped for its context."""
        text = str(value).encode()
        _must(lib.vestry_html_text(self._html, text, len(text)), "vestry_html_text")
        return self

    def head(self):
        _must(lib.vestry_render_head(self._c, self._html), "vestry_render_head")
        return self

    def begin(self):
        """Begin the live content, which ends at end()."""
        _must(lib.vestry_render_begin(self._c, self._html), "vestry_render_begin")
        return self

    def end(self):
        _must(lib.vestry_render_end(self._c, self._html), "vestry_render_end")
        return self


class Instance:
    """An instance with its pages. close(), or the end of a with statement, stops it."""

    def __init__(self):
        self._handles, self._timers = [], []  # what C points to
        made = ffi.new("vestry **")
        _must(lib.vestry_create(ffi.NULL, made), "vestry_create")
        self._v = made[0]
        pages = ffi.new("vestry_pages **")
        code = lib.vestry_pages_create(self._v, ffi.NULL, pages)
        if code != lib.VESTRY_OK:
            lib.vestry_destroy(self._v)
            _must(code, "vestry_pages_create")
        self._pages = pages[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Stop and free the instance. A second call does nothing. In a callback of the instance this raises Error, and
        the instance continues to work."""
        v = self._v
        if not v:
            return
        code = lib.VESTRY_TIMEOUT
        while code == lib.VESTRY_TIMEOUT:
            code = lib.vestry_stop(v, 1000)
        _must(code, "vestry_stop")
        self._v = None
        for timer in self._timers:
            lib.vestry_timer_destroy(timer)
        lib.vestry_pages_destroy(self._pages)
        lib.vestry_destroy(v)

    def _handle(self, function):
        handle = ffi.new_handle((self, function))
        self._handles.append(handle)
        return handle

    def route(self, method, pattern):
        """A decorator: function(request, reply) serves the route. Use it before serve()."""

        def mount(function):
            _must(lib.vestry_route(self._v, method.encode(), pattern.encode(), lib.on_request, self._handle(function)), "vestry_route")
            return function

        return mount

    def page(self, pattern):
        """A decorator: function(page) renders the live page at this path. Use it before serve()."""

        def mount(function):
            options = ffi.new("vestry_page_options *")
            options.render, options.app = lib.on_render, self._handle(function)
            made = ffi.new("vestry_page **")
            _must(lib.vestry_page_create(self._pages, options, made), "vestry_page_create")
            _must(lib.vestry_route(self._v, b"GET", pattern.encode(), ffi.addressof(lib, "vestry_page_handler"), made[0]), "vestry_route")
            return function

        return mount

    def every(self, seconds):
        """A decorator: function() is called periodically."""

        def arm(function):
            made, period_ms = ffi.new("vestry_timer **"), max(1, int(seconds * 1000))
            runtime = lib.vestry_parts_of(self._v).runtime
            _must(lib.vestry_timer_create(runtime, lib.on_timer, self._handle(function), made), "vestry_timer_create")
            self._timers.append(made[0])
            _must(lib.vestry_timer_set(made[0], period_ms, period_ms), "vestry_timer_set")
            return function

        return arm

    def refresh(self, topic):
        """Render the pages again that named this topic. Any thread."""
        _must(lib.vestry_refresh(self._pages, topic.encode(), ffi.NULL), "vestry_refresh")

    def dispatch(self, scope, name, effects):
        """Perform effects on the streams that are stored under this name. False: there are none. Any thread."""
        with _Json(effects) as made:
            code = lib.dispatch(self._v, scope, len(scope), name.encode(), made)
        if code == lib.VESTRY_NOT_FOUND:
            return False
        _must(code, "vestry_dispatch")
        return True

    def serve(self, port=0, ready=None):
        """Serve on this machine only until SIGINT or SIGTERM. ready(url) receives the URL."""
        options = ffi.new("vestry_server_options *")
        options.port = port
        if ready:
            options.on_ready, options.ctx = lib.on_ready, self._handle(ready)
        _must(lib.vestry_server_run(self._v, lib.microhttpd(), options), "vestry_server_run")

    def _failed(self, function, raised):
        """Return the error code of C for an exception."""
        if isinstance(raised, Error):
            return raised.code
        if isinstance(raised, MemoryError):
            return lib.VESTRY_NO_MEMORY
        where = traceback.extract_tb(raised.__traceback__)[-1]
        words = f"vestry (Python): {function.__name__}, line {where.lineno} of {where.name}: {type(raised).__name__}: {raised}"
        lib.say(self._v, words.replace("\n", " ").encode()[:900])
        return lib.VESTRY_FAILED


def _called(handle, *arguments):
    instance, function = ffi.from_handle(handle)
    try:
        function(*arguments)
        return lib.VESTRY_OK
    except Exception as raised:  # noqa: BLE001 nothing may be raised into C
        return instance._failed(function, raised)


@ffi.def_extern(error=lib.VESTRY_FAILED)
def on_request(request, reply, app):
    return _called(app, Request(request), Reply(reply))


@ffi.def_extern(error=lib.VESTRY_FAILED)
def on_render(render, html, app):
    return _called(app, Page(render, html))


@ffi.def_extern()
def on_timer(_, ctx):
    _called(ctx)


@ffi.def_extern()
def on_ready(server, ctx):
    _called(ctx, ffi.string(server.url).decode())
