/* SPDX-License-Identifier: MIT */
#include "house.h"

#include <stdlib.h>

enum { BEAT_MS = 1000, SILENT_MS = 2500, AWAY_MS = 10000 };

/* ----------------------------------------------------------------------------------------- measurements ----------- */

/* Write the statistics of the last second. */
static void beat(vestry_timer *timer, void *ctx) {
  struct house *house = ctx;
  vestry_stats of = {0};
  vestry_pages_stats of_pages = {0};
  struct database_counters of_db = {0};
  (void)timer;
  vestry_stats_get(house->v, &of);
  vestry_pages_stats_get(house->pages, &of_pages);
  database_counters(house->db, &of_db);
  /* INSERT OR REPLACE would not certainly change a row, so pages of other tables would be rendered. */
  (void)database_run_alone(
      house->db,
      "INSERT INTO node VALUES($1, $2, $3, $4, $5, $6) ON CONFLICT(number) DO UPDATE SET beat_ms = "
      "excluded.beat_ms, tabs = excluded.tabs, renders = excluded.renders, commits = "
      "excluded.commits, bytes = excluded.bytes",
      VESTRY_LIST(house->node.number, vestry_clock_ms(NULL), (int64_t)of_pages.streams_count,
                  (int64_t)(of_pages.renders_count - house->renders), (int64_t)(of_db.committed - house->commits),
                  (int64_t)(of.wire_bytes - house->bytes)),
      NULL, NULL);
  house->renders = of_pages.renders_count, house->commits = of_db.committed, house->bytes = of.wire_bytes;
  /* another node may have stopped writing */
  if (house->node.number) (void)vestry_refresh_here(house->pages, "house", NULL);
}

/* POST /seen/{at}: a browser has shown the write of that time. */
static vestry_err seen(const vestry_request *req, vestry_reply *reply, void *ctx) {
  struct house *house = ctx;
  int64_t at;
  vestry_err err = vestry_request_get(req, VESTRY_IN_PATH, "at", vestry_into_between(&at, 1, INT64_MAX));
  if (err) return err;
  const int64_t took = vestry_clock_ms(NULL) - at;
  if (took >= 0 && took < AWAY_MS) /* a longer delay means that the tab was not connected meanwhile */
    house->seen_ms[atomic_fetch_add(&house->seen_count, 1) % HOUSE_SEEN_COUNT] = (unsigned)took + 1;
  return vestry_reply_status(reply, 204);
}

static int by_value(const void *one, const void *other) {
  return *(const int *)one - *(const int *)other;
}

/* Return a percentile of the delays; -1: there are none. */
static int screen_ms(struct house *house, int percent) {
  int all[HOUSE_SEEN_COUNT], count = 0;
  for (size_t i = 0; i < HOUSE_SEEN_COUNT; i++)
    if (house->seen_ms[i]) all[count++] = (int)house->seen_ms[i] - 1;
  if (!count) return -1;
  qsort(all, (size_t)count, sizeof *all, by_value);
  return all[(count * percent + 99) / 100 - 1];
}

vestry_err house_begin(struct house *house, vestry_runtime *clerk) {
  vestry_err err = vestry_route(house->v, "POST", "/seen/{at}", seen, house);
  if (!err) err = vestry_timer_create(clerk, beat, house, &house->timer);
  return err ? err : vestry_timer_set(house->timer, 0, BEAT_MS);
}

void house_end(struct house *house) {
  vestry_timer_destroy(house->timer);
  house->timer = NULL;
}

/* ---------------------------------------------------------------------------------------------- content ----------- */

struct shown {
  vestry_html *html;
  const struct node *own;
  int64_t now, alive, tabs, renders, commits, bytes;
};

VESTRY_STRUCT(beat_row, (unsigned, number), (int64_t, beat_ms), (int64_t, tabs), (int64_t, renders), (int64_t, commits),
              (int64_t, bytes));

static vestry_err put_node(void *row, void *ctx) {
  struct shown *shown = ctx;
  const beat_row *of = row;
  const bool is_alive = shown->now - of->beat_ms < SILENT_MS, is_own = of->number == shown->own->number;
  if (of->number > shown->own->count || !of->number != !shown->own->number) return VESTRY_OK; /* of an earlier start */
  if (of->number)
    vestry_html_add(shown->html, "<li class=\"%-s\"%-s>Server %u%-s</li>", is_alive ? "up" : "down",
                    is_own ? " aria-current=\"true\"" : "", of->number,
                    !is_alive ? ": unplugged"
                    : is_own  ? ": you are here"
                              : "");
  if (!is_alive) return VESTRY_OK;
  shown->alive++;
  shown->tabs += of->tabs;
  shown->renders += of->renders;
  shown->commits += of->commits;
  shown->bytes += of->bytes;
  return VESTRY_OK;
}

vestry_err house_part(vestry_render *render, vestry_html *html, void *ctx) {
  struct house *house = ctx;
  struct shown shown = {.html = html, .own = &house->node, .now = vestry_clock_ms(NULL)};
  vestry_render_topic(render, "house");
  vestry_html_add(html, "<ul>");
  vestry_err err = database_follow(house->db, render);
  if (!err)
    err = vestry_sql_read_rows(house->db->pool, "SELECT number, beat_ms, tabs, renders, commits, bytes FROM node", NULL,
                               VESTRY_EACH_ROW(&beat_row_shape, &(beat_row){0}, put_node, &shown));
  const int64_t commits = shown.commits ? shown.commits : 1, tabs = shown.tabs ? shown.tabs : 1;
  vestry_html_add(html,
                  "</ul><dl class=\"inside\"><div><dt>tabs</dt><dd>%lld</dd></div><div><dt>renders per "
                  "commit</dt><dd>%lld.%lld</dd>"
                  "</div><div><dt>bytes per second to a tab</dt><dd>%lld</dd></div>",
                  (long long)shown.tabs, (long long)(shown.renders / commits),
                  (long long)(shown.renders * 10 / commits % 10), (long long)(shown.bytes / tabs));
  const int half = screen_ms(house, 50), most = screen_ms(house, 99);
  if (most >= 0)
    vestry_html_add(html, "<div><dt>ms from commit to screen: median, 99 %%</dt><dd>%d, %d</dd></div>", half, most);
  vestry_html_add(html, "</dl>");
  return err;
}

vestry_err house_put_seen(vestry_html *html) {
  const vestry_backend_action_options quiet = {.filter_include = "^$", .retry = VESTRY_RETRY_NEVER};
  vestry_html_add(html, "<i data-effect=\"const at = $_at, first = !el.at; if (at && at !== el.at) { el.at = at; if "
                        "(!first && !el.waits) { el.waits = true; setTimeout(() => { el.waits = false }, 1000); "
                        "requestAnimationFrame(() => ");
  vestry_html_backend_action(html, VESTRY_METHOD_POST, &quiet, "/seen/{$_at}");
  return vestry_html_add(html, ") } }\"></i>");
}
