/* SPDX-License-Identifier: MIT */
/* Hostile texts in all the places where the library inserts texts: hostile SEED COUNT, or hostile asked
 *
 * Prints a line for each text and place: the place's name, the text, the output, and for some places an additional
 * value, in hexadecimal, separated by tabs. Texts are a fixed list and COUNT more, assembled at random from the
 * SEED. The first text is harmless. A browser must find exactly the text in the output (hostile.test.js).
 *
 * With "asked", it reads lines of HTML, a text, and more HTML, separated by tabs, and prints the builder's output
 * for each, or an empty line if it rejects the text (attributes.test.js). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vestry/vestry.h"

enum { MAX_TEXT = 256, MAX_SELECTOR = VESTRY_SELECTOR_BYTES(MAX_TEXT) };

static const char *const fixed[] = {
    "harmless",
    "",
    " ",
    "\n",
    "\na",
    "\r\n\r a\r",
    "<",
    ">",
    "&",
    "\"",
    "'",
    "`",
    "\\",
    "\\'",
    "\\\\",
    "a\\",
    ";",
    "$",
    "$a",
    "$a.b-c",
    "${a}",
    "@get(",
    "@post('/pwned')",
    "a@b.c(d)",
    "&lt;",
    "&amp;lt;",
    "&#39;",
    "&quot",
    "&#x22",
    "&notit;",
    "<script>pwned()</script>",
    "</script><script>pwned()</script>",
    "<!--",
    "-->",
    "--><script>pwned()</script>",
    "<!--<script>",
    "]]>",
    "</title><img src=x onerror=pwned()>",
    "</textarea><img src=x onerror=pwned()>",
    "</pre><svg onload=pwned()>",
    "\"><img src=x onerror=pwned()>",
    "'><img src=x onerror=pwned()>",
    "\" onmouseover=\"pwned()",
    "' onmouseover='pwned()",
    "' autofocus onfocus=pwned() x='",
    "');pwned()//",
    "\");pwned()//",
    "'+pwned()+'",
    "`+pwned()+`",
    "\\');pwned()//",
    "\\u0027);pwned()//",
    "\\x27);pwned()//",
    "\n');pwned()//",
    "\xE2\x80\xA8pwned()",
    "\xE2\x80\xA9pwned()",
    "\xC2\x85",
    "\xC2\xA0",
    "\xEF\xBB\xBFmark",
    "\xEF\xBF\xBE\xEF\xBF\xBF",
    "javascript:pwned()",
    "/*",
    "*/",
    "//",
    "/",
    "/regex/g",
    "a/b?c=d&e=f#g",
    "%",
    "%s%n%d",
    "%00",
    "%2e%2e",
    "+",
    "a b",
    "{\"a\":1}",
    "__proto__",
    "constructor",
    "return",
    "</html>",
    "</body>",
    "<head>",
    "\xF0\x9F\x96\x95JS_DS\xF0\x9F\x9A\x80",
    "\xF0\x9F\x96\x95JS_a$&b_DS\xF0\x9F\x9A\x80",
    "__escaped0",
    "\x01\x02\x1F\x7F\t\v\f",
    "1",
    "-",
    "-1",
    "--",
    "0a",
    "#a .b > c",
    "a\xFF"
    "b",
    "\xC3",
    "\xC3<",
    "\xE2\x82\"",
    "\xF0\x9F\x96'",
    "\xED\xA0\x80",
    "\xC0\xBCscript\xC0\xBE",
    "data: elements <script>pwned()</script>\n\nevent: x",
    "\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D \xE2\x80\xAEtxet",
    "g\xC3\xBCnther & s\xC3\xB6hne",
};

/* splitmix64: any seed will do. */
static uint64_t state;
static uint64_t next_random(void) {
  uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}

