/* SPDX-License-Identifier: MIT */
/** A builder of HTML that escapes each text for its context.
 *
 *      vestry_html html;
 *      vestry_html_init(&html, NULL);
 *      vestry_html_add(&html, "<li id=\"row-%d\" title=\"%s\">%s</li>", 7, "a note", "a name");
 *      vestry_slice page;
 *      vestry_err error = vestry_html_result(&html, &page);    // the first error, if any
 *      if (!error) fwrite(page.data, 1, page.len, stdout);     // page is valid until vestry_html_finish
 *      vestry_html_finish(&html);
 *
 *  The builder parses the text of formats and raw HTML by the HTML tokenizer's states (WHATWG HTML, section 13.2.5), so
 *  it knows the context of each `%s`; vestry_html_add lists the contexts. The first error sticks: later calls do
 *  nothing and return it. All pieces go into one buffer, which grows when it is full. One thread at a time. */
#ifndef VESTRY_HTML_H
#define VESTRY_HTML_H

#include <jansson.h>
#include <stdarg.h>

#include "vestry/value.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A builder, allocated by the caller, with private members. Initialize it with vestry_html_init. One thread at a
 *  time; no function of a builder blocks. */
typedef struct vestry_html {
  void *reserved[32]; /**< private */
} vestry_html;

/** Initialize a builder, in ordinary text. host is borrowed until vestry_html_finish; NULL: default. Allocates
 *  nothing. */
VESTRY_API void vestry_html_init(vestry_html *html, const vestry_host *host);
/** Free the memory of a builder; may be called twice. */
VESTRY_API void vestry_html_finish(vestry_html *html);
/** Drop the HTML built so far and begin anew, also after an error; the memory is kept. */
VESTRY_API void vestry_html_clear(vestry_html *html);

/** Append by a format like printf's, checked by the compiler as such.
 *    %s           a text, escaped for its context (see the table). %.*s and %.20s: at most that number of bytes; a
 *                 UTF-8 sequence that this cuts is left out. NULL is refused, because functions such as
 *                 sqlite3_column_text return it for an absent value, but also when memory runs out: write "" for an
 *                 absent value
 *    %-s, %-.*s   raw HTML. (printf ignores this flag without a width.)
 *    %d %i %u %x %X, with h hh l ll z j t; %f %g   numbers, in every context; with a point, whatever the locale
 *    %c           as a text of one byte
 *    %%           a percent sign
 *  Flags, width and precision mean the same as in printf. Width and precision are at most 1,000; the precision of %s
 *  has no maximum. %-s takes a precision, but no width.
 *  Returns  OK | INVALID (any other conversion, %n, %p, wide and long double ones; a NULL for %s; a %s where it is
 *           refused; format NULL) | NO_MEMORY | the first error of the builder
 *  Threads  the builder's; does not block
 *
 *  | context                                           | a `%s` is                                                   |
 *  |---------------------------------------------------|-------------------------------------------------------------|
 *  | text, also of `title` and `textarea`              | escaped: & < > " ' and CR as references                     |
 *  | a quoted attribute value                          | escaped likewise                                            |
 *  | …of href, src, action, formaction, data and other | and a text that begins with javascript: becomes             |
 *  |   URLs                                            | about:invalid                                               |
 *  | …of iframe, frame, object, embed                  | likewise, unless it is relative or begins with http: or     |
 *  |                                                   | https:                                                      |
 *  | …of href and src in script, base and SVG's use,   | refused, except as the fragment after a # of the format     |
 *  |   and in link unless a rel before the href marks  | (`href="/icons.svg#%s"`)                                    |
 *  |   it as information (canonical, icon, next, …)    |                                                             |
 *  | …of on…, data-on…, data-text and the other        | inside a quoted string: escaped as part of a JavaScript     |
 *  |   attributes whose value is code                  | string; elsewhere refused: use vestry_html_js               |
 *  | …of data-attr:NAME, which sets NAME               | as in the row above; if NAME takes a URL, only in a string, |
 *  |                                                   | after a / or a scheme: `'/people/%s'`. Refused where NAME   |
 *  |                                                   | refuses a text, and in data-attr without a name             |
 *  | …of style, srcdoc; of attributes that animate     | refused                                                     |
 *  |   others (values, from, to, by of SVG); of        |                                                             |
 *  |   attributes that define how others are read or   |                                                             |
 *  |   what they may do (type of script, rel of link,  |                                                             |
 *  |   http-equiv, and content beside it, charset,     |                                                             |
 *  |   sandbox, is, …)                                 |                                                             |
 *  | a value without quotes, a name, a comment,        | refused                                                     |
 *  | script, style, and where the builder is lost      |                                                             |
 *  | right after `&`, or `&` and letters or digits     | refused: it could complete a character reference            |
 *
 *  Refused means INVALID. vestry_html_error returns the reason and the offset in the format; for a page's render, an
 *  event or a reply, the log has both. If `%s` is refused for a URL of the program itself (`<script src="…">`), write
 *  the URL into the format, or pass it as `%-s`. The builder is lost, which means that it cannot determine the context
 *  any more and refuses every `%s`,
 *  - for the rest of the code of one attribute, at code that only a JavaScript parser can read: a template, a comment,
 *    a `/`, a character reference;
 *  - for good, at `<![CDATA[`, `<plaintext>`, `<!--` in a script, tags in `title`, and in a `style` or script of `svg`.
 *
 *  The browser reads the texts unchanged, with two exceptions: a NUL, and each invalid UTF-8 sequence (as the decoders
 *  of browsers delimit them), become U+FFFD. So the result is valid UTF-8 if the formats and the raw HTML are valid
 *  UTF-8. A line feed at the very beginning of `pre` and `textarea`, which the parser would drop, is kept. */
