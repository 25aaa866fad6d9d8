/* SPDX-License-Identifier: MIT */
/* Finding the patches that turn one content into another (unit.h).
 *
 * A unit is the same in both contents if its id is. Each unit of the new content is
 *
 * - sent as a whole if its own bytes differ, or if the units directly inside of it have another order or other places,
 *   or if one of its units was or is elsewhere;
 * - otherwise left as it is, while units that are new in it are inserted beside their siblings, and units that are gone
 *   are removed.
 *
 * A unit that moves from one unit to another could lose what the client keeps of it (focus, open details). Therefore
 * the innermost unit around both places is sent, and the client moves it.
 *
 * The patches do not depend on each other's order: each finds its target by an id that both contents have, or that is
 * gone afterwards. Selectors begin with the content's id, because the document around it may have equal ids. */
#include <string.h>

#include "app/page/unit.h"
#include "base/ascii.h"
#include "base/memory.h"

enum { PATCH_BYTES = 80, SELECTOR_MOST = 2048 }; /* estimate of a patch without its text; bytes of a selector */

typedef struct search {
  const vsi_units *now;
  bool *is_sent; /* by index in `now`: it must be sent as a whole */
  uint32_t new_count;
  bool has_moved, has_removed; /* a unit has moved to another one, or is gone */
  vsi_unit_patches *ret;
  uint32_t selectors_at[VSI_UNIT_PATCHES_MAX]; /* in ret->selectors */
  size_t bytes, most;                          /* estimated size of the patches; maximum */
  vestry_err error;
} search;