/* Make a text of one to eight parts: fixed ones, marks, letters, and bytes of all values but zero. */
static void make_text(char *text) {
  static const char marks[] = "<>&\"'`\\$@;(){}[]/=!-#%:.,|~^*+? \r\n\tasx0u";
  size_t len = 0;
  for (uint64_t parts = 1 + next_random() % 8; parts; parts--) {
    uint64_t pick = next_random();
    const char *part = fixed[(pick >> 8) % (sizeof fixed / sizeof *fixed)];
    if (pick % 4 == 0 && len + strlen(part) < MAX_TEXT) {
      memcpy(text + len, part, strlen(part));
      len += strlen(part);
    } else if (len + 4 < MAX_TEXT) {
      for (int i = 0; i < 4; i++)
        text[len++] = pick % 4 == 1 ? (char)(1 + next_random() % 255) : marks[next_random() % (sizeof marks - 1)];
    }
  }
  text[len] = '\0';
}

static void put_hex(const void *data, size_t len) {
  putchar('\t');
  for (const unsigned char *at = data, *end = at + len; at < end; at++) printf("%02x", *at);
}

static void fail(const char *place, const char *why) {
  fprintf(stderr, "hostile: %s: %s\n", place, why);
  exit(1);
}

static vestry_html html;

/* Print the output of the builder on one line. */
static void show(const char *place, const char *text, size_t len) {
  vestry_slice made;
  const char *why;
  if (vestry_html_result(&html, &made)) {
    vestry_html_error(&html, &why, NULL);
    fail(place, why);
  }
  fputs(place, stdout);
  put_hex(text, len);
  put_hex(made.data, made.len);
  putchar('\n');
  vestry_html_clear(&html);
}

static void show_event(const char *place, const char *text, vestry_err error, vestry_event *event) {
  if (error) fail(place, vestry_strerror(error));
  fputs(place, stdout);
  put_hex(text, strlen(text));
  put_hex(vestry_event_bytes(event).data, vestry_event_bytes(event).len);
  putchar('\n');
  vestry_event_unref(event);
}

static void html_places(const char *text) {
  size_t len = strlen(text);
  vestry_html_add(&html, "<p>%s</p><div>%s</div>", text, text);
  show("text", text, len);
  vestry_html_add(&html, "<title>%s</title><textarea>%s</textarea><pre>%s</pre>", text, text, text);
  show("raw text", text, len);
  vestry_html_add(&html, "<p title=\"%s\" data-x='%s' value = \"[%s]\">", text, text, text);
  show("attribute", text, len);
  vestry_html_add(&html, "<a href=\"%s\">", text);
  show("url", text, len);
  vestry_event *event = NULL;
  vestry_err error = vestry_event_elementsf(NULL, NULL, &event, "<p id=\"a\" title=\"%s\">%s</p>\n<i>", text, text);
  show_event("elements", text, error, event);
}

static void code_places(const char *text) {
  size_t len = strlen(text);
  vestry_html_add(&html, "<p data-on:click=\"v(");
  vestry_html_js(&html, text, len);
  vestry_html_add(&html, ");\" data-on:keyup='v(");
  vestry_html_js(&html, text, len);
  vestry_html_add(&html, ");' data-show=\"v('%s');\" data-text='v(\"%s\");' onclick=\"v('%s');\">", text, text, text);
  show("javascript", text, len);
  vestry_html_add(&html, "<script>v(");
  vestry_html_js(&html, text, len);
  vestry_html_add(&html, ");</script>");
  show("script", text, len);
  json_t *value = json_stringn_nocheck(text, len), *checked = json_string(text);
  if (checked) { /* JSON has no text that is not valid UTF-8 */
    json_t *object = json_pack("{s:O,s:[O]}", "a", checked, "b", checked);
    json_object_set_nocheck(object, *text ? text : "empty", value);
    vestry_html_add(&html, "<p data-signals=\"");
    vestry_html_json(&html, VESTRY_VALUES(object));
    vestry_html_add(&html, "\" data-x='");
    vestry_html_json(&html, VESTRY_VALUES(object));
    vestry_html_add(&html, "'></p><script type=\"application/json\">");
    vestry_html_json(&html, VESTRY_VALUES(object));
    vestry_html_add(&html, "</script>");
    show("json", text, len);
    json_decref(object);
  }
  json_decref(value);
  json_decref(checked);
}

