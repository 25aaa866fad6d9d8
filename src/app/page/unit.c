/* SPDX-License-Identifier: MIT */
/* Dividing a content into units, and lists of units (unit.h).
 *
 * The content is read once, tag by tag, while html/open.c tracks the open elements. Each start tag must have an
 * end tag, and the parser must not repair anything: then the bytes of an element, parsed alone by the client, make the
 * same element as in the content. All other contents are unsuitable.
 *
 * The bytes inside of some elements are never divided: the client does not patch inside of an element with
 * data-ignore-morph, and elements of svg, math and select have a meaning only in their context. Their ids are noted,
 * because an id that occurs twice, or changes between a unit and such an element, makes a content unsuitable. */
#include "app/page/unit.h"

#include <string.h>

#include "base/array.h"
#include "base/ascii.h"
#include "base/memory.h"
#include "base/refs.h"
#include "html/content.h"
#include "html/open.h"

enum { INDEX_BITS = 24, IS_OTHER = (1 << INDEX_BITS) - 1, SLOTS_FEWEST = 64 };

static const char why_repaired[] = "a tag is missing, or a parser repairs the nesting of elements";
static const char why_id[] = "an id occurs twice";

static uint64_t name_of(vsi_siphash_key key, vestry_slice id, uint64_t *ret_hash) {
  const uint64_t hash = vsi_siphash_1_3(key, id.data, id.len);
  if (ret_hash) *ret_hash = hash;
  return hash >> INDEX_BITS;
}

/* ---------------------------------------------------------------------------------------------- table by name ----- */

static uint64_t *slot_of(const vsi_units *units, uint64_t name) {
  size_t i = (size_t)name & (units->slots_count - 1);
  while (units->slots[i] && units->slots[i] >> INDEX_BITS != name) i = (i + 1) & (units->slots_count - 1);
  return &units->slots[i];
}

static vestry_err grow_slots(vsi_units *units) {
  uint64_t *const former = units->slots;
  const size_t former_count = units->slots_count;
  units->slots_count = former_count ? former_count * 4 : SLOTS_FEWEST;
  units->slots = vsi_calloc(units->host, units->slots_count, sizeof *units->slots);
  if (!units->slots) {
    units->slots = former;
    units->slots_count = former_count;
    return VESTRY_NO_MEMORY;
  }
  for (size_t i = 0; i < former_count; i++)
    if (former[i]) *slot_of(units, former[i] >> INDEX_BITS) = former[i];
  vsi_free(units->host, former);
  return VESTRY_OK;
}

/* Returns OK | EXISTS | NO_MEMORY. */
static vestry_err add_name(vsi_units *units, uint64_t name, uint64_t value) {
  if (units->taken_count * 2 >= units->slots_count && grow_slots(units)) return VESTRY_NO_MEMORY;
  uint64_t *slot = slot_of(units, name);
  if (*slot) return VESTRY_EXISTS;
  *slot = name << INDEX_BITS | value;
  units->taken_count++;
  return VESTRY_OK;
}

uint32_t vsi_units_find(const vsi_units *units, uint64_t name) {
  if (!units->slots_count) return VSI_UNIT_NONE;
  const uint64_t value = *slot_of(units, name) & IS_OTHER;
  return value && value != IS_OTHER ? (uint32_t)value - 1 : VSI_UNIT_NONE;
}

static vestry_err add_unit(vsi_units *units, const vsi_unit *unit) {
  vestry_err error = VSI_ARRAY_RESERVE(units->host, units->all, units->count, units->room, 1);
  if (!error) error = add_name(units, unit->name, units->count + 1);
  if (!error) units->all[units->count++] = *unit;
  return error;
}

void vsi_units_finish(vsi_units *units) {
  vsi_free(units->host, units->all);
  vsi_free(units->host, units->slots);
  vsi_buffer_finish(&units->ids);
}

/* --------------------------------------------------------------------------------------------------- dividing ----- */

/* An open element. */
typedef struct level {
  uint32_t unit; /* NONE: it is not a unit */
  uint16_t own;  /* its index among the open elements of html/open.c */
} level;

/* The own bytes of an open unit, as far as they are hashed. */
typedef struct own_bytes {
  uint32_t unit;
  uint32_t edge;   /* end of its start tag, or of the last unit inside of it */
  uint32_t hashed; /* the bytes before are hashed */
  uint32_t run;
  uint64_t hash;
} own_bytes;

