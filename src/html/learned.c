/* SPDX-License-Identifier: MIT */
/* essay: caching the analysis of formats that recur */
/* An HTML builder often uses the same format: a list is built row by row from one format, and a page is built again
 * after each change. Parsing the format and its HTML each time would be most of a row's cost. Therefore a builder that
 * is used long enough caches its analysis of a format as a program: the pieces of the format's text, the conversions
 * after them, and the place at the end.
 *
 * A program is valid if the format begins at the place where it was learned, and if no argument changes the meaning of
 * the text after it. Places in ordinary text are the same, because the text before does not matter there; other places,
 * such as in the value of an attribute, are the same if all their bytes are equal. The effect of an argument follows
 * from its place (vsi_place_is_settled): a number or an escaped text cannot end the text, value or string around it.
 * Everything that depends on arguments is checked on each use:
 * - a `&` or a CR before a text;
 * - the HTML of a %-s in ordinary text, which must not change the place;
 * - the text of a %-s elsewhere, such as the name of an element, which must be the same as when the format was learned.
 * If a check fails, the rest of the format is parsed normally. A format that does not meet the conditions is marked as
 * unfit.
 *
 * A format is found by its address, and all its bytes are compared with a copy in the program, so it does not matter if
 * the memory at that address has changed. A format is learned at its second use, and only by a builder that has
 * added FIRST_ADDS formats before, so a single small piece does not pay for this. If memory runs out, nothing is
 * learned. */
#include "html/format.h"

#include <string.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/memory.h"
#include "html/escape.h"
#include "html/place.h"

/* SLOTS: formats that a builder caches, 1.3 to 2.3 kB each. WAYS: slots that are searched for a format. PLACES:
 * places at which the same format is learned. FIRST_ADDS: calls before a builder begins to learn. MAX_STEPS: pieces
 * of a format. MAX_FORMAT: its length with the NUL. NUMBER_BYTES: room for an integer. BLOCK: bytes that are copied at
 * once. MAX_FIXED, FIXED_BYTES: number and length of the fixed texts of a format. */
enum {
  SLOTS = 64,
  WAYS = 4,
  PLACES = 3,
  FIRST_ADDS = 16,
  MAX_STEPS = 12,
  MAX_FORMAT = 1024,
  NUMBER_BYTES = 24,
  BLOCK = 32,
  MAX_FIXED = 3,
  FIXED_BYTES = 128
};

typedef enum act {
  END,     /* no conversion */
  DECIMAL, /* an integer without flags and width */
  TEXT,    /* a whole text */
  RAW,     /* in plain text */
  FIXED,   /* raw, elsewhere */
  OTHER
} act;

/* A piece of the format's text, and the conversion after it. */
typedef struct step {
  uint16_t at, len;     /* the piece */
  uint16_t begin, next; /* the conversion, from its %, and its end */
  uint8_t act;
  uint8_t fixed; /* its index */
  bool in_js;
  vsi_conversion conversion;
} step;

/* The text of a %-s when it was learned. */
typedef struct fixed {
  vsi_html_place before;
  char text[FIXED_BYTES];
} fixed;

typedef struct program {
  vsi_html_place before, behind; /* behind: while the format is learned, behind the last step */
  size_t steps_count, fixed_count, format_bytes;
  step steps[MAX_STEPS];
  fixed fixed[MAX_FIXED];
  char format[]; /* a copy of format_bytes, with its NUL, and BLOCK bytes */
} program;

typedef struct slot {
  const char *format; /* its current or former address; NULL: free */
  program *program;   /* NULL: it was used once, or is unfit */
  bool is_unfit;
} slot;

struct vsi_html_learned {
  size_t turn;
  slot slots[SLOTS];
};

/* ---------------------------------------------------------------------------------------------------- learning ---- */

static bool is_number(const vsi_conversion *c) {
  return c->letter != 's' && c->letter != 'c';
}

static act act_of(const vsi_conversion *c) {
  bool is_decimal = c->letter == 'd' || c->letter == 'i' || c->letter == 'u';
  bool has_more = c->minus || c->has_star || c->width || c->precision != VSI_NO_PRECISION;
  if (c->letter == 's') return c->minus ? RAW : has_more ? OTHER : TEXT;
  return is_decimal && !has_more && !c->plus && !c->space ? DECIMAL : OTHER;
}

/* Learn literal text, up to the next conversion or the end of the next doubled %. false: it cannot be learned. */
static bool learn_piece(vsi_format_reader *r, vsi_html_place *place, step *s, bool *ret_conversion) {
  const char *from = r->at, *percent = strchrnul(from, '%');
  s->at = (uint16_t)(from - r->format);
  s->len = (uint16_t)(percent - from);
  s->act = END;
  r->at = percent;
  *ret_conversion = percent[0] == '%' && percent[1] != '%';
  if (percent[0] == '%' && !*ret_conversion) { /* the first is literal text */
    s->len++;
    r->at += 2;
  }
  vsi_place_read(place, from, s->len);
  return !vsi_place_conflict(place);
}

