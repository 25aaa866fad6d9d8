/* SPDX-License-Identifier: MIT */
/* The content of pages, and its units: content SEED COUNT prints COUNT documents assembled at random from the SEED.
 * Half of them are documents of the usual structure, with end tags left out where that is allowed, and the result of
 * vsi_content_find for the id "content": "plain", the fault's number, the offsets begin, end and head_end, the position
 * of a fault and its reason. The others are contents of any elements in each other, and the result of vsi_units_divide:
 * "nested", the error, the offsets of the units, and the reason. Each line ends with the document in hexadecimal; tabs
 * separate its parts. content.test.js compares the results with Chromium's. */
#include "app/page/content.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/page/unit.h"
#include "base/memory.h"

enum { ROOM = 1 << 16 };

static uint64_t state;
static uint64_t next_random(void) { /* splitmix64 */
  uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return z ^ (z >> 31);
}
static size_t below(size_t count) {
  return (size_t)(next_random() % count);
}
static bool one_in(size_t count) {
  return below(count) == 0;
}

static char document[ROOM];
static size_t document_len;
static void put(const char *text) {
  size_t len = strlen(text);
  if (document_len + len >= ROOM) return;
  memcpy(document + document_len, text, len);
  document_len += len;
}
#define PICK(list) list[below(sizeof list / sizeof *list)]

/* ---- usual documents --------------------------------------------------------------------------------------------- */

static void attributes(void) {
  static const char *const list[] = {" class=\"a b\"",
                                     " title='a > b'",
                                     " data-x=\"<main id=content>\"",
                                     " hidden",
                                     " data-on:click='@get(\"/\")'",
                                     " lang=en",
                                     " TITLE = \"a\"",
                                     " data-i=\"id=content\"",
                                     " aria-label='</main>'",
                                     " data-y=&lt;a/b/",
                                     "\n  data-z"};
  while (one_in(4)) put(PICK(list));
}

static void start(const char *name) {
  put("<");
  put(name);
  attributes();
  put(one_in(30) ? " />" : one_in(30) ? "\n>" : ">");
}

static void stop(const char *name) {
  put("</");
  put(name);
  put(one_in(20) ? " >" : ">");
}

static void words(void) {
  static const char *const list[] = {"a",   "text ", "1 < 2", "a &amp; b", "&lt;main id=content&gt;",
                                     "x>y", "\n",    " ",     "<>",        "caf\xC3\xA9",
                                     "]]>", "-->",   "\r\n"};
  while (!one_in(3)) put(PICK(list));
}

static void comment(void) {
  static const char *const list[] = {"<!-- a -->",
                                     "<!-- </main> <div id=content> -->",
                                     "<!---->",
                                     "<!-->",
                                     "<!--->",
                                     "<!-- a --!>",
                                     "<!-- a --- -- > - --->",
                                     "<!-- <!-- -->",
                                     "<!--<!-->",
                                     "<!-- --!- --!--><!---->",
                                     "<![CDATA[ <main id=content ]]>",
                                     "<?php </main ?>",
                                     "</ main>",
                                     "</3 main>",
                                     "<!a main>",
                                     "<!-- a --!b </main> -->",
                                     "<!--[if IE]><main id=content><![endif]-->",
                                     "</>"};
  put(PICK(list));
}

static void text_element(void) {
  static const char *const list[] = {"<script>if (a<b) '</main>'</script>",
                                     "<script>'<!--'; '<script>'; '</script>' ; '-->' </script>",
                                     "<script><!-- <script> </script> </main> --></script>",
                                     "<script><!--> </script>",
                                     "<script><!-- <scripty> </script>",
                                     "<script><!-- <script </script > <script/ </script/> </main>--></script>",
                                     "<script type=\"text/plain\"></scripts></script >",
                                     "<script>'<!-- <script>--><div id=content>'</script>",
                                     "<script><!--<SCRIPT\n</main></script\f--></script\t>",
                                     "<script></script>",
                                     "<style>p > a { content: '</main>' }</style>",
                                     "<style><!-- </style>",
                                     "<style></styles></STYLE>",
                                     "<textarea></main><div id=content></textareas></textarea>",
                                     "<textarea>\n&lt;</textarea a='>'>",
                                     "<iframe></main></iframe>",
                                     "<noembed></main></noembed>",
                                     "<title></main></title>",
                                     "<noscript>a<b>b</b></noscript>",
                                     "<noscript><img alt='>'><!-- a --></noscript>"};
  put(PICK(list));
}

