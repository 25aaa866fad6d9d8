/* SPDX-License-Identifier: MIT */
/* Streams: one stream, and listings. Nothing is stored for them. Their data is in the connection, the key in the store
 * (by the handle in the context), and the page in the pages (by the node that waits for the stream's end). So streams
 * that are older than the observer have the same data as others. */
#include <string.h>

#include "app/page/serve.h"
#include "connection/connection.h"
#include "ops/observe/inside.h"
#include "ops/observe/stream_tail.h"

/* ----------------------------------------------------------------------------------------------- one stream ------- */

enum { PATH_BYTES = 257, TOPIC_BYTES = 65, TOPICS_SHOWN = 4 };

/* The page of a stream. It is copied under the lock of the pages, and written without it. */
typedef struct shown_page {
  char path[PATH_BYTES], topics[TOPICS_SHOWN][TOPIC_BYTES];
  uint32_t topics_count;
} shown_page;

static void take_path(const char *path, void *ctx) {
  shown_page *page = ctx;
  vsi_shown_name(path, strlen(path), page->path, sizeof page->path);
}

static void take_topic(const char *name, size_t len, void *ctx) {
  shown_page *page = ctx;
  const uint32_t number = page->topics_count++;
  if (number < TOPICS_SHOWN) vsi_shown_name(name, len, page->topics[number], sizeof *page->topics);
}

static void put_page_of_stream(vsi_report *report, const vestry_observe *observe, vestry_connection *connection) {
  shown_page page = {.topics_count = 0};
  vestry_pages *pages = observe->options.pages;
  if (!pages || !vsi_page_explain(pages, connection, &(vsi_page_sink){take_path, take_topic, &page})) return;
  vsi_report_put(report, VESTRY_OBJECT("path", page.path, "topics_count", page.topics_count));
  vsi_report_open(report, "topics", '[');
  for (uint32_t i = 0; i < page.topics_count && i < TOPICS_SHOWN; i++)
    vsi_report_add(report, vestry_value_string(page.topics[i]));
  vsi_report_close(report, ']');
}

/* Get the connection of HTTP/2 that carries a stream. Returns false, and zeroes, if there is none. */
static bool get_carrier(const vestry_connection *connection, vestry_shared_connection *ret_shared) {
  const vestry_transport_ops *ops = connection->ops;
  *ret_shared = (vestry_shared_connection){.id = 0};
  return ops->shared && ops->shared(connection->transport, ret_shared);
}

static vestry_value bytes_or_null(int64_t bytes) {
  return vsi_report_count(bytes >= 0, (uint64_t)bytes);
}

static void put_carrier(vsi_report *report, const vestry_connection *connection) {
  static const char *const waits[] = {NULL, "stream window", "connection window", "socket"};
  vestry_shared_connection shared;
  if (!get_carrier(connection, &shared)) return;
  vsi_report_put(report, VESTRY_OBJECT("connection", shared.id, "connection_streams_count", shared.streams_count,
                                       "unsent_bytes", shared.unsent_bytes, "stream_window_bytes",
                                       bytes_or_null(shared.stream_window_bytes), "connection_window_bytes",
                                       bytes_or_null(shared.connection_window_bytes), "waits_for",
                                       vsi_report_text(waits[shared.waits_for])));
}

/* Write the members of an open stream. The caller holds a reference to it. */
static void put_stream(vsi_report *report, const vestry_observe *observe, vestry_connection *connection) {
  const vestry_transport_ops *ops = connection->ops;
  vsi_shown_stream shown;
  vsi_shown_stream_get(observe->v, connection, &shown);
  const vestry_connection_stats *stats = &shown.stats;
  const uint64_t unwritten_ms = vsi_shown_ms(vsi_now_ns(observe->v->host), stats->last_write_ns);
  vsi_shown_stream_put(report, &shown);
  vsi_report_put(report,
                 VESTRY_OBJECT("keys_count", vsi_stream_entries_copy(connection, NULL, 0), "ratio",
                               vsi_shown_ratio(stats->written_bytes, stats->wire_bytes), "queued_count",
                               stats->queued_count, "queued_bytes", stats->queued_bytes, "accepted_count",
                               stats->accepted_count, "last_write_ms",
                               vsi_report_count(stats->last_write_ns, unwritten_ms), "unacknowledged_bytes",
                               bytes_or_null(ops->unacknowledged ? ops->unacknowledged(connection->transport) : -1)));
  put_carrier(report, connection);
  put_page_of_stream(report, observe, connection);
}

vestry_err vsi_list_stream(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_observe *observe = app;
  int64_t id;
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  if (vestry_request_get(req, VESTRY_IN_PATH, "id", vestry_into_between(&id, 1, INT64_MAX)))
    return vsi_show_text(reply, 400, "the number of a stream consists of digits\n");
  vestry_connection *connection = vsi_group_find(observe->v->group, (uint64_t)id);
  vsi_report report;
  vsi_report_begin(&report, observe->v->host);
  if (connection) {
    put_stream(&report, observe, connection);
    vestry_connection_unref(connection);
  } else if (!vsi_closes_put(observe->closes, (uint64_t)id, &report)) {
    vsi_buffer_finish(&report.text);
    return vsi_show_text(reply, 404, "unknown stream: neither open nor among the last closed streams\n");
  }
  return vsi_show_json(reply, &report);
}