typedef struct division {
  vsi_units *units;
  const vsi_unit_text *text;
  const char *html, *end;
  vsi_siphash_key key;
  const char *token_at; /* the next token that is not hashed yet; NULL: there is none */
  size_t insert;        /* number of inserts that are hashed */
  vsi_open open;
  level levels[VSI_OPEN_MAX];
  size_t levels_count;
  size_t closed; /* number of levels from which on nothing is divided; SIZE_MAX: everything is divided */
  own_bytes owns[VSI_UNIT_DEPTH_MAX + 1];
  size_t owns_count;
  vestry_err error;
} division;

static const char *run_out(division *d, vestry_err error) {
  d->error = error;
  return error == VESTRY_EXISTS ? why_id : "out of memory";
}

enum { OF_START_TAG = 1, OF_GAP, OF_TEXT, OF_TOKEN, OF_INSERT };

static void hash_more(const division *d, own_bytes *own, unsigned kind, const char *data, size_t len) {
  own->hash = vsi_siphash_1_3_words(d->key, own->hash, vsi_siphash_1_3(d->key, data, len), kind, 17);
}

static void find_token(division *d, const char *from) {
  const vestry_slice token = d->text->token;
  d->token_at = token.len ? memmem(from, (size_t)(d->end - from), token.data, token.len) : NULL;
}

/* Hash bytes of a unit. Pieces are hashed in the order of the text. Returns why they cannot be hashed; NULL: they
 * can. */
static const char *hash_bytes(division *d, own_bytes *own, unsigned kind, uint32_t from, uint32_t to) {
  const char *at = d->html + from, *const end = d->html + to;
  hash_more(d, own, kind, NULL, 0);
  while (d->token_at && d->token_at < end) {
    if (d->token_at < at || (size_t)(end - d->token_at) < d->text->token.len) return "a token is divided by a tag";
    hash_more(d, own, OF_TEXT, at, (size_t)(d->token_at - at));
    hash_more(d, own, OF_TOKEN, d->text->token_name.data, d->text->token_name.len);
    at = d->token_at + d->text->token.len;
    find_token(d, at);
  }
  hash_more(d, own, OF_TEXT, at, (size_t)(end - at));
  for (; d->insert < d->text->inserts_count && d->text->inserts_at[d->insert] <= to; d->insert++) {
    const char *insert = d->text->inserts[d->insert];
    hash_more(d, own, OF_INSERT, insert, strlen(insert));
  }
  own->hashed = to;
  return NULL;
}

/* is_certain: there is a gap even without bytes. */
static const char *hash_gap(division *d, own_bytes *own, uint32_t to, bool is_certain) {
  if (own->hashed == to && !is_certain) return NULL;
  d->units->all[own->unit].gaps_count++;
  return hash_bytes(d, own, OF_GAP, own->hashed, to);
}

/* Letters, digits and - _ . : need no escape in HTML, and none in a quoted selector. */
static bool is_plain_id(vestry_slice id) {
  const char *text = id.data;
  if (id.len > VSI_UNIT_ID_MAX) return false;
  for (size_t i = 0; i < id.len; i++)
    if (!vsi_is_letter(text[i]) && !vsi_is_digit(text[i]) && !memchr("-_.:", text[i], 4)) return false;
  return true;
}

typedef struct start {
  vsi_tag tag;
  vestry_slice id;
  bool is_ignored; /* the client keeps it as it is */
} start;

/* Begin a unit whose start tag is read. is_apart: the parser opens a tbody before it, so it is no sibling of the unit
 * before it. */
static const char *begin_unit(division *d, uint32_t begin, const start *s, bool is_apart) {
  vsi_units *units = d->units;
  if (units->count == VSI_UNITS_MAX) return "more than 16,384 elements have an id";
  if (d->owns_count > VSI_UNIT_DEPTH_MAX) return "an element with an id is in more than 62 others";
  own_bytes *around = d->owns_count ? &d->owns[d->owns_count - 1] : NULL;
  vsi_unit unit = {.begin = begin,
                   .parent = around ? around->unit : 0,
                   .id = (uint32_t)((const char *)s->id.data - d->html),
                   .id_len = (uint8_t)s->id.len,
                   .depth = (uint8_t)d->owns_count,
                   .name = name_of(d->key, s->id, NULL)};
  if (around) {
    if (around->edge != begin || is_apart) around->run++;
    const char *why = hash_gap(d, around, begin, is_apart);
    if (why) return why;
    unit.run = around->run;
  }
  const vestry_err error = add_unit(units, &unit);
  if (error) return run_out(d, error);
  own_bytes *own = &d->owns[d->owns_count++];
  *own = (own_bytes){.unit = (uint32_t)(units->count - 1), .edge = (uint32_t)(s->tag.at - d->html)};
  return hash_bytes(d, own, OF_START_TAG, begin, own->edge);
}

