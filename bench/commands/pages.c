/* SPDX-License-Identifier: MIT */
/* Live pages of vestry-bench serve --pages, which use only the public headers.
 *
 *   GET /page?topic=T&bytes=N[&private=1]  shows T's text in <span id="state">, and N bytes of rows; with &sleep_ms=N
 *                                          its render sleeps for this time after T has got a text
 *   POST /state?topic=T                    sets T's text to the body: 204 */
#include "pages.h"
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOPIC_BYTES = 256, BYTES_MOST = 1 << 20, TOPICS_MOST = 100000, BUCKETS = 4096, SLEEP_MOST_MS = 60000 };

/* The data of a topic's pages. */
typedef struct state {
  struct state *next;
  char *text;
  size_t len;
  char topic[];
} state;

struct bench_pages {
  vestry_pages *pages;
  vestry_page *page;
  pthread_mutex_t lock;
  state *states[BUCKETS]; /* guarded by lock, as are all members of its elements */
  size_t count;
  _Atomic(int64_t) streams;   /* number so far; each has a separate key */
  _Atomic(uint64_t) sleeping; /* number of sleeping renders */
};

static size_t bucket_of(const char *topic) {
  size_t hash = 5381;
  while (*topic) hash = hash * 33 + (unsigned char)*topic++;
  return hash % BUCKETS;
}

static state *find_locked(bench_pages *b, const char *topic) {
  state *found = b->states[bucket_of(topic)];
  while (found && strcmp(found->topic, topic) != 0) found = found->next;
  return found;
}

static vestry_err set_locked(bench_pages *b, const char *topic, vestry_slice text) {
  state *of = find_locked(b, topic);
  char *copy = malloc(text.len + 1);
  if (!of && copy && b->count < TOPICS_MOST) {
    of = calloc(1, sizeof *of + strlen(topic) + 1);
    if (of) {
      strcpy(of->topic, topic);
      of->next = b->states[bucket_of(topic)];
      b->states[bucket_of(topic)] = of;
      b->count++;
    }
  }
  if (!of) {
    free(copy);
    return VESTRY_LIMIT;
  }
  if (!copy) return VESTRY_NO_MEMORY;
  if (text.len) memcpy(copy, text.data, text.len);
  copy[text.len] = '\0';
  free(of->text);
  of->text = copy;
  of->len = text.len;
  return VESTRY_OK;
}

static vestry_err put_state(bench_pages *b, vestry_html *html, const char *topic) {
  pthread_mutex_lock(&b->lock);
  const state *of = find_locked(b, topic);
  vestry_err error = of ? vestry_html_text(html, of->text, of->len) : VESTRY_OK;
  pthread_mutex_unlock(&b->lock);
  return error;
}

static bool has_text(bench_pages *b, const char *topic) {
  pthread_mutex_lock(&b->lock);
  const state *of = find_locked(b, topic);
  bool has = of && of->len;
  pthread_mutex_unlock(&b->lock);
  return has;
}

/* Sleep, like a handler that waits for a database. */
static void sleep_for(bench_pages *b, int64_t ms) {
  atomic_fetch_add_explicit(&b->sleeping, 1, memory_order_relaxed); /* only a counter */
  bench_sleep_ms((uint64_t)ms);
  atomic_fetch_sub_explicit(&b->sleeping, 1, memory_order_relaxed);
}

static vestry_err make(vestry_render *render, vestry_html *html, void *app) {
  const vestry_request *req = render->request;
  const char *topic = vestry_request_value(req, VESTRY_IN_QUERY, "topic");
  int64_t bytes = 0, sleep_ms = 0;
  vestry_err error = vestry_request_get(req, VESTRY_IN_QUERY, "bytes", vestry_into_between(&bytes, 0, BYTES_MOST));
  if (error && error != VESTRY_NOT_FOUND) return error;
  error = vestry_request_get(req, VESTRY_IN_QUERY, "sleep_ms", vestry_into_between(&sleep_ms, 0, SLEEP_MOST_MS));
  if (error && error != VESTRY_NOT_FOUND) return error;
  if (!topic || !*topic || strlen(topic) >= TOPIC_BYTES) return VESTRY_MALFORMED;
  vestry_render_topic(render, topic);
  if (sleep_ms && render->is_stream && has_text(app, topic)) sleep_for(app, sleep_ms);
  vestry_html_add(html,
                  "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title>"
                  "<script type=\"module\" src=\"%-s\"></script>",
                  topic, VESTRY_DATASTAR_CDN_URL);
  vestry_render_head(render, html);
  vestry_html_add(html, "</head><body>");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>Now: <span id=\"state\">");
  put_state(app, html, topic);
  vestry_html_add(html, "</span></p><ol>");
  for (int64_t row = 0; row * 64 < bytes; row++)
    vestry_html_add(html, "<li id=\"row-%06d\">Row %06d of these, as pages have them.</li>", (int)row,
                    (int)(row * 7919 % 999983));
  vestry_html_add(html, "</ol>");
  vestry_render_end(render, html);
  return vestry_html_add(html, "</body></html>");
}

static vestry_err page(const vestry_request *req, vestry_reply *reply, void *app) {
  bench_pages *b = app;
  const char *own = vestry_request_value(req, VESTRY_IN_QUERY, "private");
  int64_t number = atomic_fetch_add_explicit(&b->streams, 1, memory_order_relaxed); /* only a number */
  vestry_err error = vestry_reply_key(reply, VESTRY_KEY("page", number));
  if (!error) error = vestry_reply_keep(reply, VESTRY_KEEP_MANY, 1);
  if (error) return error;
  return vestry_page_serve(req, reply, b->page, own && !strcmp(own, "1") ? NULL : "");
}

static vestry_err post_state(const vestry_request *req, vestry_reply *reply, void *app) {
  bench_pages *b = app;
  const char *topic = vestry_request_value(req, VESTRY_IN_QUERY, "topic");
  if (!topic || !*topic || strlen(topic) >= TOPIC_BYTES) return VESTRY_MALFORMED;
  pthread_mutex_lock(&b->lock);
  vestry_err error = set_locked(b, topic, req->body);
  pthread_mutex_unlock(&b->lock);
  if (!error) error = vestry_refresh(b->pages, topic, NULL);
  return error ? error : vestry_reply_status(reply, 204);
}

vestry_err bench_pages_create(vestry *v, bench_pages **ret_pages) {
  bench_pages *b = calloc(1, sizeof *b);
  if (!b) return VESTRY_NO_MEMORY;
  pthread_mutex_init(&b->lock, NULL);
  vestry_err error = vestry_pages_create(v, NULL, &b->pages);
  /* the whole, as the peers send it, and so that the load program can check every byte */
  const vestry_page_options options = {.render = make, .app = b, .sends_whole = true};
  if (!error) error = vestry_page_create(b->pages, &options, &b->page);
  if (!error) error = vestry_route(v, "GET", "/page", page, b);
  if (!error) error = vestry_route(v, "POST", "/state", post_state, b);
  *ret_pages = b;
  return error;
}

vestry_pages *bench_pages_of(bench_pages *b) {
  return b->pages;
}

uint64_t bench_pages_sleeping(const bench_pages *b) {
  return atomic_load_explicit(&b->sleeping, memory_order_relaxed);
}

void bench_pages_destroy(bench_pages *b) {
  if (!b) return;
  vestry_pages_destroy(b->pages);
  for (size_t i = 0; i < BUCKETS; i++) {
    for (state *next, *one = b->states[i]; one; one = next) {
      next = one->next;
      free(one->text);
      free(one);
    }
  }
  pthread_mutex_destroy(&b->lock);
  free(b);
}