static void block(int depth);
static void inline_(int depth);

static void inlines(int depth) {
  while (!one_in(3)) inline_(depth);
}

static void foreign(void) {
  static const char *const list[] = {"<path d='M0 0'/>",
                                     "<circle r=1></circle>",
                                     "<title>a &lt; b</title>",
                                     "<style>p>a</style>",
                                     "<![CDATA[ </svg></main> ]]>",
                                     "<use href='#a'/>",
                                     "<script>1</script>",
                                     "<g><a><rect/></a></g>",
                                     "<!-- </svg> -->",
                                     "<foreignObject><div>a<p>b</div></foreignObject>",
                                     "<desc><i>a</i></desc>",
                                     "<textarea></textarea>",
                                     "<select/>",
                                     "<template><rect/></template>",
                                     "text",
                                     "<main/>"};
  static const char *const maths[] = {
      "<mi>x</mi>", "<mo>&lt;</mo>",         "<mn>1</mn>",   "<mrow><mi>y</mi></mrow>", "<mtext><b>a</b></mtext>",
      "<mspace/>",  "<![CDATA[ </math> ]]>", "<mi><br></mi>"};
  if (one_in(3)) {
    put("<math>");
    while (!one_in(3)) put(PICK(maths));
    stop("math");
  } else {
    put("<svg");
    attributes();
    put(">");
    while (!one_in(3)) put(PICK(list));
    stop("svg");
  }
}

static void inline_(int depth) {
  static const char *const names[] = {"b", "i",     "em",         "strong", "span", "code", "small",
                                      "u", "label", "my-element", "q",      "sub",  "font", "ins"};
  static const char *const voids[] = {"br", "img", "input", "wbr", "embed", "br/", "link", "meta"};
  if (depth <= 0 || one_in(3)) {
    words();
    return;
  }
  switch (below(10)) {
  case 0: comment(); break;
  case 1: text_element(); break;
  case 2: start(PICK(voids)); break;
  case 3: foreign(); break;
  case 4:
    put("<select>");
    if (one_in(2)) put("<option>a<option selected>b</option><hr>");
    if (one_in(2)) put("<optgroup label=c><option>d<optgroup label=e><option>f</optgroup>");
    put("</select>");
    break;
  case 5:
    if (one_in(2))
      put("<button>a<b>b</b></button><a href=/>c</a><datalist><option>a<option>b</datalist>");
    else
      put("<ruby>a<rp>(<rt>b<rp>)</ruby><object><param>a</object>");
    break;
  case 6:
    put("<template>");
    if (one_in(2)) put("<tr><td>a<li><div></p></td>");
    if (one_in(2)) put("<main id=content>a</main>");
    if (one_in(2)) put("<svg><path/></svg><template></div></template>");
    put("</template>");
    break;
  default: {
    const char *name = PICK(names);
    start(name);
    inlines(depth - 1);
    stop(name);
  }
  }
}

static void blocks(int depth) {
  while (!one_in(3)) block(depth);
}

static void table(int depth) {
  start("table");
  if (one_in(4)) put("<caption>a</caption>");
  if (one_in(4)) put("<colgroup><col><col/></colgroup>");
  if (one_in(5)) put("<col>");
  bool bodies = one_in(2), ends = one_in(2);
  if (one_in(4)) put("<thead><tr><th>a<th>b");
  if (bodies) put("\n<tbody>");
  for (size_t rows = below(3); rows; rows--) {
    if (!one_in(8) || !ends) put("<tr>\n");
    for (size_t cells = 1 + below(3); cells; cells--) {
      start("td");
      if (one_in(2))
        blocks(depth - 1);
      else
        inlines(depth - 1);
      if (ends || one_in(2)) put("</td>\n");
    }
    if (ends) put("</tr>");
    if (one_in(6)) put("<!-- </table> -->");
    if (one_in(8)) put("<script>'<td>'</script>");
  }
  if (bodies && ends) put("</tbody> ");
  if (one_in(5)) put("<tfoot><tr><td>a");
  put("</table>");
}