/* End the innermost unit. inside_end: where its end tag begins; end: after it. is_apart: its end closes a tbody without
 * a tag, so the last unit in it is not directly inside of it. */
static const char *end_unit(division *d, uint32_t inside_end, uint32_t end, bool is_apart) {
  own_bytes *own = &d->owns[--d->owns_count];
  vsi_unit *unit = &d->units->all[own->unit];
  const char *why = hash_gap(d, own, inside_end, is_apart);
  if (why) return why;
  unit->own = own->hash >> 16;
  unit->end = end;
  unit->after = (uint32_t)d->units->count;
  if (d->owns_count) d->owns[d->owns_count - 1].edge = d->owns[d->owns_count - 1].hashed = end;
  return NULL;
}

static bool is_closed(const division *d) {
  return d->levels_count > d->closed;
}

/* Note an id that is not the id of a unit, and the unit that it is in: it must not move from one unit to another. */
static const char *note_other(division *d, vestry_slice id) {
  uint64_t hash;
  const uint64_t name = name_of(d->key, id, &hash);
  const vestry_err error = add_name(d->units, name, IS_OTHER);
  const uint64_t around = d->units->all[d->owns[d->owns_count - 1].unit].name;
  d->units->others += vsi_siphash_1_3_words(d->key, hash, around, 0, 16);
  return error ? run_out(d, error) : NULL;
}

static bool ends_with(vestry_slice text, const char *lower) {
  const size_t len = strlen(lower);
  return text.len >= len && vsi_is_same_text((const char *)text.data + text.len - len, lower, len);
}

/* Read a tag. Returns false if the content ends inside it. */
static bool read_tag(start *s) {
  vsi_tag_attribute attribute;
  bool has_id = false;
  s->id = (vestry_slice){NULL, 0};
  s->is_ignored = false;
  while (vsi_tag_next(&s->tag, &attribute)) {
    if (ends_with(attribute.name, "ignore-morph")) s->is_ignored = true; /* also with an alias of the client */
    if (has_id || !vsi_is_word(attribute.name, "id")) continue;
    has_id = true; /* of two, the first counts */
    s->id = attribute.value;
  }
  return s->tag.at;
}

/* Return whether an element without an end tag is complete after its start tag. */
static bool is_complete(const division *d, const start *s, vsi_element element) {
  const vsi_element_act act = (vsi_element_act)vsi_elements[element].act;
  if (vsi_open_reads_foreign(&d->open)) return s->tag.is_self_closing;
  return act == VSI_ACT_EMPTY || act == VSI_ACT_RULE || act == VSI_ACT_TEXT || element == VSI_EL_COL ||
         (act == VSI_ACT_FOREIGN && s->tag.is_self_closing);
}

/* Skip the text of an element with its end tag. Returns NULL if it does not end. */
static const char *skip_text(const division *d, const start *s, const char **ret_inside_end) {
  vsi_tag tag;
  vsi_tag_attribute attribute;
  *ret_inside_end = vsi_tag_text_end(s->tag.at, d->end, s->tag.name);
  if (*ret_inside_end == d->end) return NULL;
  vsi_tag_begin(&tag, *ret_inside_end, d->end, false);
  while (vsi_tag_next(&tag, &attribute)) continue;
  return tag.at;
}