/* Skip an argument. */
static void pass_over_format(vsi_format_reader *r, const vsi_conversion *c) {
  switch (c->letter) {
  case 'f':
  case 'g': (void)va_arg(r->arguments, double); break;
  case 'c': (void)va_arg(r->arguments, int); break;
  case 's': (void)va_arg(r->arguments, const char *); break;
  default: (void)vsi_format_next(r, c); break;
  }
}

static bool learn_fixed(program *p, vsi_format_reader *r, step *s) {
  if (s->conversion.has_star || s->conversion.precision != VSI_NO_PRECISION || p->fixed_count == MAX_FIXED)
    return false;
  const char *text = va_arg(r->arguments, const char *);
  size_t len = text ? strnlen(text, FIXED_BYTES) : FIXED_BYTES;
  if (len == FIXED_BYTES) return false;
  fixed *made = &p->fixed[p->fixed_count];
  made->before = p->behind;
  memcpy(made->text, text, len + 1);
  s->act = FIXED;
  s->fixed = (uint8_t)p->fixed_count++;
  vsi_place_read(&p->behind, text, len);
  return !vsi_place_conflict(&p->behind);
}

static bool learn_conversion(program *p, vsi_format_reader *r, step *s) {
  s->begin = (uint16_t)(r->at++ - r->format);
  if (vsi_format_read(r, &s->conversion)) return false;
  s->next = (uint16_t)(r->at - r->format);
  s->act = (uint8_t)act_of(&s->conversion);
  if (s->act == RAW && !vsi_place_is_plain(&p->behind)) return learn_fixed(p, r, s);
  pass_over_format(r, &s->conversion);
  return s->act == RAW || vsi_place_is_settled(&p->behind, is_number(&s->conversion), &s->in_js);
}

/* Learn a format from `behind` on. false: it cannot be learned. */
static bool learn_steps(program *p, vsi_format_reader *r) {
  while (*r->at) {
    if (p->steps_count == MAX_STEPS) return false;
    step *s = &p->steps[p->steps_count++];
    bool is_conversion;
    if (!learn_piece(r, &p->behind, s, &is_conversion)) return false;
    if (is_conversion && !learn_conversion(p, r, s)) return false;
  }
  return p->steps_count > 0;
}

static void copy_place(const vsi_html *html, vsi_html_place *ret_place) {
  if (vsi_place_is_plain(&html->place))
    vsi_place_init(ret_place);
  else
    *ret_place = html->place;
}

static bool is_at(const vsi_html *html, const vsi_html_place *place) {
  if (vsi_place_is_plain(&html->place)) return vsi_place_is_plain(place);
  return memcmp(&html->place, place, sizeof *place) == 0;
}

/* Learn a format at the current place. Returns NULL if it is too long, cannot be learned, or without memory. */
static program *make_program(const vsi_html *html, const char *format, va_list arguments) {
  size_t len = strnlen(format, MAX_FORMAT);
  if (len == MAX_FORMAT) return NULL;
  program *made = vsi_calloc(html->host, 1, sizeof *made + len + 1 + BLOCK);
  if (!made) return NULL;
  made->format_bytes = len + 1;
  memcpy(made->format, format, len + 1);
  copy_place(html, &made->before);
  made->behind = made->before;
  vsi_format_reader reader = {.format = format, .at = format};
  va_copy(reader.arguments, arguments);
  const bool is_learned = learn_steps(made, &reader);
  va_end(reader.arguments);
  if (is_learned) return made;
  vsi_free(html->host, made);
  return NULL;
}

static void empty_slot(vsi_html *html, slot *s) {
  vsi_free(html->host, s->program);
  *s = (slot){.format = NULL};
}

/* Return the slot of a format at this place: with its program, or else without one. NULL: it is learned at PLACES other
 * places. */
static slot *find_slot(vsi_html *html, const char *format) {
  vsi_html_learned *learned = html->learned;
  size_t first = (size_t)(vsi_hash_number((uintptr_t)format) >> 32) % SLOTS, places_count = 0;
  slot *without = NULL, *free_one = NULL;
  for (size_t i = 0; i < WAYS; i++) {
    slot *s = &learned->slots[(first + i) % SLOTS];
    if (!s->format && !free_one) free_one = s;
    if (s->format != format) continue;
    if (!s->program)
      without = s;
    else if (is_at(html, &s->program->before))
      return s;
    else
      places_count++;
  }
  if (without || places_count == PLACES) return without;
  if (!free_one) {
    free_one = &learned->slots[(first + learned->turn++ % WAYS) % SLOTS];
    empty_slot(html, free_one);
  }
  return free_one;
}

/* Return the program of a format at this place, which is learned once it recurs; NULL: the format is read. */
static const program *look_up_program(vsi_html *html, const char *format, va_list arguments) {
  if (!html->learned && !(html->learned = vsi_calloc(html->host, 1, sizeof *html->learned))) return NULL;
  slot *s = find_slot(html, format);
  if (!s) return NULL;
  if (s->program) {
    if (strncmp(format, s->program->format, s->program->format_bytes) == 0) return s->program;
    empty_slot(html, s); /* another format is at this address now, and may change again */
    s->format = format;
    s->is_unfit = true;
  }
  if (s->is_unfit) return NULL;
  if (!s->format) {
    s->format = format;
    return NULL;
  }
  s->program = make_program(html, format, arguments);
  s->is_unfit = !s->program;
  return s->program;
}