static void block(int depth) {
  static const char *const names[] = {"div", "section", "article", "aside",   "header",     "footer",
                                      "nav", "ul",      "figure",  "details", "blockquote", "fieldset",
                                      "DIV", "Section", "main",    "address", "center",     "dl"};
  static const char *const headings[] = {"h1", "h2", "h3"};
  if (depth <= 0) {
    words();
    return;
  }
  switch (below(9)) {
  case 0:
    start("p");
    inlines(depth - 1);
    stop("p");
    break;
  case 1:
    start("p"); /* closed by a block */
    inlines(depth - 1);
    put("<div>a</div>");
    break;
  case 2:
    start("ul");
    for (size_t items = below(4); items; items--) {
      start("li");
      if (one_in(2))
        blocks(depth - 1);
      else
        inlines(depth - 1);
      if (one_in(2)) put("</li>\n");
    }
    stop("ul");
    break;
  case 3: put(one_in(2) ? "<dl><dt>a<dd>b<p>c<dt>d</dl>" : "<xmp></main></xmp><noscript><p>a</p></noscript>"); break;
  case 4: table(depth); break;
  case 5: {
    const char *name = PICK(headings);
    start(name);
    inlines(depth - 1);
    stop(name);
    break;
  }
  case 6: inlines(depth - 1); break;
  default: {
    const char *name = PICK(names);
    start(name);
    blocks(depth - 1);
    stop(name);
  }
  }
}

static void plain_document(void) {
  static const char *const contents[] = {"main", "div", "section", "article", "MAIN", "Div"};
  static const char *const ids[] = {" id=\"content\"",
                                    " id='content'",
                                    " id=content",
                                    " ID = content",
                                    " class=a id=content data-b",
                                    "/id='content'",
                                    " id=content id=other",
                                    " title=\">\" id='content' ",
                                    "\nid\n=\n\"content\"\n",
                                    " a='<main id=content>' id=content"};
  static const char *const heads[] = {"<title>a</title>",
                                      "<meta charset=utf-8>",
                                      "<link rel=a href=b>",
                                      "<script>'</head><body>'</script>",
                                      "<style>a>b{}</style>",
                                      "<!-- <body> -->",
                                      "\n",
                                      "<base href='/'>",
                                      "<template><div></template>",
                                      "<noscript><style></style></noscript>",
                                      "<title></head></title>"};
  if (!one_in(8)) put(one_in(3) ? "<!DOCTYPE html>\n" : "<!doctype html>");
  if (!one_in(4)) put("<html lang=en>\n");
  bool head = !one_in(4);
  if (head) put("<head>");
  while (!one_in(3)) put(PICK(heads));
  if (head && !one_in(4)) put("</head>\n");
  if (!one_in(3)) {
    put("<body");
    attributes();
    put(">");
  }
  blocks(2);
  size_t around = below(3);
  for (size_t i = 0; i < around; i++) start("div");
  bool in_cell = one_in(8);
  if (in_cell) put("<table><tr><td>");
  bool in_link = one_in(20);
  if (in_link) put("<b><form>");
  const char *name = PICK(contents);
  put("<");
  put(name);
  put(PICK(ids));
  put(">");
  blocks(4);
  stop(name);
  if (in_link) put("</form></b>");
  if (in_cell) put("</table>");
  if (one_in(3)) blocks(1);
  for (size_t i = 0; i < around; i++) stop("div");
  blocks(2);
  if (one_in(2)) put("</body>\n");
  if (one_in(2)) put("</html>\n");
}

/* ---- nested elements --------------------------------------------------------------------------------------------- */