static void action_places(const char *text) {
  vestry_attribute header = {"X-A", "it's"};
  vestry_backend_action_options options = {.headers = &header,
                                           .headers_count = 1,
                                           .content = VESTRY_CONTENT_FORM,
                                           .selector = text,
                                           .filter_include = text,
                                           .retry_max_count = VESTRY_RETRY_FOREVER};
  char action[8192];
  vestry_err error = vestry_backend_action_string(action, sizeof action, VESTRY_METHOD_POST, &options,
                                                  "/u/%s/x?q=%s&r=%-s", text, text, text);
  if (error) fail("action", vestry_strerror(error));
  vestry_html_add(&html, "<p data-on:click=\"%-s\" data-on:keyup='%-s' data-init=\"", action, action);
  vestry_html_backend_action(&html, VESTRY_METHOD_POST, &options, "/u/%s/x?q=%s&r=%-s", text, text, text);
  vestry_html_add(&html, "\">");
  show("action", text, strlen(text));
}

static void selector_places(const char *text) {
  char selector[MAX_SELECTOR];
  if (!*text) return;
  if (vestry_select_id(text, selector, sizeof selector)) fail("selector", "refused");
  vestry_html_add(&html, "<p id=\"%s\">", text);
  vestry_slice made;
  if (vestry_html_result(&html, &made)) fail("selector", "refused");
  fputs("selector", stdout);
  put_hex(text, strlen(text));
  put_hex(made.data, made.len);
  put_hex(selector, strlen(selector));
  putchar('\n');
  vestry_html_clear(&html);
}

static void script_event_places(const char *text) {
  vestry_event *event = NULL;
  vestry_err error = vestry_event_effect(
      NULL,
      VESTRY_LIST("execute-script", "1 < 2",
                  VESTRY_OBJECT("attributes", VESTRY_OBJECT("data-x", text, "type", "text/plain", "title", text))),
      &event);
  show_event("script event", text, error, event);
}

/* Insert the text into elements of the Datastar client: one shows the text, and one sends it. */
static void client_places(const char *text) {
  vestry_html_add(&html, "<b data-text=\"");
  vestry_html_js(&html, text, strlen(text));
  vestry_html_add(&html, "\"></b><b data-text=\"f('%s')\"></b><b data-text=\"", text);
  json_t *value = json_string(text);
  if (value)
    vestry_html_json(&html, VESTRY_VALUES(value));
  else
    vestry_html_js(&html, text, strlen(text));
  json_decref(value);
  vestry_html_add(&html, "\"></b><i data-init=\"");
  vestry_html_backend_action(&html, VESTRY_METHOD_POST, NULL, "/sent?text=%s", text);
  vestry_html_add(&html, "\"></i><i data-init=\"$said = '%s'; ", text);
  vestry_html_backend_action(&html, VESTRY_METHOD_POST, NULL, "/said/{$said}?text={$said}&more=%s", "x");
  vestry_html_add(&html, "\"></i>");
  show("client", text, strlen(text));
}

static void places(const char *text) {
  html_places(text);
  code_places(text);
  action_places(text);
  selector_places(text);
  script_event_places(text);
  client_places(text);
}

/* Insert the text after HTML, complete or broken, that was assembled at random: if the builder accepts it, it must
 * be only a text there. Print the output for a harmless text, too, for comparison; return whether it was accepted. */