void vsi_html_forget(vsi_html *html) {
  if (!html->learned) return;
  for (size_t i = 0; i < SLOTS; i++) empty_slot(html, &html->learned->slots[i]);
  vsi_free(html->host, html->learned);
  html->learned = NULL;
}

/* ------------------------------------------------------------------------------------------- running a program ---- */

static void put_in_text(vsi_html *html, const char *text, size_t len) {
  vsi_html_insert_settled(html, false, text, len);
}
static void put_in_js(vsi_html *html, const char *text, size_t len) {
  vsi_html_insert_settled(html, true, text, len);
}
static const vsi_format_sink in_text = {vsi_html_put, put_in_text, NULL}, in_js = {vsi_html_put, put_in_js, NULL};

/* Copy whole blocks, so up to BLOCK - 1 bytes beyond len. The caller has reserved room for them, and the next write
 * overwrites them. */
static inline void put_blocks(char *to, const char *from, size_t len) {
  for (size_t at = 0; at < len; at += BLOCK) memcpy(to + at, from + at, BLOCK);
}

/* Append an integer without flags. The caller has reserved NUMBER_BYTES. */
static inline void do_decimal(vsi_format_reader *r, const vsi_conversion *c) {
  vsi_writer writer = {.to = r->html->data + r->html->len};
  vsi_format_put_integer(r, c, &writer);
  r->html->len += writer.len;
}

static void do_other(vsi_format_reader *r, const step *s) {
  vsi_conversion c = s->conversion;
  const char *why = NULL;
  if (c.has_star) {
    r->at = r->format + s->begin + 1;
    why = vsi_format_read(r, &c);
  }
  if (why)
    vsi_html_fail(r->html, VESTRY_INVALID, why);
  else
    vsi_format_put(r, &c);
}

/* Write a fixed text. false: the argument differs from the learned text, so the rest of the format must be parsed. */
static bool do_fixed(vsi_format_reader *r, const vsi_format_sink *sink, const fixed *known) {
  vsi_html *html = r->html;
  const char *text = va_arg(r->arguments, const char *);
  bool is_same = text && strncmp(text, known->text, FIXED_BYTES) == 0;
  if (is_same) {
    vsi_html_put_str(html, known->text);
  } else if (text) {
    html->place = known->before;
    sink->raw(html, text, strlen(text));
  } else {
    vsi_html_fail(html, VESTRY_INVALID, vsi_html_why_null);
  }
  return is_same;
}

/* Run the conversion of a step, other than DECIMAL. false: its text changes the place, so the rest must be parsed. */
static bool do_conversion(vsi_format_reader *r, const vsi_format_sink *sink, const program *p, const step *s) {
  vsi_html *html = r->html;
  switch ((act)s->act) {
  case END:
  case DECIMAL: break;
  case TEXT: {
    const char *text = va_arg(r->arguments, const char *);
    if (text)
      vsi_html_insert_settled(html, s->in_js, text, strlen(text));
    else
      vsi_html_fail(html, VESTRY_INVALID, vsi_html_why_null);
    break;
  }
  case RAW:
    vsi_place_init(&html->place);
    r->sink = sink;
    do_other(r, s);
    return vsi_place_is_plain(&html->place);
  case FIXED: return do_fixed(r, sink, &p->fixed[s->fixed]);
  case OTHER:
    r->sink = s->in_js ? &in_js : &in_text;
    do_other(r, s);
    break;
  }
  return true;
}

/* Write the steps of a program. If a step leaves the learned place, the rest of the format is read. */
static void run_program(vsi_format_reader *r, const vsi_format_sink *sink, const program *p) {
  vsi_html *html = r->html;
  for (const step *s = p->steps, *end = s + p->steps_count; s < end; s++) {
    if (!vsi_html_reserve(html, s->len + (size_t)BLOCK + NUMBER_BYTES)) return;
    put_blocks(html->data + html->len, p->format + s->at, s->len);
    html->len += s->len;
    if (s->act == DECIMAL) { /* the most frequent one, which cannot fail */
      do_decimal(r, &s->conversion);
      continue;
    }
    bool goes_on = do_conversion(r, sink, p, s);
    if (html->error) {
      vsi_html_fail_at(html, r->format, s->begin);
      return;
    }
    if (goes_on) continue;
    r->at = r->format + s->next;
    r->sink = sink;
    vsi_format_read_on(r);
    return;
  }
  html->place = p->behind;
}

bool vsi_html_add_learned(vsi_html *html, const vsi_format_sink *sink, const char *format, va_list arguments) {
  if (html->error || html->is_fixed || !format) return false;
  if (html->adds_count < FIRST_ADDS) {
    html->adds_count++;
    return false;
  }
  const program *known = look_up_program(html, format, arguments);
  if (!known) return false;
  vsi_format_reader r = {.html = html, .format = format};
  va_copy(r.arguments, arguments);
  run_program(&r, sink, known);
  va_end(r.arguments);
  return true;
}