static const vsi_unit *now_at(const search *s, uint32_t i) {
  return &s->now->all[i];
}
static const vsi_unit *had_at(const search *s, uint32_t i) {
  return &s->now->had[i];
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

/* Return the unit with the same id in the other content; NONE. */
static uint32_t to_had(const search *s, uint32_t i) {
  return now_at(s, i)->was;
}
static uint32_t to_now(const search *s, uint32_t i) {
  return s->now->to_now[i];
}

/* Return the innermost unit that contains both; a unit comes after those around it. */
static uint32_t common_of(const search *s, uint32_t a, uint32_t b) {
  while (a != b) {
    if (a > b)
      a = now_at(s, a)->parent;
    else
      b = now_at(s, b)->parent;
  }
  return a;
}

/* Note the unit around both places of a unit that has moved. */
static void note_move(search *s, uint32_t i) {
  s->has_moved = true;
  uint32_t from = had_at(s, to_had(s, i))->parent;
  while (to_now(s, from) == VSI_UNIT_NONE) from = had_at(s, from)->parent;
  uint32_t around = common_of(s, now_at(s, i)->parent, to_now(s, from));
  while (to_had(s, around) == VSI_UNIT_NONE) around = now_at(s, around)->parent;
  s->is_sent[around] = true;
}

static void note_moves(search *s) {
  for (uint32_t i = 1; i < s->now->count; i++) {
    if (to_had(s, i) == VSI_UNIT_NONE)
      s->new_count++;
    else if (to_had(s, now_at(s, i)->parent) != had_at(s, to_had(s, i))->parent)
      note_move(s, i);
  }
  s->has_removed = s->now->had_count > s->now->count - s->new_count;
}

/* ---- units inside of a unit -------------------------------------------------------------------------------------- */

/* Units that are new, side by side in one unit. */
typedef struct inserted {
  uint32_t first, last;   /* indexes in `now` */
  uint32_t before, after; /* siblings in the same run, which both contents have; NONE */
} inserted;

/* Find the next group of new units inside of `unit`, from index `at` on. Returns false if there is none. */
static bool next_inserted(const search *s, uint32_t unit, uint32_t *at, uint32_t *before, inserted *ret) {
  const uint32_t end = now_at(s, unit)->after;
  for (uint32_t i = *at; i < end; i = now_at(s, i)->after) {
    if (to_had(s, i) != VSI_UNIT_NONE) {
      *before = i;
      continue;
    }
    const uint32_t run = now_at(s, i)->run;
    const bool has_before = *before != VSI_UNIT_NONE && now_at(s, *before)->run == run;
    *ret = (inserted){.first = i, .last = i, .before = has_before ? *before : VSI_UNIT_NONE, .after = VSI_UNIT_NONE};
    uint32_t next = now_at(s, i)->after;
    for (; next < end && to_had(s, next) == VSI_UNIT_NONE && now_at(s, next)->run == run; next = now_at(s, next)->after)
      ret->last = next;
    if (next < end && to_had(s, next) != VSI_UNIT_NONE && now_at(s, next)->run == run) ret->after = next;
    *at = next;
    return true;
  }
  return false;
}

/* Return whether the units directly inside of a unit keep their order and places. */
static bool keeps_order(const search *s, uint32_t unit) {
  const uint32_t own = to_had(s, unit);
  uint32_t last = own;
  for (uint32_t i = unit + 1; i < now_at(s, unit)->after; i = now_at(s, i)->after) {
    const uint32_t was = to_had(s, i);
    if (was == VSI_UNIT_NONE) continue;
    if (had_at(s, was)->parent != own || was <= last || had_at(s, was)->run != now_at(s, i)->run) return false;
    last = was;
  }
  const bool has_all = !s->has_moved && !s->has_removed;
  for (uint32_t i = own + 1; !has_all && i < had_at(s, own)->after; i = had_at(s, i)->after) {
    const uint32_t is = to_now(s, i);
    if (is != VSI_UNIT_NONE && now_at(s, is)->parent != unit) return false;
  }
  return true;
}

/* Return whether each new unit has a place that a patch can name. */
static bool has_places(const search *s, uint32_t unit) {
  inserted in;
  for (uint32_t at = unit + 1, before = VSI_UNIT_NONE; s->new_count && next_inserted(s, unit, &at, &before, &in);) {
    const uint32_t run = now_at(s, in.first)->run;
    if (in.before == VSI_UNIT_NONE && in.after == VSI_UNIT_NONE && run && run != now_at(s, unit)->gaps_count)
      return false;
  }
  return true;
}

/* ---- patches ----------------------------------------------------------------------------------------------------- */

static bool is_identifier(vestry_slice id) {
  const char *text = id.data;
  if (!vsi_is_letter(*text)) return false;
  for (size_t i = 1; i < id.len; i++)
    if (text[i] == '.' || text[i] == ':') return false;
  return true;
}

static void put_id(vsi_buffer *to, vestry_slice id) {
  const bool is_simple = is_identifier(id);
  vsi_buffer_append_str(to, is_simple ? "#" : "[id=\"");
  vsi_buffer_append(to, id.data, id.len);
  if (!is_simple) vsi_buffer_append_str(to, "\"]");
}

static void put_selector(search *s, const vsi_unit *unit) {
  put_id(&s->ret->selectors, vsi_unit_id(s->now, 0));
  if (!unit->depth) return;
  vsi_buffer_append_char(&s->ret->selectors, ' ');
  put_id(&s->ret->selectors, (vestry_slice){unit->id, unit->id_len});
}

/* Begin a patch, whose selector is to be added. */
static void begin_patch(search *s, vestry_patch_mode mode, const char *html, size_t len) {
  vsi_unit_patches *ret = s->ret;
  s->bytes += PATCH_BYTES + len;
  if (ret->count == VSI_UNIT_PATCHES_MAX || s->bytes > s->most) s->error = VESTRY_UNSUPPORTED;
  if (s->error) return;
  if (ret->count) vsi_buffer_append_char(&ret->selectors, '\0');
  s->selectors_at[ret->count] = (uint32_t)ret->selectors.len;
  ret->patches[ret->count++] = (vsi_patch){.mode = mode, .html = {html, len}};
}

static void send_unit(search *s, uint32_t i) {
  const vsi_unit *unit = now_at(s, i);
  begin_patch(s, VESTRY_PATCH_OUTER, s->now->text + unit->begin, unit->end - unit->begin);
  put_selector(s, unit);
}

static void insert_units(search *s, uint32_t unit) {
  inserted in;
  for (uint32_t at = unit + 1, before = VSI_UNIT_NONE; s->new_count && next_inserted(s, unit, &at, &before, &in);) {
    const vsi_unit *first = now_at(s, in.first);
    const bool is_first = !first->run;
    const vestry_patch_mode mode = in.before != VSI_UNIT_NONE  ? VESTRY_PATCH_AFTER
                                   : in.after != VSI_UNIT_NONE ? VESTRY_PATCH_BEFORE
                                   : is_first                  ? VESTRY_PATCH_PREPEND
                                                               : VESTRY_PATCH_APPEND;
    begin_patch(s, mode, s->now->text + first->begin, now_at(s, in.last)->end - first->begin);
    put_selector(s, now_at(s, in.before != VSI_UNIT_NONE ? in.before : in.after != VSI_UNIT_NONE ? in.after : unit));
  }
}

static void remove_units(search *s, uint32_t unit) {
  const uint32_t own = to_had(s, unit);
  bool is_begun = false;
  for (uint32_t i = own + 1; s->has_removed && i < had_at(s, own)->after && !s->error; i = had_at(s, i)->after) {
    if (to_now(s, i) != VSI_UNIT_NONE) continue;
    const size_t len = s->ret->selectors.len;
    if (is_begun && len - s->selectors_at[s->ret->count - 1] < SELECTOR_MOST)
      vsi_buffer_append_char(&s->ret->selectors, ',');
    else
      begin_patch(s, VESTRY_PATCH_REMOVE, NULL, 0);
    is_begun = true;
    put_selector(s, had_at(s, i));
    s->bytes += s->ret->selectors.len - len;
  }
}

static void find_patches(search *s) {
  for (uint32_t i = 0; i < s->now->count && !s->error;) {
    if (to_had(s, i) == VSI_UNIT_NONE || now_at(s, i)->is_same) { /* it was inserted with the unit around it */
      i = now_at(s, i)->after;
    } else if (s->is_sent[i] || now_at(s, i)->own != had_at(s, to_had(s, i))->own || !keeps_order(s, i) ||
               !has_places(s, i)) {
      if (!i) s->error = VESTRY_UNSUPPORTED;
      send_unit(s, i);
      i = now_at(s, i)->after;
    } else {
      insert_units(s, i);
      remove_units(s, i);
      i++;
    }
  }
}

/* Set the selectors, whose memory does not move any more. */
static void set_selectors(search *s) {
  vsi_unit_patches *ret = s->ret;
  const char *text = vsi_buffer_terminate(&ret->selectors);
  if (!text) s->error = VESTRY_NO_MEMORY;
  for (size_t i = 0; i < ret->count && text; i++) ret->patches[i].selector = text + s->selectors_at[i];
}

static vestry_err find(search *s) {
  if (!s->now->had_count || vsi_unit_list_others(s->now->list) != s->now->others || s->now->is_other_now)
    return VESTRY_UNSUPPORTED;
  if (to_had(s, 0) || to_now(s, 0)) return VESTRY_UNSUPPORTED;
  note_moves(s);
  find_patches(s);
  if (!s->error) set_selectors(s);
  if (!s->error && !s->ret->count) return VESTRY_UNSUPPORTED; /* they differ, but not in a unit */
  return s->error;
}

void vsi_unit_patches_finish(vsi_unit_patches *patches) {
  vsi_buffer_finish(&patches->selectors);
}

vestry_err vsi_unit_patches_find(const vsi_units *units, vsi_unit_patches *ret_patches) {
  search s = {.now = units, .ret = ret_patches, .most = (units->all[0].end - units->all[0].begin) / 4 * 3};
  ret_patches->count = 0;
  vsi_buffer_init(&ret_patches->selectors, units->host);
  s.is_sent = vsi_calloc(units->host, units->count, sizeof *s.is_sent);
  const vestry_err error = s.is_sent ? find(&s) : VESTRY_NO_MEMORY;
  vsi_free(units->host, s.is_sent);
  if (error) vsi_unit_patches_finish(ret_patches);
  return error;
}