/* Elements in any other ones, almost all with end tags; half of them have an id. */
static void nested(int depth) {
  static const char *const names[] = {"a",
                                      "address",
                                      "annotation-xml",
                                      "applet",
                                      "area",
                                      "article",
                                      "aside",
                                      "b",
                                      "base",
                                      "big",
                                      "blockquote",
                                      "body",
                                      "br",
                                      "button",
                                      "caption",
                                      "center",
                                      "code",
                                      "col",
                                      "colgroup",
                                      "dd",
                                      "desc",
                                      "details",
                                      "dialog",
                                      "dir",
                                      "div",
                                      "dl",
                                      "dt",
                                      "em",
                                      "embed",
                                      "fieldset",
                                      "figure",
                                      "font",
                                      "footer",
                                      "foreignObject",
                                      "form",
                                      "frame",
                                      "frameset",
                                      "g",
                                      "h1",
                                      "h2",
                                      "head",
                                      "header",
                                      "hgroup",
                                      "hr",
                                      "html",
                                      "i",
                                      "iframe",
                                      "image",
                                      "img",
                                      "input",
                                      "keygen",
                                      "label",
                                      "legend",
                                      "li",
                                      "link",
                                      "listing",
                                      "main",
                                      "malignmark",
                                      "marquee",
                                      "math",
                                      "menu",
                                      "meta",
                                      "mglyph",
                                      "mi",
                                      "mn",
                                      "mtext",
                                      "nav",
                                      "nobr",
                                      "noembed",
                                      "noframes",
                                      "noscript",
                                      "object",
                                      "ol",
                                      "optgroup",
                                      "option",
                                      "p",
                                      "param",
                                      "path",
                                      "plaintext",
                                      "pre",
                                      "q",
                                      "rb",
                                      "rp",
                                      "rt",
                                      "rtc",
                                      "ruby",
                                      "s",
                                      "script",
                                      "search",
                                      "section",
                                      "select",
                                      "small",
                                      "source",
                                      "span",
                                      "strike",
                                      "strong",
                                      "style",
                                      "sub",
                                      "summary",
                                      "sup",
                                      "svg",
                                      "table",
                                      "tbody",
                                      "td",
                                      "template",
                                      "textarea",
                                      "tfoot",
                                      "th",
                                      "thead",
                                      "title",
                                      "tr",
                                      "track",
                                      "tt",
                                      "u",
                                      "ul",
                                      "var",
                                      "wbr",
                                      "x-y",
                                      "xmp"};
  static const char *const frequent[] = {"p", "li", "ul", "table", "tr", "td", "tbody", "svg", "math", "select", "div"};
  static unsigned number;
  char id[24];
  const char *name = one_in(2) ? PICK(names) : PICK(frequent);
  snprintf(id, sizeof id, " id=u%u", ++number);
  put("<");
  put(name);
  if (one_in(2)) put(id);
  put(one_in(10) ? "/>" : ">");
  if (one_in(8)) return;
  while (depth > 0 && one_in(2)) nested(depth - 1);
  if (one_in(4)) words();
  stop(name);
}

static void nested_document(void) {
  put("<main id=content>");
  do nested(4);
  while (one_in(2));
  put("</main>");
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

static void show_document(void) {
  for (size_t i = 0; i < document_len; i++) printf("%02x", (unsigned char)document[i]);
  putchar('\n');
}

static void show_content(void) {
  vsi_content found;
  vsi_content_fault fault = vsi_content_find(document, document_len, "content", &found);
  printf("plain\t%d\t%zu\t%zu\t%zu\t%zu\t%s\t", (int)fault, found.begin, found.end, found.head_end, found.at,
         found.why);
  show_document();
}

static void show_units(void) {
  static vsi_text_key key;
  vsi_units units;
  const vsi_unit_text text = {.content = {document, document_len}, .key = &key};
  const vestry_err error = vsi_units_divide(&units, vsi_host(NULL), &text, (vsi_siphash_key){1, 2}, NULL);
  printf("nested\t%d\t", error);
  for (uint32_t i = 0; i < units.count && !error; i++) printf("%u %u ", units.all[i].begin, units.all[i].end);
  printf("\t%s\t", units.why ? units.why : "");
  show_document();
  vsi_units_finish(&units);
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: content SEED COUNT\n");
    return 2;
  }
  state = strtoull(argv[1], NULL, 10);
  for (long count = strtol(argv[2], NULL, 10); count > 0; count--) {
    document_len = 0;
    if (count % 2) {
      plain_document();
      show_content();
    } else {
      nested_document();
      show_units();
    }
  }
  return 0;
}
