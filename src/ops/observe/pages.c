/* SPDX-License-Identifier: MIT */
/* Listing of pages and parts. They are copied under the lock of the pages, and sorted and passed on without it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/page/tally.h"
#include "base/callback.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "instance/instance.h"
#include "ops/observe/inside.h"

enum { TEXT_BYTES = 128 };

typedef struct row {
  const vsi_tally *of;
  uint64_t first_rank, second_rank; /* greater ones first; equal rows are in order of path and part */
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

static void set_rank(row *at, vestry_pages_order order) {
  const vestry_page_info *info = &at->info;
  switch (order) {
  case VESTRY_PAGES_BY_PATH: break;
  case VESTRY_PAGES_BY_HANDLER: at->first_rank = info->handler_ns; break;
  case VESTRY_PAGES_BY_RENDERS:
    at->first_rank = info->renders_minute_count;
    at->second_rank = info->renders_count;
    break;
  case VESTRY_PAGES_BY_UNCHANGED:
    at->first_rank = info->unchanged_minute_count;
    at->second_rank = info->unchanged_count;
    break;
  }
}

static int compare_texts(const char *one, const char *other) {
  if (!one || !other) return (one != NULL) - (other != NULL); /* NULL first */
  return strcmp(one, other);
}

static int compare(const void *a, const void *b) {
  const row *one = a, *other = b;
  if (one->first_rank != other->first_rank) return one->first_rank > other->first_rank ? -1 : 1;
  if (one->second_rank != other->second_rank) return one->second_rank > other->second_rank ? -1 : 1;
  int is = !one->info.path - !other->info.path; /* the sum of all others last */
  if (!is) is = compare_texts(one->info.path, other->info.path);
  if (!is) is = compare_texts(one->info.part, other->info.part);
  return is ? is : (int)one->of->place - (int)other->of->place;
}

/* --------------------------------------------------------------------------------------------------- listing ------ */

static void fill(const vsi_tally *tally, uint64_t now_ns, row *ret_row) {
  *ret_row = (row){.of = tally,
                   .info = {.path = tally->of ? tally->of->name : tally->name,
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
                            .refreshed_ago_ms = tally->reason.kind ? vsi_shown_ms(now_ns, tally->reason_ns) : 0,
                            .unchanged = tally->unchanged_reason.kind}};
}

static void pass(row *at, vestry_page_info_fn fn, void *ctx) {
  char refreshed_by[TEXT_BYTES], unchanged_by[TEXT_BYTES];
  write_reason(&at->of->reason, refreshed_by);
  write_reason(&at->of->unchanged_reason, unchanged_by);
  at->info.refreshed_by = refreshed_by;
  at->info.unchanged_by = unchanged_by;
  vsi_callback_begin();
  fn(&at->info, ctx);
  vsi_callback_end();
}

/* Return whether a row has content. The sum of all others is listed only if it has. */
static bool is_listed(const vsi_tally *tally) {
  return tally->name || tally->renders_count || tally->documents_count || tally->streams_count;
}

typedef struct rows {
  size_t count;
  row rows[VSI_TALLIES];
  vsi_tally tallies[VSI_TALLIES];
} rows;

vestry_err vestry_observe_pages(vestry_observe *observe, vestry_pages_order order, size_t limit, vestry_page_info_fn fn,
                                void *ctx) {
  if (!observe) return VESTRY_INVALID;
  if (!fn || (unsigned)order > VESTRY_PAGES_BY_UNCHANGED)
    return vsi_mistake(observe->v->host, "vestry_observe_pages", "fn is NULL, or order is none of vestry_pages_order");
  if (!observe->options.pages) return VESTRY_OK;
  const vestry_host *host = observe->v->host;
  rows *all = vsi_alloc(host, sizeof *all);
  if (!all) return VESTRY_NO_MEMORY;
  const size_t tallies_count = vsi_tallies_copy(observe->options.pages, all->tallies);
  const uint64_t now_ns = vsi_now_ns(host);
  all->count = 0;
  for (size_t i = 0; i < tallies_count; i++) {
    if (!is_listed(&all->tallies[i])) continue;
    fill(&all->tallies[i], now_ns, &all->rows[all->count]);
    set_rank(&all->rows[all->count++], order);
  }
  qsort(all->rows, all->count, sizeof *all->rows, compare);
  for (size_t i = 0; i < all->count && (!limit || i < limit); i++) pass(&all->rows[i], fn, ctx);
  vsi_free(host, all);
  return VESTRY_OK;
}
