/* SPDX-License-Identifier: MIT */
/* Patches between random contents of a page (tests/page/documents.c): patches SEED COUNT prints COUNT pairs of which
 * the second content is sent as patches. A line contains, separated by tabs and in hexadecimal: the first content, the
 * event of the whole second content, and the event of the patches. patches.test.js performs both events in Chromium.
 *
 * patches rows ROWS BYTES COUNT prints COUNT changes of one row in a list, each after the one before, for
 * bench/live/rows.js.
 *
 * The random contents have short lists. Every fourth pair is a list of rows with fields, details and long texts, of
 * which some change, end, begin or move: like a page of an application. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/page/unit.h"
#include "event/mark.h"
#include "page/documents.h"

static const vsi_siphash_key key = {1, 2};
static uint64_t state;

static unsigned below(unsigned count) { /* splitmix64 */
  uint64_t z = state += UINT64_C(0x9E3779B97F4A7C15);
  z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
  return (unsigned)((z ^ (z >> 31)) % count);
}

static void put_hexadecimal(vestry_slice bytes, char end) {
  for (size_t i = 0; i < bytes.len; i++) printf("%02x", ((const unsigned char *)bytes.data)[i]);
  putchar(end);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

enum { ROWS_MOST = 40 };

typedef struct list {
  unsigned numbers[ROWS_MOST], values[ROWS_MOST]; /* of rows */
  size_t count;
  unsigned heading, next;
} list;

static void make_list(list *l) {
  *l = (list){.count = below(ROWS_MOST)};
  while (l->next < l->count) {
    l->values[l->next] = below(100);
    l->numbers[l->next] = l->next;
    l->next++;
  }
}

static void change_list(list *l) {
  for (unsigned changes = 1 + below(4); changes; changes--) {
    const unsigned at = l->count ? below((unsigned)l->count) : 0;
    switch (below(8)) {
    case 0: l->heading++; break;
    case 1:
    case 2:
      if (l->count == ROWS_MOST) break;
      memmove(l->numbers + at + 1, l->numbers + at, (l->count - at) * sizeof *l->numbers);
      memmove(l->values + at + 1, l->values + at, (l->count - at) * sizeof *l->values);
      l->numbers[at] = l->next++;
      l->count++;
      break;
    case 3:
      if (!l->count) break;
      l->count--;
      memmove(l->numbers + at, l->numbers + at + 1, (l->count - at) * sizeof *l->numbers);
      memmove(l->values + at, l->values + at + 1, (l->count - at) * sizeof *l->values);
      break;
    case 4:
      if (at) {
        const unsigned number = l->numbers[at];
        l->numbers[at] = l->numbers[0];
        l->numbers[0] = number;
      }
      break;
    default: l->values[at] = below(100); break;
    }
  }
}

static void write_list(const list *l, vsi_buffer *html) {
  vsi_buffer_printf(html, "<main id=\"content\"><h1 id=\"heading\">%u</h1><ul id=\"list\">", l->heading);
  for (size_t i = 0; i < l->count; i++) {
    const unsigned row = l->numbers[i], value = l->values[i];
    vsi_buffer_printf(html,
                      "<li id=\"row-%u\"><b id=\"value-%u\">%u</b><input id=\"field-%u\"><input value=\"%u\">"
                      "<details id=\"more-%u\"><summary>more</summary>%u</details><div>a<br>long<br>text</div></li>",
                      row, row, value, row, row, row, value / 10);
  }
  vsi_buffer_append_str(html, "</ul><p>end</p></main>");
}

/* ---- pairs ------------------------------------------------------------------------------------------------------- */

static vestry_err find_patches(const vsi_buffer *had, const vsi_buffer *now, vestry_event **ret_event) {
  const vestry_host *host = vestry_host_default();
  static vsi_unit_patches patches;
  vsi_units before, after;
  vsi_text_key texts;
  vsi_text_key_derive(&texts, key);
  const vsi_unit_text of_had = {.content = {had->data, had->len}, .key = &texts};
  const vsi_unit_text of_now = {.content = {now->data, now->len}, .key = &texts};
  vestry_err error = vsi_units_divide(&before, host, &of_had, key, NULL);
  vsi_unit_list *units = error ? NULL : vsi_unit_list_make(&before, 0);
  vsi_units_finish(&before);
  if (!units) return error ? error : VESTRY_NO_MEMORY;
  error = vsi_units_divide(&after, host, &of_now, key, units);
  if (!error) error = vsi_unit_patches_find(&after, &patches);
  if (!error) {
    error = vsi_event_marked_patches(host, patches.patches, patches.count, NULL, "mark", false, ret_event);
    vsi_unit_patches_finish(&patches);
  }
  vsi_units_finish(&after);
  vsi_unit_list_unref(units, host);
  return error;
}

/* Print a pair. Returns false if it is not sent as patches. */
static bool print_pair(const vsi_buffer *had, const vsi_buffer *now) {
  const vsi_patch all = {VESTRY_PATCH_OUTER, NULL, {now->data, now->len}};
  vestry_event *whole, *patches;
  if (had->len == now->len && memcmp(had->data, now->data, now->len) == 0) return false;
  if (find_patches(had, now, &patches)) return false;
  const vestry_err error = vsi_event_marked_patches(NULL, &all, 1, NULL, "mark", false, &whole);
  if (!error) {
    put_hexadecimal((vestry_slice){had->data, had->len}, '\t');
    put_hexadecimal(vestry_event_bytes(whole), '\t');
    put_hexadecimal(vestry_event_bytes(patches), '\n');
    vestry_event_unref(whole);
  }
  vestry_event_unref(patches);
  return !error;
}

static bool try_seed(uint64_t seed) {
  vsi_buffer had, now;
  vsi_buffer_init(&had, NULL);
  vsi_buffer_init(&now, NULL);
  if (seed % 4) {
    document doc = {.ignores = true};
    document_make(&doc, seed, 6 + (unsigned)(seed % 90));
    document_write(&doc, &had);
    document_change(&doc);
    document_write(&doc, &now);
  } else {
    list of;
    state = seed;
    make_list(&of);
    write_list(&of, &had);
    change_list(&of);
    write_list(&of, &now);
  }
  const bool is_printed = print_pair(&had, &now);
  vsi_buffer_finish(&had);
  vsi_buffer_finish(&now);
  return is_printed;
}

/* ---- one row of a long list -------------------------------------------------------------------------------------- */

static void write_rows(unsigned rows, size_t bytes, unsigned changed, unsigned value, vsi_buffer *html) {
  vsi_buffer_clear(html);
  vsi_buffer_append_str(html, "<main id=\"content\"><ul id=\"list\">");
  for (unsigned row = 0; row < rows; row++) {
    const size_t before = html->len;
    vsi_buffer_printf(html, "<li id=\"player-%06u\"><b>%08u</b><i title=\"", row, row == changed ? value : row);
    while (html->len - before + 12 < bytes / rows) vsi_buffer_append_char(html, 'x');
    vsi_buffer_append_str(html, "\"></i></li>");
  }
  vsi_buffer_append_str(html, "</ul></main>");
}

static int print_rows(unsigned rows, size_t bytes, unsigned long count) {
  vsi_buffer had, now;
  vsi_buffer_init(&had, NULL);
  vsi_buffer_init(&now, NULL);
  bool ok = rows > 0;
  for (unsigned long i = 0; ok && i < count; i++) {
    const unsigned changed = (unsigned)(i * 7919 % rows);
    write_rows(rows, bytes, changed, changed, &had);
    write_rows(rows, bytes, changed, 90000000 + (unsigned)i, &now);
    ok = print_pair(&had, &now);
  }
  vsi_buffer_finish(&had);
  vsi_buffer_finish(&now);
  return ok ? 0 : 1;
}

int main(int argc, char **argv) {
  if (argc == 5 && !strcmp(argv[1], "rows"))
    return print_rows((unsigned)strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
  if (argc != 3) return 2;
  uint64_t seed = strtoull(argv[1], NULL, 10);
  for (unsigned long count = strtoul(argv[2], NULL, 10); count; seed++)
    if (try_seed(seed)) count--;
  return ferror(stdout) ? 1 : 0;
}
