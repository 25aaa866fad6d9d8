/* SPDX-License-Identifier: MIT */
/** HTML, built piece by piece, with the texts of others in it: everything is escaped for the place where it stands.
 *
 *      vestry_html html;
 *      vestry_html_init(&html, NULL);
 *      vestry_html_add(&html, "<li id=\"row-%d\" title=\"%s\">%s", id, note, name);
 *      vestry_html_add(&html, "<button data-on:click=\"");
 *      vestry_html_backend_action(&html, VESTRY_METHOD_DELETE, NULL, "/rows/%d?why=%s", id, note);
 *      vestry_html_add(&html, "\">×</button></li>");
 *      vestry_slice page;
 *      vestry_err error = vestry_html_result(&html, &page);                               // the first error, if any
 *      …
 *      vestry_html_finish(&html);
 *
 *  The builder reads along: the text of formats, and whatever is put in raw, goes through the states of the HTML
 *  tokenizer (WHATWG HTML, section 13.2.5), so it knows where a `%s` stands:
 *
 *  | where                                             | a `%s` is                                                   |
 *  |---------------------------------------------------|-------------------------------------------------------------|
 *  | text, also of `title` and `textarea`              | escaped: & < > " ' and CR as references                     |
 *  | a quoted attribute value                          | escaped likewise                                            |
 *  | …of href, src, action, formaction, data and other | and a text that begins with javascript: becomes             |
 *  |   URLs                                            | about:invalid                                               |
 *  | …of iframe, frame, object, embed                  | likewise, unless it is relative or begins with http: or     |
 *  |                                                   | https:                                                      |
 *  | …of script, base and SVG's use; of link, unless   | refused, but for the fragment: after a # of the format's    |
 *  |   a rel before it says that it is information     | own (`href="/icons.svg#%s"`) it may stand                   |
 *  |   (canonical, icon, alternate, next, …)           |                                                             |
 *  | …of on…, data-on…, data-text and the other        | inside a quoted string: escaped as part of a JavaScript     |
 *  |   attributes whose value is code                  | string; elsewhere refused: use vestry_html_js               |
 *  | …of data-attr:NAME                                | likewise, and where NAME is a URL only after what settles   |
 *  |                                                   | that it is no script: `'/people/%s'`. Refused where NAME    |
 *  |                                                   | refuses a text, and in data-attr without a name             |
 *  | …of style, srcdoc; of what animates others        | refused                                                     |
 *  |   (values, from, to, by of SVG); of what says how |                                                             |
 *  |   others are read or what they may do (type of    |                                                             |
 *  |   script, rel of link, http-equiv, and content    |                                                             |
 *  |   beside it, charset, sandbox, is, …)             |                                                             |
 *  | a value without quotes, a name, a comment,        | refused                                                     |
 *  | script, style, and where the builder lost its way |                                                             |
 *  | right after `&`, or `&` and letters or digits     | refused: it could complete a character reference |
 *
 *  Refused means: INVALID; vestry_html_error has the reason and the byte of the format, and so has the log of a page's
 *  render, an event or a reply. An address of the application's own that is refused as a `%s` (`<script src="…">`) is
 *  part of the format, or HTML as it is: `%-s`. The builder loses its way, for the code at hand only, at what would
 *  take a JavaScript parser to read: a template, a comment, a `/`, a character reference; and for good at
 *  `<![CDATA[`, `<plaintext>`, `<!--` in a script and elements inside `title`.
 *
 *  What the browser reads is the text itself, with two exceptions: a NUL, and each sequence that is not valid UTF-8
 *  (as decoders count them), become U+FFFD. So the result is valid UTF-8 if the formats and what is put in raw are. A
 *  line feed at the very beginning of `pre` and `textarea`, which the parser would drop, is kept.
 *
 *  No piece allocates by itself; the first error sticks, later calls do nothing and return it. One thread at a time. */
#ifndef VESTRY_HTML_H
#define VESTRY_HTML_H

#include <jansson.h>
#include <stdarg.h>

#include "vestry/value.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A builder, which lies where its user puts it, and is the library's own inside. Make it with vestry_html_init. */
typedef struct vestry_html {
  void *reserved[32]; /**< private */
} vestry_html;

