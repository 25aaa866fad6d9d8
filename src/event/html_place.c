/* A tokenizer of HTML that keeps nothing but its state: WHATWG HTML, section 13.2.5, with states that differ only in
 * what they emit thrown together. Whatever it might read otherwise than a browser does ends in LOST, where nothing of
 * others can be put, so that it errs towards refusing.
 *
 * Foreign content (svg, math) is the tree builder's, which is not here: there, `title`, `style` and `script` hold
 * elements like any other, and CDATA sections are read. That is why a tag inside `title` or `textarea` and every CDATA
 * section end in LOST. `style` refuses everything in either case; in a `script` of svg character references are read,
 * which vestry_html_js does not depend on. `noscript` is read as ordinary elements, as a parser without scripting does.
 * One with scripting shows none of it, but takes the next "</noscript" for its end, even in a value or a comment: there
 * no `<` may stand in these. */
#include "event/html_place.h"

#include <string.h>

enum {
  TEXT,
  TAG_OPEN,     /* behind < */
  END_TAG_OPEN, /* behind </ */
  TAG_NAME,
  BEFORE_NAME, /* of an attribute */
  NAME,
  AFTER_NAME,
  BEFORE_VALUE,
  DOUBLE_QUOTED,
  SINGLE_QUOTED,
  UNQUOTED,
  AFTER_VALUE,
  SELF_CLOSING, /* behind the / of a tag */
  DECLARATION,  /* behind <! */
  DECLARATION_DASH,
  COMMENT_START,
  COMMENT_START_DASH,
  COMMENT,
  COMMENT_END_DASH,
  COMMENT_END,
  COMMENT_END_BANG,
  BOGUS,      /* what ends at the next >: doctypes, processing instructions, malformed comments */
  TEXT_UNTIL, /* in an element whose text ends at its own end tag only */
  LOST
};

/* What stands inside TEXT_UNTIL. */
enum { ESCAPABLE, /* RCDATA: character references are read */ RAW, SCRIPT };

/* What an attribute's value is. */
enum { PLAIN, URL, CODE, CLOSED };

void vsi_place_init(vestry_html_place *place) {
  *place = (vestry_html_place){.state = TEXT};
}

static bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\t' || c == '\f' || c == '\r';
}
static char lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}
static bool is_letter(char c) {
  return lower(c) >= 'a' && lower(c) <= 'z';
}

/* Names longer than the room end in a byte that no known name has. */
static void name_add(vestry_html_place *place, char c) {
  if (place->name_len < sizeof place->name - 1)
    place->name[place->name_len++] = lower(c);
  else
    place->name[sizeof place->name - 2] = '\0';
}
static void name_begin(vestry_html_place *place, char c) {
  place->name_len = 0;
  name_add(place, c);
}
static bool name_is(const vestry_html_place *place, const char *name) {
  return strlen(name) == place->name_len && memcmp(place->name, name, place->name_len) == 0;
}
static bool name_begins(const vestry_html_place *place, const char *with) {
  size_t len = strlen(with);
  return place->name_len >= len && memcmp(place->name, with, len) == 0;
}
#define ANY(list, test)                                                                                                \
  for (size_t i = 0; i < sizeof(list) / sizeof *(list); i++)                                                           \
    if (test) return true;                                                                                             \
  return false

/* The attributes of Datastar whose value is an expression: their name, then a key (:key), modifiers (__modifier), or
 * nothing. A bundle with the alias "star" has the same as data-star-…. Of `data-on-…` there are several. */
static bool is_expression(vestry_html_place place) {
  static const char *const expressions[] = {"attr",
                                            "class",
                                            "computed",
                                            "effect",
                                            "init",
                                            "show",
                                            "signals",
                                            "style",
                                            "text",
                                            "json-signals",
                                            "persist",
                                            "query-string",
                                            "custom-validity",
                                            "replace-url",
                                            "animate",
                                            "view-transition",
                                            "match-media"};
  if (!name_begins(&place, "data-")) return false;
  size_t skip = name_begins(&place, "data-star-") ? strlen("data-star-") : strlen("data-");
  place.name_len = (uint8_t)(place.name_len - skip);
  memmove(place.name, place.name + skip, place.name_len);
  if (name_begins(&place, "on") && (place.name_len == 2 || strchr(":-_.", place.name[2]))) return true;
  for (uint8_t i = 0; i < place.name_len; i++) {
    if (place.name[i] == ':' || place.name[i] == '.' || (place.name[i] == '_' && place.name[i + 1] == '_'))
      place.name_len = i;
  }
  ANY(expressions, name_is(&place, expressions[i]));
}