/* ------------------------------------------------------------------------------------------------- listing -------- */

typedef enum stream_order { NEWEST, OLDEST, QUEUED, BYTES } stream_order;

typedef struct stream_query {
  vsi_list_page page;
  stream_order order;
  uint64_t connection_id; /* only streams that this connection of HTTP/2 carries; 0: all */
} stream_query;

/* The best streams of many, the best first: greater values are better; of equal ones, smaller ids. */
typedef struct item {
  uint64_t value, id;
  vestry_connection *connection; /* a reference */
} item;

typedef struct best {
  size_t limit, count;
  item items[VSI_LIST_MAX_COUNT];
} best;

static bool is_better(uint64_t value, uint64_t id, uint64_t than_value, uint64_t than_id) {
  return value > than_value || (value == than_value && id < than_id);
}

static bool has_place(const best *all, const item *one) {
  const item *last = &all->items[all->limit - 1];
  return all->count < all->limit || is_better(one->value, one->id, last->value, last->id);
}

/* Insert an item that has a place. A full list drops its last one. */
static void insert_best(best *all, const item *one) {
  if (all->count == all->limit) vestry_connection_unref(all->items[--all->count].connection);
  size_t at = all->count++;
  for (; at && is_better(one->value, one->id, all->items[at - 1].value, all->items[at - 1].id); at--)
    all->items[at] = all->items[at - 1];
  all->items[at] = *one;
}

static uint64_t value_of(const vestry_connection *connection, stream_order order) {
  size_t bytes;
  switch (order) {
  case NEWEST: return connection->id;
  case OLDEST: return 0; /* equal values are in order of id */
  case QUEUED: vsi_queue_load(&connection->queue, NULL, &bytes, NULL); return bytes;
  case BYTES: return atomic_load_explicit(&connection->wire_bytes, memory_order_relaxed);
  }
  return 0;
}

static bool has_prefix(vestry_connection *connection, const char *prefix) {
  vsi_shown_key key;
  return !prefix || !*prefix || (vsi_shown_key_of_stream(connection, &key) && vsi_shown_begins(key.text, prefix));
}

/* Keep a stream if it is among the best; takes the reference. */
static void consider(best *all, const stream_query *query, vestry_connection *connection) {
  const item one = {value_of(connection, query->order), connection->id, connection};
  const vsi_list_cursor *from = &query->page.from;
  vestry_shared_connection carrier;
  const bool is_after = !from->id || is_better(from->value, from->id, one.value, one.id);
  const bool is_carried =
      !query->connection_id || (get_carrier(connection, &carrier) && carrier.id == query->connection_id);
  if (is_after && has_place(all, &one) && has_prefix(connection, query->page.prefix) && is_carried)
    insert_best(all, &one);
  else
    vestry_connection_unref(connection);
}

static void find_best(vsi_group *group, const stream_query *query, best *all) {
  vestry_connection *chunk[VSI_GROUP_CHUNK];
  vsi_group_walk walk;
  vsi_group_walk_begin(group, &walk);
  bool more = true; /* the walk ends even if streams keep opening */
  for (size_t count; more && (count = vsi_group_walk_next(group, &walk, VSI_GROUP_CHUNK, chunk)) != 0;) {
    more = chunk[count - 1]->id < walk.last_id;
    for (size_t i = 0; i < count; i++) consider(all, query, chunk[i]);
  }
  vsi_group_walk_end(group, &walk);
}

vestry_err vsi_list_streams(const vestry_request *req, vestry_reply *reply, void *app) {
  static const char *const orders[] = {"newest", "oldest", "queued", "bytes"};
  vestry_observe *observe = app;
  unsigned order;
  stream_query query = {.connection_id = 0};
  if (!vsi_may_see(&observe->options, req)) return vestry_reply_status(reply, 403);
  if (!vsi_query_choice(req, "sort", orders, 4, &order))
    return vsi_show_text(reply, 400, "sort: newest, oldest, queued or bytes is expected\n");
  const char *wrong = vsi_query_page(req, &query.page);
  if (wrong) return vsi_show_text(reply, 400, wrong);
  if (!vsi_query_number(req, "connection", INT64_MAX, &query.connection_id))
    return vsi_show_text(reply, 400, "connection: the number of a connection, from 1, is expected\n");
  query.order = (stream_order)order;
  best all = {.limit = query.page.limit};
  find_best(observe->v->group, &query, &all);
  const bool is_full = all.count == all.limit;
  const item *last = &all.items[all.count - is_full];
  vsi_report report;
  vestry_stats stats = {0};
  vestry_stats_get(observe->v, &stats);
  vsi_report_begin(&report, observe->v->host);
  vsi_report_put(&report, VESTRY_OBJECT("open_count", stats.open_count));
  vsi_report_put_next(&report, is_full ? (vsi_list_cursor){last->value, last->id} : (vsi_list_cursor){0, 0});
  vsi_report_open(&report, "streams", '[');
  for (size_t i = 0; i < all.count; i++) {
    vsi_report_open(&report, NULL, '{');
    put_stream(&report, observe, all.items[i].connection);
    vsi_report_close(&report, '}');
    vestry_connection_unref(all.items[i].connection);
  }
  vsi_report_close(&report, ']');
  return vsi_show_json(reply, &report);
}
