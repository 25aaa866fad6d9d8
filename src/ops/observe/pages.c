/* SPDX-License-Identifier: MIT */
/* Listing of pages and parts. They are copied under the lock of the pages, and sorted and passed on without it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/page/tally.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "instance/instance.h"
#include "ops/observe/inside.h"

enum { TEXT_BYTES = 128 };

typedef struct row {
  const vsi_tally *of;
  vestry_page_info info;
} row;

/* ---------------------------------------------------------------------------------------------------- texts ------- */

/* Replace control characters by question marks, and all non-ASCII bytes if the text is not UTF-8. A topic can be any
 * bytes. */
static void clean(char *text) {
  const bool is_utf8 = vsi_is_utf8(text, strlen(text));
  for (unsigned char *at = (unsigned char *)text; *at; at++)
    if (*at < ' ' || *at == 0x7F || (*at > 0x7F && !is_utf8)) *at = '?';
}

static void write_reason(const vsi_reason *reason, char text[TEXT_BYTES]) {
  char name[VSI_REASON_BYTES];
  memcpy(name, reason->name, sizeof name);
  clean(name);
  *text = '\0';
  switch (reason->kind) {
  case VESTRY_REFRESH_NONE: break;
  case VESTRY_REFRESH_FIRST: strcpy(text, "first"); break;
  case VESTRY_REFRESH_SUBMISSION: strcpy(text, "submission"); break;
  case VESTRY_REFRESH_TOPIC: snprintf(text, TEXT_BYTES, "topic %s", name); break;
  case VESTRY_REFRESH_ALL: strcpy(text, "all"); break;
  case VESTRY_REFRESH_NODE: snprintf(text, TEXT_BYTES, "node%s%s", *name ? ", topic " : "", name); break;
  case VESTRY_REFRESH_TABLE: snprintf(text, TEXT_BYTES, "table %s", name); break;
  case VESTRY_REFRESH_DATABASE_PAGE: snprintf(text, TEXT_BYTES, "page %s of the database", name); break;
  case VESTRY_REFRESH_DATABASE: strcpy(text, "database"); break;
  }
}

/* --------------------------------------------------------------------------------------------------- sorting ------ */

static int compare_counts(uint64_t one, uint64_t other) {
  return one > other ? -1 : one < other;
}

static int compare_texts(const char *one, const char *other) {
  if (!one || !other) return (one != NULL) - (other != NULL); /* NULL first */
  return strcmp(one, other);
}

static int by_path(const void *a, const void *b) {
  const vestry_page_info *one = &((const row *)a)->info, *other = &((const row *)b)->info;
  int is = !one->path - !other->path; /* the sum of all others last */
  if (!is) is = compare_texts(one->path, other->path);
  if (!is) is = compare_texts(one->part, other->part);
  return is ? is : (int)((const row *)a)->of->place - (int)((const row *)b)->of->place;
}

static int by_handler(const void *a, const void *b) {
  int is = compare_counts(((const row *)a)->info.handler_ns, ((const row *)b)->info.handler_ns);
  return is ? is : by_path(a, b);
}

static int by_renders(const void *a, const void *b) {
  const vestry_page_info *one = &((const row *)a)->info, *other = &((const row *)b)->info;
  int is = compare_counts(one->renders_minute_count, other->renders_minute_count);
  if (!is) is = compare_counts(one->renders_count, other->renders_count);
  return is ? is : by_path(a, b);
}

static int by_unchanged(const void *a, const void *b) {
  const vestry_page_info *one = &((const row *)a)->info, *other = &((const row *)b)->info;
  int is = compare_counts(one->unchanged_minute_count, other->unchanged_minute_count);
  if (!is) is = compare_counts(one->unchanged_count, other->unchanged_count);
  return is ? is : by_path(a, b);
}

/* --------------------------------------------------------------------------------------------------- listing ------ */

static void fill(const vsi_tally *tally, uint64_t now_ns, row *ret_row) {
  *ret_row = (row){.of = tally,
                   .info = {.size = sizeof ret_row->info,
                            .path = tally->of ? tally->of->name : tally->name,
                            .part = tally->of ? tally->name : NULL,
                            .streams_count = tally->streams_count,
                            .documents_count = tally->documents_count,
                            .renders_count = tally->renders_count,
                            .first_count = tally->first_count,
                            .changed_count = tally->changed_count,
                            .unchanged_count = tally->unchanged_count,
                            .current_count = tally->current_count,
                            .failed_count = tally->failed_count,
                            .dropped_count = tally->dropped_count,
                            .renders_minute_count = vsi_minute_sum(&tally->renders, now_ns),
                            .unchanged_minute_count = vsi_minute_sum(&tally->unchanged, now_ns),
                            .handler_ns = tally->handler_ns,
                            .handler_longest_ns = tally->handler_longest_ns,
                            .sent_bytes = tally->sent_bytes,
                            .refreshed = tally->reason.kind,
                            .refreshed_ago_ms = tally->reason.kind && now_ns > tally->reason_ns
                                                    ? (now_ns - tally->reason_ns) / VSI_NS_PER_MS
                                                    : 0,
                            .unchanged = tally->unchanged_reason.kind}};
}

static void tell(row *at, vestry_page_info_fn fn, void *ctx) {
  char refreshed_by[TEXT_BYTES], unchanged_by[TEXT_BYTES];
  write_reason(&at->of->reason, refreshed_by);
  write_reason(&at->of->unchanged_reason, unchanged_by);
  at->info.refreshed_by = refreshed_by;
  at->info.unchanged_by = unchanged_by;
  fn(&at->info, ctx);
}

/* Return whether a row has content. The sum of all others is listed only if it has. */
static bool is_told(const vsi_tally *tally) {
  return tally->name || tally->renders_count || tally->documents_count || tally->streams_count;
}

typedef struct rows {
  size_t count;
  row rows[VSI_TALLIES];
  vsi_tally tallies[VSI_TALLIES];
} rows;

vestry_err vestry_observe_pages(vestry_observe *observe, vestry_pages_order order, size_t limit, vestry_page_info_fn fn,
                                void *ctx) {
  static int (*const compare[])(const void *, const void *) = {by_path, by_handler, by_renders, by_unchanged};
  if (!observe || !fn || (unsigned)order >= sizeof compare / sizeof *compare) return VESTRY_INVALID;
  if (!observe->options.pages) return VESTRY_OK;
  const vestry_host *host = observe->v->host;
  rows *all = vsi_alloc(host, sizeof *all);
  if (!all) return VESTRY_NO_MEMORY;
  const size_t tallies_count = vsi_tallies_copy(observe->options.pages, all->tallies);
  const uint64_t now_ns = vsi_now_ns(host);
  all->count = 0;
  for (size_t i = 0; i < tallies_count; i++)
    if (is_told(&all->tallies[i])) fill(&all->tallies[i], now_ns, &all->rows[all->count++]);
  qsort(all->rows, all->count, sizeof *all->rows, compare[order]);
  for (size_t i = 0; i < all->count && (!limit || i < limit); i++) tell(&all->rows[i], fn, ctx);
  vsi_free(host, all);
  return VESTRY_OK;
}