/* Those whose URL a browser goes to, or loads as a document: it can be one that runs JavaScript. */
static bool is_url(const vestry_html_place *place) {
  static const char *const urls[] = {"href", "xlink:href", "src", "action", "formaction", "data"};
  ANY(urls, name_is(place, urls[i]));
}

static void value_begin(vestry_html_place *place) {
  place->js = VSI_JS_CODE;
  place->js_last = 0;
  if (name_begins(place, "on") || is_expression(*place))
    place->kind = CODE;
  else if (is_url(place))
    place->kind = URL;
  else
    place->kind = name_is(place, "style") || name_is(place, "srcdoc") ? CLOSED : PLAIN;
  place->name_len = 0; /* from here on the beginning of a URL */
}

/* Collect a URL as its parser reads it: it passes over white space and controls at the front, and tabs and line breaks
 * anywhere. (Spaces further behind cannot make a scheme of what is none.) */
static void url_read(vestry_html_place *place, char c) {
  if ((unsigned char)c > 0x20 && place->name_len < sizeof place->name - 1) name_add(place, c);
}

static bool is_script_url(const vestry_html_place *place) {
  return name_begins(place, "javascript:") || name_begins(place, "vbscript:");
}

static void tag_end(vestry_html_place *place) {
  static const struct {
    const char *name;
    uint8_t content;
  } elements[] = {{"title", ESCAPABLE}, {"textarea", ESCAPABLE}, {"style", RAW},    {"xmp", RAW},
                  {"iframe", RAW},      {"noembed", RAW},        {"noframes", RAW}, {"script", SCRIPT}};
  size_t len = place->element_len;
#define ELEMENT_IS(text) (len == strlen(text) && memcmp(place->element, text, len) == 0)
  place->state = TEXT;
  if (ELEMENT_IS("noscript")) place->in_noscript = !place->is_end_tag;
  if (place->is_end_tag) return;
  place->drops_newline = ELEMENT_IS("pre") || ELEMENT_IS("listing") || ELEMENT_IS("textarea");
  if (ELEMENT_IS("plaintext")) place->state = LOST;
  for (size_t i = 0; i < sizeof elements / sizeof *elements; i++) {
    if (!ELEMENT_IS(elements[i].name)) continue;
    place->state = TEXT_UNTIL;
    place->content = elements[i].content;
    place->matched = 0;
    place->js = VSI_JS_CODE;
    place->js_last = 0;
  }
}

/* The name of the tag is complete; attributes will use its room. */
static void tag_named(vestry_html_place *place) {
  place->element_len = place->name_len <= sizeof place->element ? place->name_len : 0;
  memcpy(place->element, place->name, place->element_len);
}

/* Inside an element whose text ends at its end tag. matched: how much of "</name" the bytes before were. */
static void text_until(vestry_html_place *place, char c) {
  enum { LESS = 1, SLASH = 2, LESS_BANG = 0xFF };
  if (place->content == SCRIPT) vsi_js_read(place, c, false);
  uint8_t matched = place->matched;
  place->matched = 0;
  if (matched == LESS_BANG) {
    if (c == '-') place->state = LOST; /* <!--: a <script behind it would hide the next </script> */
  } else if (matched == LESS && c == '/') {
    place->matched = SLASH;
    return;
  } else if (matched == LESS && c == '!' && place->content == SCRIPT) {
    place->matched = LESS_BANG;
    return;
  } else if (matched == LESS && is_letter(c) && place->content == ESCAPABLE) {
    place->state = LOST; /* in svg this would be a tag */
  } else if (matched >= SLASH) {
    size_t at = matched - (size_t)SLASH;
    if (at < place->element_len && lower(c) == place->element[at]) {
      place->matched = (uint8_t)(matched + 1);
      return;
    }
    if (at == place->element_len && (is_space(c) || c == '/' || c == '>')) {
      place->is_end_tag = true;
      place->state = is_space(c) ? BEFORE_NAME : SELF_CLOSING;
      if (c == '>') tag_end(place);
      return;
    }
    if ((place->content == ESCAPABLE || place->in_noscript) && (at || is_letter(c))) place->state = LOST;
  }
  if (c == '<') place->matched = LESS;
}