static const char *start_tag(division *d, start *s, const char **at) {
  const uint32_t begin = (uint32_t)(*at - d->html);
  const vsi_element element = vsi_element_of(s->tag.name);
  const vsi_element_act act = (vsi_element_act)vsi_elements[element].act;
  const bool reads_foreign = vsi_open_reads_foreign(&d->open), was_closed = is_closed(d);
  const size_t depth = d->open.depth;
  const uint32_t top = depth ? d->open.entries[depth - 1] : 0;
  if (!reads_foreign && (act == VSI_ACT_TEMPLATE || act == VSI_ACT_NOSCRIPT)) return "it has a template or a noscript";
  if (s->id.len && !is_plain_id(s->id)) return "an id has other characters than letters, digits and - _ . :";
  const bool is_alone = is_complete(d, s, element);
  const char *why = vsi_open_start(&d->open, &s->tag, element);
  if (why) return why;
  /* The start tag must neither close an element nor be ignored. It may open a tbody that has no tag. */
  if (depth && (d->open.depth < depth || d->open.entries[depth - 1] != top)) return why_repaired;
  if ((d->open.depth == depth) != is_alone) return why_repaired;
  const bool opens_body = d->open.depth == depth + 2 && element == VSI_EL_TR;
  if (d->open.depth > depth + 1 && !opens_body) return why_repaired;
  if (!depth) d->open.in_content = true; /* the root, whose surroundings are not known */
  if (s->id.len) why = was_closed ? note_other(d, s->id) : begin_unit(d, begin, s, opens_body);
  if (why) return why;
  const bool is_unit = s->id.len && !was_closed;
  *at = s->tag.at;
  if (!is_alone) {
    if (d->levels_count == VSI_OPEN_MAX) return why_repaired;
    if (!was_closed && (s->is_ignored || act == VSI_ACT_SELECT || act == VSI_ACT_FOREIGN)) d->closed = d->levels_count;
    d->levels[d->levels_count++] = (level){.unit = is_unit ? d->owns[d->owns_count - 1].unit : VSI_UNIT_NONE,
                                           .own = (uint16_t)(d->open.depth - 1)};
    return NULL;
  }
  const char *inside_end = *at;
  if (act == VSI_ACT_TEXT && !reads_foreign && !(*at = skip_text(d, s, &inside_end))) return why_repaired;
  return is_unit ? end_unit(d, (uint32_t)(inside_end - d->html), (uint32_t)(*at - d->html), false) : NULL;
}

static const char *end_tag(division *d, const start *s, const char **at) {
  const uint32_t begin = (uint32_t)(*at - d->html);
  if (!d->levels_count) return why_repaired;
  const level *top = &d->levels[d->levels_count - 1];
  const bool closes_body = d->open.depth > top->own + 1u;
  const char *why = vsi_open_end(&d->open, &s->tag, vsi_element_of(s->tag.name));
  if (why) return why;
  if (d->open.depth != top->own) return why_repaired;
  d->levels_count--;
  if (d->levels_count <= d->closed) d->closed = SIZE_MAX;
  *at = s->tag.at;
  return top->unit == VSI_UNIT_NONE ? NULL : end_unit(d, begin, (uint32_t)(*at - d->html), closes_body);
}

static const char *text_of(division *d, const char *from, const char *to) {
  if (!(vsi_elements[vsi_open_top(&d->open)].facts & VSI_TABLE_CONTEXT)) return NULL;
  while (from < to && vsi_is_space(*from)) from++;
  return from < to ? vsi_open_text(&d->open) : NULL;
}

/* Read the markup that begins at '<'. */
static const char *markup(division *d, const char **at) {
  const char *const from = *at, *next = from + 1;
  start s;
  if (!vsi_tag_begin(&s.tag, from, d->end, false)) {
    const bool is_markup = next < d->end && (*next == '!' || *next == '?' || *next == '/');
    *at = is_markup ? vsi_tag_skip_markup(from, d->end, vsi_open_is_foreign(&d->open)) : next;
    return is_markup ? NULL : text_of(d, from, next);
  }
  if (!read_tag(&s)) return why_repaired;
  return s.tag.is_end ? end_tag(d, &s, at) : start_tag(d, &s, at);
}

static const char *divide(division *d) {
  const char *at = d->html, *why = NULL;
  if (d->text->content.len > VSI_CONTENT_MAX_BYTES) return "it has more than 16 MiB";
  vsi_open_init(&d->open, d->html);
  find_token(d, at);
  do {
    const char *less = memchr(at, '<', (size_t)(d->end - at));
    why = !less || (less != at && !d->levels_count) ? why_repaired : text_of(d, at, less);
    if (why) return why;
    at = less;
    if ((why = markup(d, &at))) return why;
    if (!d->units->count) return "its element has no id";
  } while (d->levels_count);
  return at == d->end ? NULL : why_repaired;
}