static bool template_places(const char *text) {
  static const char *const parts[] = {
      "<p>",
      "</p>",
      "<b ",
      "</b",
      "title=\"",
      "title='",
      "data-x=",
      "\"",
      "'",
      ">",
      "<",
      "/",
      "=",
      " ",
      "a",
      "<!--",
      "-->",
      "--!>",
      "--",
      "<script>",
      "</script>",
      "<script ",
      "<style>",
      "</style>",
      "<title>",
      "</title>",
      "</titl",
      "<textarea>",
      "</textarea>",
      "<svg>",
      "</svg>",
      "<math>",
      "</math>",
      "<select>",
      "</select>",
      "<frameset>",
      "<svg><style>",
      "<svg><script>",
      "<math><xmp>",
      "<select><title>",
      "<b title=\"</style>\" ",
      "<b title=\"</script>\" ",
      "<b title=\"</xmp>\" ",
      "<!--</title>",
      "<![CDATA[</title>",
      "<![CDATA[",
      "]]>",
      "<pre>",
      "<listing>",
      "onclick=\"",
      "onclick='",
      "data-on:click=\"",
      "data-text='",
      "href=\"",
      "href='",
      "style=\"",
      "f('",
      "f(\"",
      "\\",
      "&",
      "&quot",
      "&#39;",
      ";",
      "<?",
      "<!doctype ",
      "<noscript>",
      "</noscript>",
      "<template>",
      "<iframe>",
      "</iframe>",
      "<xmp>",
      "</xmp>",
      "<plaintext>",
      "<!",
      "</",
      "-",
      "\r",
      "\n",
      "java",
      "script:",
      "<desc>",
      "<mi>",
      "<annotation-xml>",
      "<foreignObject>",
      "<b title=\"",
      "<b onclick=\"f('",
      "<a href=\"",
      "<p title='",
      "<link ",
      "<meta ",
      "<iframe src='",
      "<use href='/a#",
      "rel=icon ",
      "http-equiv=refresh ",
      "content='",
      "src=\"",
      "data-attr:href='\"/",
      "#",
      "\">",
      "'>",
      ">x<",
  };
  char before[1024] = "", behind[1024] = "";
  for (uint64_t count = next_random() % 6; count; count--)
    strcat(before, parts[next_random() % (sizeof parts / sizeof *parts)]);
  for (uint64_t count = next_random() % 5; count; count--)
    strcat(behind, parts[next_random() % (sizeof parts / sizeof *parts)]);
  vestry_html harmless;
  vestry_slice made, made_harmless;
  vestry_html_init(&harmless, NULL);
  vestry_html_add(&harmless, "%-s%s%-s", before, "harmless", behind);
  bool taken = vestry_html_result(&harmless, &made_harmless) == VESTRY_OK;
  vestry_html_add(&html, "%-s%s%-s", before, text, behind);
  if ((vestry_html_result(&html, &made) == VESTRY_OK) != taken) fail("template", "it depends on the text");
  if (taken) {
    fputs("template", stdout);
    put_hex(text, strlen(text));
    put_hex(made.data, made.len);
    put_hex(made_harmless.data, made_harmless.len);
    putchar('\n');
  }
  vestry_html_finish(&harmless);
  vestry_html_clear(&html);
  return taken;
}

/* Texts with a NUL, which cannot be arguments of formats. */
static void zeros(void) {
  static const char text[] = "\0a<\0\0>\0";
  vestry_html_raw(&html, "<p>", 3);
  vestry_html_text(&html, text, sizeof text - 1);
  vestry_html_add(&html, "</p><div>");
  vestry_html_text(&html, text, sizeof text - 1);
  vestry_html_add(&html, "</div>");
  show("text", text, sizeof text - 1);
  vestry_html_add(&html, "<script>v(");
  vestry_html_js(&html, text, sizeof text - 1);
  vestry_html_add(&html, ");</script>");
  show("script", text, sizeof text - 1);
}

static int answer(void) {
  char *line = NULL;
  size_t size = 0;
  vestry_html_init(&html, NULL);
  for (ssize_t len; (len = getline(&line, &size, stdin)) > 0;) {
    line[len - 1] = '\0';
    char *text = strchr(line, '\t'), *behind = text ? strchr(text + 1, '\t') : NULL;
    if (!behind) fail("asked", "a line without tabs");
    *text++ = *behind++ = '\0';
    vestry_slice made = {"", 0};
    vestry_html_add(&html, "%-s%s%-s", line, text, behind);
    vestry_html_result(&html, &made);
    puts(made.data);
    vestry_html_clear(&html);
  }
  vestry_html_finish(&html);
  free(line);
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "asked") == 0) return answer();
  if (argc != 3) fail("usage", "hostile SEED COUNT, or hostile asked");
  state = strtoull(argv[1], NULL, 10);
  vestry_html_init(&html, NULL);
  for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) places(fixed[i]);
  zeros();
  for (long count = strtol(argv[2], NULL, 10); count > 0; count--) {
    char text[MAX_TEXT];
    make_text(text);
    places(text);
    for (int taken = 0; taken < 10;) taken += template_places(text);
  }
  vestry_html_finish(&html);
  return 0;
}