/* One byte. Returns false when it is to be read once more, in the state that is now. */
static bool step(vestry_html_place *place, char c) {
#define GO(next)    return place->state = (next), true
#define AGAIN(next) return place->state = (next), false
  if (place->in_noscript && c == '<' && place->state != TEXT && place->state != TEXT_UNTIL) GO(LOST);
  switch (place->state) {
  case TEXT: place->drops_newline = false; GO(c == '<' ? TAG_OPEN : TEXT);
  case TAG_OPEN:
  case END_TAG_OPEN:
    if (is_letter(c)) {
      place->is_end_tag = place->state == END_TAG_OPEN;
      name_begin(place, c);
      GO(TAG_NAME);
    }
    if (place->state == END_TAG_OPEN) AGAIN(BOGUS); /* "</>" is nothing at all, and BOGUS ends at once */
    if (c == '/') GO(END_TAG_OPEN);
    if (c == '!') GO(DECLARATION);
    AGAIN(c == '?' ? BOGUS : TEXT);
  case TAG_NAME:
    if (is_space(c) || c == '/' || c == '>') {
      tag_named(place);
      AGAIN(AFTER_VALUE);
    }
    name_add(place, c);
    return true;
  case SELF_CLOSING:
  case AFTER_VALUE:
  case BEFORE_NAME:
  case AFTER_NAME:
    if (c == '>') return tag_end(place), true;
    if (c == '/') GO(SELF_CLOSING);
    if (is_space(c)) GO(place->state == AFTER_NAME ? AFTER_NAME : BEFORE_NAME);
    if (c == '=' && place->state == AFTER_NAME) GO(BEFORE_VALUE);
    name_begin(place, c); /* also a "=" without a name before it */
    GO(NAME);
  case NAME:
    if (is_space(c) || c == '/' || c == '>') AGAIN(AFTER_NAME);
    if (c == '=') GO(BEFORE_VALUE);
    name_add(place, c);
    return true;
  case BEFORE_VALUE:
    if (is_space(c)) return true;
    if (c == '>') return tag_end(place), true;
    value_begin(place);
    GO(c == '"' ? DOUBLE_QUOTED : c == '\'' ? SINGLE_QUOTED : UNQUOTED);
  case DOUBLE_QUOTED:
  case SINGLE_QUOTED:
    if (c == (place->state == DOUBLE_QUOTED ? '"' : '\'')) GO(AFTER_VALUE);
    if (place->kind == CODE) vsi_js_read(place, c, true);
    if (place->kind == URL) url_read(place, c);
    return true;
  case UNQUOTED:
    if (c == '>') return tag_end(place), true;
    GO(is_space(c) ? BEFORE_NAME : UNQUOTED);
  case DECLARATION:
    if (c == '[') GO(LOST);
    if (c == '-') GO(DECLARATION_DASH);
    AGAIN(BOGUS);
  case DECLARATION_DASH:
    if (c == '-') GO(COMMENT_START);
    AGAIN(BOGUS);
  case COMMENT_START:
  case COMMENT_START_DASH:
    if (c == '>') GO(TEXT);
    if (c == '-') GO(place->state == COMMENT_START ? COMMENT_START_DASH : COMMENT_END);
    GO(COMMENT);
  case COMMENT: GO(c == '-' ? COMMENT_END_DASH : COMMENT);
  case COMMENT_END_DASH: GO(c == '-' ? COMMENT_END : COMMENT);
  case COMMENT_END:
    if (c == '>') GO(TEXT);
    if (c == '-') return true;
    GO(c == '!' ? COMMENT_END_BANG : COMMENT);
  case COMMENT_END_BANG:
    if (c == '>') GO(TEXT);
    GO(c == '-' ? COMMENT_END_DASH : COMMENT);
  case BOGUS: GO(c == '>' ? TEXT : BOGUS);
  case TEXT_UNTIL:
    place->drops_newline = false;
    text_until(place, c);
    return true;
  default: return true; /* LOST */
  }
}