vestry_err vsi_units_divide(vsi_units *units, const vestry_host *host, const vsi_unit_text *text, vsi_siphash_key key) {
  *units = (vsi_units){.host = host, .text = text->content.data};
  vsi_buffer_init(&units->ids, host);
  division *d = vsi_alloc(host, sizeof *d);
  if (!d) return VESTRY_NO_MEMORY;
  *d = (division){.units = units,
                  .text = text,
                  .html = text->content.data,
                  .end = (const char *)text->content.data + text->content.len,
                  .key = key,
                  .closed = SIZE_MAX};
  units->why = divide(d);
  vestry_err error = !units->why ? VESTRY_OK : d->error == VESTRY_NO_MEMORY ? VESTRY_NO_MEMORY : VESTRY_UNSUPPORTED;
  vsi_free(host, d);
  return error;
}

/* ------------------------------------------------------------------------------------------------------ lists ----- */

/* The units of a list, one after the other in the order of their start tags:
 *
 * | bytes | content |
 * |---|---|
 * | 1 | number of units that end before this one begins; bit 6: it begins a run; bit 7: the id follows, not its hash |
 * | 6 | hash of the own bytes |
 * | 5 | hash of the id |
 * | or 1 | bytes that the id has in common with the last id that is stored, at most 31; in the upper 3 bits, the number
 *          of the bytes that follow, or 7 |
 * | 0 or 1 | number of the bytes that follow, if it is more than 6 |
 * | 0 to 128 | these bytes |
 *
 * Usually ids are alike ("row-17", "row-18") and take fewer bytes than their hashes. If they would take more than the
 * bytes of a list, all ids are stored as hashes. Such a unit cannot be removed separately, because the client finds an
 * element by its id. */
enum { OWN_BYTES = 6, NAME_BYTES = 5, ENDED_MASK = 0x3f, BEGINS_RUN = 0x40, HAS_ID = 0x80, SHARED_MOST = 31, LONG = 7 };

struct vsi_unit_list {
  uint64_t of, others;
  uint32_t count, bytes_count;
  vsi_refs references;
  unsigned char bytes[];
};

static unsigned char *put_number(unsigned char *to, uint64_t number, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) *to++ = (unsigned char)(number >> 8 * i);
  return to;
}

static const unsigned char *get_number(const unsigned char *at, size_t bytes, uint64_t *ret_number) {
  uint64_t number = 0;
  for (size_t i = 0; i < bytes; i++) number |= (uint64_t)*at++ << 8 * i;
  *ret_number = number;
  return at;
}

static size_t shared_len(vestry_slice one, vestry_slice other) {
  size_t len = 0;
  while (len < SHARED_MOST && len < one.len && len < other.len &&
         ((const char *)one.data)[len] == ((const char *)other.data)[len])
    len++;
  return len;
}

/* Return the memory of the units if the ids themselves are stored. */
static size_t bytes_with_ids(const vsi_units *units) {
  size_t sum = 0;
  for (uint32_t i = 0; i < units->count; i++) {
    const vestry_slice id = vsi_unit_id(units, i), last = i ? vsi_unit_id(units, i - 1) : (vestry_slice){"", 0};
    const size_t len = id.len - shared_len(id, last);
    sum += 1 + OWN_BYTES + 1 + (len >= LONG) + len;
  }
  return sum;
}

/* Return whether a unit begins a run: the one before it in its parent is in another one. */
static bool begins_run(const vsi_units *units, uint32_t i, const uint32_t *runs) {
  const vsi_unit *unit = &units->all[i];
  return i && unit->run != runs[unit->depth];
}

static unsigned char *put_unit(const vsi_units *units, uint32_t i, bool has_ids, uint32_t *runs, unsigned char *to) {
  const vsi_unit *unit = &units->all[i];
  const unsigned ended = i ? units->all[i - 1].depth + 1u - unit->depth : 0;
  *to++ = (unsigned char)(ended | (begins_run(units, i, runs) ? BEGINS_RUN : 0) | (has_ids ? HAS_ID : 0));
  runs[unit->depth] = unit->run;
  runs[unit->depth + 1] = 0;
  to = put_number(to, unit->own, OWN_BYTES);
  if (!has_ids) return put_number(to, unit->name, NAME_BYTES);
  const vestry_slice id = vsi_unit_id(units, i), last = i ? vsi_unit_id(units, i - 1) : (vestry_slice){"", 0};
  const size_t shared = shared_len(id, last), len = id.len - shared;
  *to++ = (unsigned char)(shared | (len < LONG ? len : LONG) << 5);
  if (len >= LONG) *to++ = (unsigned char)len;
  memcpy(to, (const char *)id.data + shared, len);
  return to + len;
}

