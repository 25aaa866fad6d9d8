/* SPDX-License-Identifier: MIT */
/* Listing of pages and parts. They are copied under the lock of the pages, and sorted and written without it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/page/tally.h"
#include "base/memory.h"
#include "instance/instance.h"
#include "ops/observe/inside.h"

enum { TEXT_BYTES = 128 };
typedef enum pages_order { BY_PATH, BY_HANDLER, BY_RENDERS, BY_UNCHANGED } pages_order;

typedef struct row {
  const vsi_tally *of;
  uint64_t first_rank, second_rank; /* greater ones first; equal rows are in order of path and part */
} row;

/* ---------------------------------------------------------------------------------------------------- texts ------- */

/* Write the reason of a render as the console shows it; "": unknown. */
static void write_reason(const vsi_reason *reason, char text[TEXT_BYTES]) {
  static const struct {
    const char *before, *after; /* of the name */
  } kinds[] = {[VESTRY_REFRESH_NONE] = {"", ""},
               [VESTRY_REFRESH_FIRST] = {"first", ""},
               [VESTRY_REFRESH_SUBMISSION] = {"submission", ""},
               [VESTRY_REFRESH_TOPIC] = {"topic ", ""},
               [VESTRY_REFRESH_ALL] = {"all", ""},
               [VESTRY_REFRESH_NODE] = {"node, topic ", ""},
               [VESTRY_REFRESH_TABLE] = {"table ", ""},
               [VESTRY_REFRESH_DATABASE_PAGE] = {"page ", " of the database"},
               [VESTRY_REFRESH_DATABASE] = {"database", ""}};
  char name[TEXT_BYTES - sizeof "page  of the database"]; /* a topic can be any bytes */
  const bool is_node = reason->kind == VESTRY_REFRESH_NODE && !*reason->name;
  vsi_shown_name(reason->name, strlen(reason->name), name, sizeof name);
  snprintf(text, TEXT_BYTES, "%s%s%s", is_node ? "node" : kinds[reason->kind].before, name, kinds[reason->kind].after);
}

/* --------------------------------------------------------------------------------------------------- sorting ------ */

static row rank_of(const vsi_tally *tally, pages_order order, uint64_t now_ns) {
  switch (order) {
  case BY_PATH: break;
  case BY_HANDLER: return (row){tally, tally->handler_ns, 0};
  case BY_RENDERS: return (row){tally, vsi_minute_sum(&tally->renders, now_ns), tally->renders_count};
  case BY_UNCHANGED: return (row){tally, vsi_minute_sum(&tally->unchanged, now_ns), tally->unchanged_count};
  }
  return (row){tally, 0, 0};
}

/* The name of the page, and of the part; NULL: none. */
static const char *path_of_tally(const vsi_tally *tally) {
  return tally->of ? tally->of->name : tally->name;
}
static const char *part_of_tally(const vsi_tally *tally) {
  return tally->of ? tally->name : NULL;
}

static int compare_texts(const char *one, const char *other) {
  if (!one || !other) return (one != NULL) - (other != NULL); /* NULL first */
  return strcmp(one, other);
}

static int compare_rows(const void *a, const void *b) {
  const row *one = a, *other = b;
  if (one->first_rank != other->first_rank) return one->first_rank > other->first_rank ? -1 : 1;
  if (one->second_rank != other->second_rank) return one->second_rank > other->second_rank ? -1 : 1;
  int is = !path_of_tally(one->of) - !path_of_tally(other->of); /* the sum of all others last */
  if (!is) is = compare_texts(path_of_tally(one->of), path_of_tally(other->of));
  if (!is) is = compare_texts(part_of_tally(one->of), part_of_tally(other->of));
  return is ? is : (int)one->of->place - (int)other->of->place;
}

/* --------------------------------------------------------------------------------------------------- listing ------ */

/* Write a page or a part as an item of a list. */
static void put_tally(vsi_report *report, const vsi_tally *tally, uint64_t now_ns) {
  char names[2][VSI_SHOWN_PATH_BYTES], refreshed_by[TEXT_BYTES], unchanged_by[TEXT_BYTES];
  const char *const path = path_of_tally(tally), *const part = part_of_tally(tally);
  if (path) vsi_shown_name(path, strlen(path), names[0], sizeof *names);
  if (part) vsi_shown_name(part, strlen(part), names[1], sizeof *names);
  write_reason(&tally->reason, refreshed_by);
  write_reason(&tally->unchanged_reason, unchanged_by);
  vsi_report_open(report, NULL, '{');
  vsi_report_put(report, VESTRY_OBJECT("path", vsi_report_text(path ? names[0] : NULL), "part",
                                       vsi_report_text(part ? names[1] : NULL), "streams_count", tally->streams_count,
                                       "documents_count", tally->documents_count, "renders_count", tally->renders_count,
                                       "first_count", tally->first_count, "changed_count", tally->changed_count,
                                       "unchanged_count", tally->unchanged_count));
  vsi_report_put(report, VESTRY_OBJECT("current_count", tally->current_count, "failed_count", tally->failed_count,
                                       "dropped_count", tally->dropped_count, "renders_minute_count",
                                       vsi_minute_sum(&tally->renders, now_ns), "unchanged_minute_count",
                                       vsi_minute_sum(&tally->unchanged, now_ns), "handler_ms",
                                       (double)tally->handler_ns / 1e6, "handler_longest_ms",
                                       (double)tally->handler_longest_ns / 1e6, "sent_bytes", tally->sent_bytes));
  vsi_report_put(report, VESTRY_OBJECT("refreshed_by", refreshed_by, "refreshed_ago_ms",
                                       tally->reason.kind ? vsi_shown_ms(now_ns, tally->reason_ns) : UINT64_C(0),
                                       "unchanged_by", unchanged_by));
  vsi_report_close(report, '}');
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

static vestry_err put_page_list(vsi_report *report, vestry_pages *pages, pages_order order, size_t limit) {
  const vestry_host *host = report->text.host;
  rows *all = vsi_alloc(host, sizeof *all);
  if (!all) return VESTRY_NO_MEMORY;
  const size_t tallies_count = vsi_tallies_copy(pages, all->tallies);
  const uint64_t now_ns = vsi_now_ns(host);
  all->count = 0;
  for (size_t i = 0; i < tallies_count; i++)
    if (is_listed(&all->tallies[i])) all->rows[all->count++] = rank_of(&all->tallies[i], order, now_ns);
  qsort(all->rows, all->count, sizeof *all->rows, compare_rows);
  for (size_t i = 0; i < all->count && i < limit; i++) put_tally(report, all->rows[i].of, now_ns);
  vsi_free(host, all);
  return VESTRY_OK;
}

vestry_err vsi_list_pages(const vestry_request *req, vestry_reply *reply, void *app) {
  static const char *const orders[] = {"path", "handler", "renders", "unchanged"};
  vestry_observe *observe = app;
  unsigned order;
  size_t limit;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  if (!vsi_query_choice(req, "sort", orders, 4, &order))
    return vsi_show_text(reply, 400, "sort: path, handler, renders or unchanged is expected\n");
  const char *wrong = vsi_query_limit(req, VSI_TALLIES, &limit);
  if (wrong) return vsi_show_text(reply, 400, wrong);
  vsi_report report;
  vestry_pages *pages = observe->options.pages;
  vsi_report_begin(&report, observe->v->host);
  vsi_report_open(&report, "pages", '[');
  vestry_err error = pages ? put_page_list(&report, pages, (pages_order)order, limit) : VESTRY_OK;
  vsi_report_close(&report, ']');
  if (error) report.text.error = error;
  return vsi_show_json(reply, &report);
}