/* The byte that ends a run in which nothing happens; 0: any byte may matter. */
static char run_end(const vestry_html_place *place) {
  if (place->in_noscript && place->state != TEXT) return '\0';
  switch (place->state) {
  case TEXT: return '<';
  case DOUBLE_QUOTED: return place->kind == PLAIN ? '"' : '\0';
  case SINGLE_QUOTED: return place->kind == PLAIN ? '\'' : '\0';
  case COMMENT: return '-';
  case BOGUS: return '>';
  case TEXT_UNTIL: return place->matched || place->content == SCRIPT ? '\0' : '<';
  default: return '\0';
  }
}

void vsi_place_read(vestry_html_place *place, const char *bytes, size_t len) {
  const char *end = bytes + len;
  while (bytes < end && place->state != LOST) {
    char stop = run_end(place);
    if (stop && *bytes != stop) {
      place->drops_newline = false;
      bytes = memchr(bytes, stop, (size_t)(end - bytes));
      if (!bytes) return;
    }
    if (step(place, *bytes)) bytes++;
  }
}

static vsi_slot none(const char **ret_why, const char *why) {
  *ret_why = why;
  return VSI_SLOT_NONE;
}

static vsi_slot code_slot(const vestry_html_place *place, vsi_slot code, const char **ret_why) {
  if (place->js & VSI_JS_LOST) return none(ret_why, "it stands in code that is too intricate to be sure of its place");
  if (place->js == VSI_JS_CODE) return code;
  if (place->js & VSI_JS_BACKSLASH) return none(ret_why, "it stands behind a backslash");
  return VSI_SLOT_JS_STRING;
}

vsi_slot vsi_place_slot(const vestry_html_place *place, const char **ret_why) {
  switch (place->state) {
  case TEXT: return VSI_SLOT_TEXT;
  case DOUBLE_QUOTED:
  case SINGLE_QUOTED:
    if (place->kind == CLOSED) return none(ret_why, "it stands in the value of style or srcdoc");
    if (place->kind == CODE) return code_slot(place, VSI_SLOT_JS_CODE, ret_why);
    if (place->kind == URL && is_script_url(place)) return none(ret_why, "it stands in a URL that is a script");
    return place->kind == URL ? VSI_SLOT_URL : VSI_SLOT_TEXT;
  case BEFORE_VALUE:
  case UNQUOTED: return none(ret_why, "it stands in an attribute's value that has no quotes");
  case COMMENT_START:
  case COMMENT_START_DASH:
  case COMMENT:
  case COMMENT_END_DASH:
  case COMMENT_END:
  case COMMENT_END_BANG:
  case DECLARATION:
  case DECLARATION_DASH:
  case BOGUS: return none(ret_why, "it stands in a comment or declaration");
  case TEXT_UNTIL:
    if (place->content == SCRIPT) {
      vsi_slot slot = code_slot(place, VSI_SLOT_SCRIPT, ret_why);
      return slot == VSI_SLOT_JS_STRING ? none(ret_why, "it stands in a string of a script element") : slot;
    }
    if (place->content == ESCAPABLE && !place->matched) return VSI_SLOT_TEXT;
    return none(ret_why, "it stands in an element whose text cannot be escaped");
  case LOST: return none(ret_why, "it stands behind HTML that is too intricate to be sure of its place");
  default: return none(ret_why, "it stands inside a tag, outside of its attributes' values");
  }
}

bool vsi_place_insert(vestry_html_place *place, vsi_slot slot, const char *text, size_t len) {
  if (len) place->drops_newline = false;
  if (len) place->js_last = 0;
  if (slot != VSI_SLOT_URL) return false;
  for (size_t i = 0; i < len && place->name_len < sizeof place->name - 1; i++) url_read(place, text[i]);
  if (!is_script_url(place)) return false;
  name_begin(place, ':'); /* what is put there instead has a scheme, and no other can come behind it */
  return true;
}

bool vsi_place_drops_newline(const vestry_html_place *place) {
  return place->drops_newline;
}