vsi_unit_list *vsi_unit_list_make(const vsi_units *units, uint64_t of) {
  const size_t with_ids = bytes_with_ids(units), most = units->count * VSI_UNIT_BYTES;
  const bool has_ids = sizeof(vsi_unit_list) + with_ids <= most + VSI_UNIT_LIST_BYTES;
  const size_t bytes_count = has_ids ? with_ids : most;
  vsi_unit_list *list = vsi_alloc(units->host, sizeof *list + bytes_count);
  if (!list) return NULL;
  list->of = of;
  list->others = units->others;
  list->count = (uint32_t)units->count;
  list->bytes_count = (uint32_t)bytes_count;
  VSI_REFS_INIT(&list->references, 1);
  uint32_t runs[VSI_UNIT_DEPTH_MAX + 2] = {0};
  unsigned char *to = list->bytes;
  for (uint32_t i = 0; i < units->count; i++) to = put_unit(units, i, has_ids, runs, to);
  VSI_ASSERT((size_t)(to - list->bytes) == bytes_count);
  return list;
}

vsi_unit_list *vsi_unit_list_ref(vsi_unit_list *list) {
  if (list) VSI_REFS_TAKE(&list->references);
  return list;
}

void vsi_unit_list_unref(vsi_unit_list *list, const vestry_host *host) {
  if (list && VSI_REFS_DROP(&list->references)) vsi_free(host, list);
}

uint64_t vsi_unit_list_of(const vsi_unit_list *list) {
  return list->of;
}

size_t vsi_unit_list_bytes(const vsi_unit_list *list) {
  return sizeof *list + list->bytes_count;
}

/* Read the id of a unit, or its hash. */
static const unsigned char *get_id(vsi_units *units, vsi_siphash_key key, bool has_id, const unsigned char *at,
                                   vsi_unit *unit) {
  if (!has_id) return get_number(at, NAME_BYTES, &unit->name);
  const vsi_unit *last = units->count ? &units->all[units->count - 1] : NULL;
  const size_t shared = *at & SHARED_MOST;
  size_t len = *at++ >> 5;
  if (len == LONG) len = *at++;
  char *id = vsi_buffer_reserve(&units->ids, shared + len);
  if (!id) return NULL;
  if (shared) memcpy(id, units->ids.data + last->id, shared);
  memcpy(id + shared, at, len);
  unit->id = (uint32_t)units->ids.len;
  unit->id_len = (uint8_t)(shared + len);
  unit->name = name_of(key, (vestry_slice){id, unit->id_len}, NULL);
  units->ids.len += unit->id_len;
  return at + len;
}

vestry_err vsi_unit_list_read(const vsi_unit_list *list, const vestry_host *host, vsi_siphash_key key,
                              vsi_units *ret_units) {
  vsi_units *units = ret_units;
  *units = (vsi_units){.host = host, .others = list->others};
  vsi_buffer_init(&units->ids, host);
  uint32_t open[VSI_UNIT_DEPTH_MAX + 2], runs[VSI_UNIT_DEPTH_MAX + 2] = {0};
  size_t depth = 0;
  const unsigned char *at = list->bytes;
  for (uint32_t i = 0; i < list->count; i++) {
    const unsigned head = *at++;
    for (unsigned ended = head & ENDED_MASK; ended; ended--) units->all[open[--depth]].after = i;
    vsi_unit unit = {.parent = depth ? open[depth - 1] : 0, .depth = (uint8_t)depth};
    if (head & BEGINS_RUN) runs[depth]++;
    unit.run = runs[depth];
    at = get_number(at, OWN_BYTES, &unit.own);
    at = get_id(units, key, head & HAS_ID, at, &unit);
    if (!at || add_unit(units, &unit)) return VESTRY_NO_MEMORY;
    open[depth++] = i;
    runs[depth] = 0;
  }
  while (depth) units->all[open[--depth]].after = list->count;
  units->text = units->ids.data;
  return VESTRY_OK;
}