VESTRY_API vestry_err vestry_html_add(vestry_html *html, const char *format, ...) VESTRY_PRINTF(2, 3);
/** As vestry_html_add, with the arguments as a va_list, whose value is indeterminate afterwards, as with vprintf. */
VESTRY_API vestry_err vestry_html_vadd(vestry_html *html, const char *format, va_list arguments) VESTRY_PRINTF(2, 0);

/** Append a text, as %s does; it may contain NUL. OK | INVALID (refused in this context; NULL with len > 0) |
 *  NO_MEMORY. */
VESTRY_API vestry_err vestry_html_text(vestry_html *html, const char *text, size_t len);
/** Append raw HTML, as %-s does. OK | INVALID (NULL with len > 0) | NO_MEMORY. */
VESTRY_API vestry_err vestry_html_raw(vestry_html *html, const char *bytes, size_t len);

/** Append a text as a JavaScript string literal with its quotes: in a quoted attribute, in a script element, or in text
 *  (for a piece that will stand in an attribute). Characters that Datastar's expressions read specially are escaped,
 *  too.
 *  Returns  OK | INVALID (in a comment, a name, inside another literal, where the builder is lost in the code, a style,
 *           a URL, code that makes a URL, an import map; NULL with len > 0) | NO_MEMORY */
VESTRY_API vestry_err vestry_html_js(vestry_html *html, const char *text, size_t len);

/** Append a value as JSON, as in data-signals="…", in the contexts of vestry_html_js. JSON and JavaScript read the same
 *  value from it, except for a member named __proto__, which JavaScript reads as the object's prototype.
 *      vestry_html_json(&html, VESTRY_OBJECT("counter", 4));
 *      vestry_html_json(&html, VESTRY_VALUES(json));            // a json_t: borrowed
 *  Returns  as vestry_html_js; also INVALID or TOO_LARGE, if vestry_value_to_json refuses the value */
VESTRY_API vestry_err vestry_html_json(vestry_html *html, const vestry_value *value);

/** Get the HTML built so far.
 *  ret_html  len bytes, then a NUL, never NULL; valid until the builder is used again; untouched on failure
 *  Returns   OK | the first error of the builder | NO_MEMORY */
VESTRY_API vestry_err vestry_html_result(vestry_html *html, vestry_slice *ret_html);
/** Get the first error of the builder, or OK.
 *  ret_why     a static English sentence without a full stop; "" for OK. NULL: not wanted
 *  ret_offset  if a format was INVALID: the offset in the format, of the conversion that was refused, or of the text
 *              that must not follow the conversion before it; otherwise 0. NULL: not wanted */
VESTRY_API vestry_err vestry_html_error(const vestry_html *html, const char **ret_why, size_t *ret_offset);

#ifdef __cplusplus
}
#endif
#endif