/** Begin, in ordinary text. host is borrowed until vestry_html_finish; NULL: default. Allocates nothing. */
VESTRY_API void vestry_html_init(vestry_html *html, const vestry_host *host);
/** Free what was built; may be called twice. */
VESTRY_API void vestry_html_finish(vestry_html *html);
/** Begin anew, also after an error; the memory is kept. */
VESTRY_API void vestry_html_clear(vestry_html *html);

/** Append by a format like printf's, checked by the compiler as such.
 *    %s           a text of others, escaped for where it stands (the table above). %.*s and %.20s: at most so many
 *                 bytes, and a sequence of UTF-8 that this cuts is left out. NULL is refused, because functions such as
 *                 sqlite3_column_text return it when memory runs out, too: write "" for a value that is not there
 *    %-s, %-.*s   HTML as it is. (The flag means nothing to printf without a width.)
 *    %d %i %u %x %X, with h hh l ll z j t; %f %g   numbers, wherever they stand; a point, whatever the locale
 *    %c           as a text of one byte
 *    %%           a percent sign
 *  Flags, width and precision are printf's, both at most 1,000 (but for the precision of %s); a %-s has no width.
 *  Returns  OK | INVALID (any other conversion, %n, %p, wide and long double ones; a NULL for %s; a %s where it is
 *           refused; format NULL) | NO_MEMORY | the error that stuck
 *  Threads  the builder's; does not block */
VESTRY_API vestry_err vestry_html_add(vestry_html *html, const char *format, ...) VESTRY_PRINTF(2, 3);
/** The same with the arguments as a va_list, which is left indeterminate, as by vprintf. */
VESTRY_API vestry_err vestry_html_vadd(vestry_html *html, const char *format, va_list arguments) VESTRY_PRINTF(2, 0);

/** Append a text of others, as %s does; may contain NUL. OK | INVALID (refused here; NULL with len > 0) | NO_MEMORY. */
VESTRY_API vestry_err vestry_html_text(vestry_html *html, const char *text, size_t len);
/** Append HTML as it is, as %-s does. OK | INVALID (NULL with len > 0) | NO_MEMORY. */
VESTRY_API vestry_err vestry_html_raw(vestry_html *html, const char *bytes, size_t len);

/** Append a text as a JavaScript string literal, quotes and all: in a quoted attribute, in a script element, or in text
 *  (for a piece that will stand in an attribute). Characters that Datastar's expressions read specially are escaped
 *  too.
 *  Returns  OK | INVALID (in a comment, a name, inside another literal, where the builder lost its way in the code, a
 *           style, a URL, code that makes a URL, an import map; NULL with len > 0) | NO_MEMORY */
VESTRY_API vestry_err vestry_html_js(vestry_html *html, const char *text, size_t len);

/** Append a value as JSON, as in data-signals="…", at the places of vestry_html_js. It reads back the same as JSON and
 *  as JavaScript. (But for a member named __proto__, which JavaScript does not take for a member.)
 *      vestry_html_json(&html, VESTRY_OBJECT("counter", 4));
 *      vestry_html_json(&html, VESTRY_VALUES(json));            // a json_t: borrowed
 *  Returns  as vestry_html_js; INVALID, TOO_LARGE also for what vestry_value_to_json refuses */
VESTRY_API vestry_err vestry_html_json(vestry_html *html, const vestry_value *value);

/** What was built so far.
 *  ret_html  len bytes, then a NUL, never NULL; valid until the builder is used again; untouched on failure
 *  Returns   OK | the error that stuck | NO_MEMORY */
VESTRY_API vestry_err vestry_html_result(vestry_html *html, vestry_slice *ret_html);
/** The error that stuck, or OK.
 *  ret_why     a static English sentence without a full stop; "" for OK. NULL: not wanted
 *  ret_offset  of an INVALID from a format: the byte where the conversion begins, or the text that does not go with the
 *              conversion before it; otherwise 0. NULL: not wanted */
VESTRY_API vestry_err vestry_html_error(const vestry_html *html, const char **ret_why, size_t *ret_offset);

#ifdef __cplusplus
}
#endif
#endif
