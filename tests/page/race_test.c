/* SPDX-License-Identifier: MIT */
/* Races of live pages: whatever the order of changes, refreshes, renders, joins and ends, each page shows the current
 * content in the end, and the counters are consistent. With seeds on the stepped runtime (VESTRY_SCHEDULES=1000000 for
 * a long run), and with threads. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "app/page/fragment.h"
#include "app/page/topic.h"
#include "runtime/runtime.h"
#include "support/test.h"
#include "support/test_host.h"
#include "support/until.h"
#include "vestry/app/page.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

enum { ROOMS = 3, TABS = 5, ACTIONS = 40, SCHEDULES = 4000 };

typedef struct tab {
  vestry_memory_exchange *stream; /* NULL: closed */
  int kind, who;
  unsigned hold_ms; /* of a long poll; 0: it has a stream */
  bool blocks;
  char id[400];   /* the tag that it sends when it reconnects */
  char shown[32]; /* the last room received */
} tab;

typedef struct world {
  vestry *v;
  vestry_pages *pages;
  vestry_page *kinds[3]; /* private, shared, with a part */
  tab *tabs;             /* some of which hang up at random; NULL: none */
  test_host *th;         /* whose memory runs out at random; NULL: never */
  _Atomic(int) denied;   /* the user without permission; -1: none */
  bool is_versioned;
  _Atomic(int) rooms[ROOMS]; /* the current content */
  _Atomic(int) shown_of[64]; /* private pages: the room that each user's page shows */
  _Atomic(unsigned) seed;    /* for random choices inside renders; 0: none */
} world;

static unsigned chance(world *w, unsigned of) {
  unsigned seed = atomic_load(&w->seed);
  if (!seed) return of;
  seed = seed * 1103515245 + 12345;
  atomic_store(&w->seed, seed | 1);
  return (seed >> 16) % of;
}

static void change(world *w, int number) {
  char topic[16];
  snprintf(topic, sizeof topic, "room/%d", number);
  atomic_fetch_add(&w->rooms[number], 1);
  assert_int_equal(vestry_refresh(w->pages, topic, NULL), VESTRY_OK);
}

/* Let one of the next allocations fail. */
static void fail_later(world *w) {
  if (w->th && atomic_load(&w->seed)) test_host_fail_in(w->th, chance(w, 12));
}

/* Name the topic before or after reading, with a change in between at random. */
static void read_room(world *w, vestry_render *render, vestry_html *html, int number) {
  char topic[16];
  snprintf(topic, sizeof topic, "room/%d", number);
  bool late = chance(w, 2) == 0;
  if (!late) vestry_render_topic(render, topic);
  if (render->is_stream && chance(w, 8) == 0) fail_later(w);
  vestry_html_add(html, "<b>%d:%d</b>", number, atomic_load(&w->rooms[number]));
  if (render->is_stream && chance(w, 6) == 0) change(w, (int)chance(w, ROOMS));
  if (render->is_stream && w->tabs && chance(w, 25) == 0) {
    tab *t = &w->tabs[chance(w, TABS)];
    if (t->stream) vestry_memory_mode_set(t->stream, VESTRY_MEMORY_HANGS_UP);
  }
  if (late) vestry_render_topic(render, topic);
}

/* A number that changes with the content of a page. Parts do not belong to it. */
static uint64_t version_of(world *w, int number, bool has_part) {
  return (uint64_t)number + 1 + (has_part ? 0 : (uint64_t)atomic_load(&w->rooms[number]) * ROOMS);
}

/* -1: no memory to read it. */
static int user_of(const vestry_request *req) {
  int64_t who;
  return vestry_request_get(req, VESTRY_IN_QUERY, "who", vestry_into_between(&who, 0, 63)) ? -1 : (int)who;
}

static vestry_err make(vestry_render *render, vestry_html *html, void *app) {
  world *w = app;
  const vestry_request *req = render->request;
  char topic[16];
  int who = user_of(req);
  if (who < 0) return VESTRY_NO_MEMORY;
  snprintf(topic, sizeof topic, "who/%d", who);
  vestry_render_topic(render, topic);
  int number = render->share ? who % ROOMS : atomic_load(&w->shown_of[who]);
  if (render->is_stream && chance(w, 10) == 0) return chance(w, 2) ? VESTRY_FAILED : VESTRY_CLOSED;
  if (w->is_versioned) {
    snprintf(topic, sizeof topic, "room/%d", number);
    vestry_render_topic(render, topic);
    if (vestry_render_is_current(render, version_of(w, number, false))) return VESTRY_OK;
  }
  vestry_render_begin(render, html);
  read_room(w, render, html, number);
  return vestry_render_end(render, html);
}

static vestry_err part(vestry_render *render, vestry_html *html, void *app) {
  if (render->is_stream && chance(app, 10) == 0) return chance(app, 2) ? VESTRY_FAILED : VESTRY_CLOSED;
  read_room(app, render, html, atoi(render->share));
  return VESTRY_OK;
}

static vestry_err make_with_part(vestry_render *render, vestry_html *html, void *app) {
  world *w = app;
  char topic[16], share[16];
  int who = user_of(render->request);
  if (who < 0) return VESTRY_NO_MEMORY;
  snprintf(topic, sizeof topic, "who/%d", who);
  vestry_render_topic(render, topic);
  int number = atomic_load(&w->shown_of[who]);
  snprintf(share, sizeof share, "%d", number);
  if (w->is_versioned && vestry_render_is_current(render, version_of(w, number, true))) return VESTRY_OK;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<i>%d</i>", number);
  vestry_render_part(render, html, &(vestry_page_part){.id = "p", .share = share, .render = part, .app = w});
  return vestry_render_end(render, html);
}

static vestry_err may(const vestry_request *req, void *app) {
  int who = user_of(req);
  return who < 0 ? VESTRY_NO_MEMORY : atomic_load(&((world *)app)->denied) == who ? VESTRY_NOT_FOUND : VESTRY_OK;
}

static vestry_err serve_shared(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, ((world *)app)->kinds[1], "s");
}

static void open_world(world *w, const vestry_options *options) {
  memset(w, 0, sizeof *w);
  assert_int_equal(vestry_create(options, &w->v), VESTRY_OK);
  assert_int_equal(vestry_pages_create(w->v, &(vestry_pages_options){.interval_ms = 1}, &w->pages), VESTRY_OK);
  const vestry_page_options made = {.render = make, .allow = may, .app = w};
  const vestry_page_options parted = {.render = make_with_part, .allow = may, .app = w};
  atomic_store(&w->denied, -1);
  assert_int_equal(vestry_page_create(w->pages, &made, &w->kinds[0]), VESTRY_OK);
  assert_int_equal(vestry_page_create(w->pages, &made, &w->kinds[1]), VESTRY_OK);
  assert_int_equal(vestry_page_create(w->pages, &parted, &w->kinds[2]), VESTRY_OK);
  assert_int_equal(vestry_route(w->v, "GET", "/0", vestry_page_handler, w->kinds[0]), VESTRY_OK);
  assert_int_equal(vestry_route(w->v, "GET", "/1", serve_shared, w), VESTRY_OK);
  assert_int_equal(vestry_route(w->v, "GET", "/2", vestry_page_handler, w->kinds[2]), VESTRY_OK);
}

static void close_world(world *w) {
  vestry_pages_stats s = {0};
  vestry_stop(w->v, 0);
  vsi_pages_lock(w->pages);
  vsi_fragments_end_lingering(w->pages);
  vsi_pages_reap(w->pages);
  vestry_pages_stats_get(w->pages, &s);
  assert_int_equal(s.streams_opened_count, s.streams_closed_count);
  assert_int_equal(s.streams_count + s.fragments_count + s.topics_count + s.kept_bytes + s.requests_bytes, 0);
  assert_int_equal(s.renders_count,
                   s.changed_count + s.unchanged_count + s.current_count + s.failed_count + s.dropped_count);
  vestry_pages_destroy(w->pages);
  vestry_destroy(w->v);
}

/* Apply what was received as a browser does: the content shown, and the last id. */
static void read_tab(tab *t) {
  const char *text = vestry_memory_since(t->stream).data;
  for (const char *at = text; (at = strstr(at, "<b>")) != NULL; at++) snprintf(t->shown, sizeof t->shown, "%.20s", at);
  for (const char *at = text; (at = strstr(at, "\nid: ")) != NULL; at++)
    snprintf(t->id, sizeof t->id, "%.*s", (int)strcspn(at + 5, "\n"), at + 5);
}

static void request_stream(world *w, tab *t) {
  char path[8], query[80];
  t->blocks = false;
  snprintf(path, sizeof path, "/%d", t->kind);
  snprintf(query, sizeof query, "who=%d&datastar=%%7B%%22_vestry%%22:%%7B%%22poll%%22:%u%%7D%%7D", t->who, t->hold_ms);
  char document[17];
  snprintf(document, sizeof document, "%016x", (unsigned)(t->kind * 64 + t->who + 1));
  const vestry_header had[] = {{"Vestry-Document", document}, {"Last-Event-ID", t->id}};
  const vestry_memory_call call = {
      .path = path, .query = query, .datastar = true, .headers = had, .headers_count = *t->id ? 2 : 1};
  vestry_err error = vestry_memory_request(w->v, &call, NULL, NULL, &t->stream);
  if (error) t->stream = NULL;
  if (!w->th) assert_int_equal(error, VESTRY_OK);
  if (t->stream && !vestry_memory_look(t->stream).connection) { /* no memory, or no permission */
    vestry_memory_destroy(t->stream);
    t->stream = NULL;
  }
}

/* Open another page, or the same one with its tag. */
static void open_tab(world *w, tab *t, unsigned *seed) {
  if (!*t->id || rand_r(seed) % 2) {
    t->kind = rand_r(seed) % 3;
    *t->id = *t->shown = '\0';
  }
  t->hold_ms = rand_r(seed) % 2 ? 0 : w->th ? 1 + rand_r(seed) % 60 : 25000;
  request_stream(w, t);
}

/* With threads, only streams that have ended are read: answered long polls. */
static void close_tab(const world *w, tab *t) {
  if (t->stream && (w->th || vestry_memory_look(t->stream).ended)) read_tab(t);
  vestry_memory_destroy(t->stream);
  t->stream = NULL;
}

static bool is_open(const tab *t) {
  return vestry_connection_is_open(vestry_memory_look(t->stream).connection);
}

static unsigned current_seed;

/* Assert that the tab shows the current content. Events of a part follow those of the page. */
static void check_tab(world *w, tab *t) {
  char wanted[32];
  int number = t->kind == 1 ? t->who % ROOMS : atomic_load(&w->shown_of[t->who]);
  snprintf(wanted, sizeof wanted, "<b>%d:%d</b>", number, atomic_load(&w->rooms[number]));
  read_tab(t);
  if (strncmp(t->shown, wanted, strlen(wanted)) != 0)
    fprintf(stderr, "seed %u, kind %d, versioned %d wants %s, has %s in\n%s\n", current_seed, t->kind, w->is_versioned,
            wanted, t->shown, (const char *)vestry_memory_look(t->stream).received.data);
  assert_memory_equal(t->shown, wanted, strlen(wanted));
}

static void act(world *w, test_host *th, tab *t, unsigned *seed) {
  switch (rand_r(seed) % 12) {
  case 0:
  case 1: change(w, rand_r(seed) % ROOMS); break;
  case 2:
    if (t->stream) {
      close_tab(w, t);
      break;
    } /* fall through */
  case 3:
    if (!t->stream) open_tab(w, t, seed);
    if (!t->stream || !t->hold_ms || is_open(t)) break;
    close_tab(w, t); /* it was answered: the tab polls again */
    request_stream(w, t);
    break;
  case 4:
    if (t->stream)
      vestry_memory_mode_set(t->stream, (t->blocks = !t->blocks) ? VESTRY_MEMORY_BLOCKS : VESTRY_MEMORY_READS);
    break;
  case 5: test_host_advance_ms(th, (uint64_t)(rand_r(seed) % 30)); break;
  case 6: {
    char topic[16];
    atomic_store(&w->shown_of[t->who], rand_r(seed) % ROOMS);
    snprintf(topic, sizeof topic, "who/%d", t->who);
    assert_int_equal(vestry_refresh(w->pages, topic, NULL), VESTRY_OK);
    break;
  }
  case 7: assert_int_equal(vestry_refresh(w->pages, NULL, NULL), VESTRY_OK); break;
  case 8: atomic_store(&w->denied, rand_r(seed) % 3 ? -1 : t->who); break;
  case 9:
    if (rand_r(seed) % 4 == 0) test_host_fail_in(th, rand_r(seed) % 40);
    break;
  default:
    for (int i = rand_r(seed) % 12; i > 0; i--) (void)vestry_runtime_step(vestry_parts_of(w->v)->runtime);
  }
}

/* Open streams for tabs whose streams or long polls have ended. */
static void bring_back(world *w, tab tabs[TABS]) {
  for (int i = 0; i < TABS; i++) {
    if (!tabs[i].stream) continue;
    if (is_open(&tabs[i])) {
      vestry_memory_mode_set(tabs[i].stream, VESTRY_MEMORY_READS);
    } else {
      close_tab(w, &tabs[i]);
      tabs[i].hold_ms = 0;
      request_stream(w, &tabs[i]);
      assert_non_null(tabs[i].stream);
    }
  }
}

/* Wait for all renders: by letting time pass, or with vestry_pages_settle. */
static void settle_world(world *w, test_host *th, bool by_waiting) {
  for (int i = 0; i < 5 && by_waiting; i++) {
    test_host_advance_ms(th, i < 3 ? 50 : 31000);
    vestry_memory_settle(w->v);
  }
  if (!by_waiting) assert_int_equal(vestry_pages_settle(w->pages, UINT64_MAX, 0), VESTRY_OK);
}

static void run_schedule(unsigned seed) {
  test_host th;
  world *w = calloc(1, sizeof *w);
  tab tabs[TABS] = {{0}};
  test_host_init(&th);
  bool by_waiting = rand_r(&seed) % 2, is_versioned = rand_r(&seed) % 2;
  open_world(w, &(vestry_options){.host = &th.host, .threads_count = VESTRY_THREADS_NONE});
  w->th = &th;
  w->tabs = tabs;
  w->is_versioned = is_versioned;
  atomic_store(&w->seed, seed | 1);
  for (int i = 0; i < TABS; i++) tabs[i].who = i;
  for (int i = 0; i < ACTIONS; i++) act(w, &th, &tabs[rand_r(&seed) % TABS], &seed);
  atomic_store(&w->seed, 0);
  test_host_fail_no_more(&th);
  atomic_store(&w->denied, -1);
  for (int i = 0; i < 2; i++) { /* a second time for hung up streams, which are detected only by a write */
    vestry_memory_settle(w->v);
    bring_back(w, tabs);
    settle_world(w, &th, by_waiting);
  }
  for (int i = 0; i < TABS; i++) {
    if (tabs[i].stream) check_tab(w, &tabs[i]);
    vestry_memory_destroy(tabs[i].stream);
  }
  vestry_memory_settle(w->v);
  close_world(w);
  test_host_assert_clean(&th);
  free(w);
}

/* capability: D4, D20, L8 */
TEST_CASE(no_change_is_missed_in_random_schedules) {
  const char *wanted = getenv("VESTRY_SCHEDULES");
  unsigned count = wanted ? (unsigned)atoi(wanted) : SCHEDULES;
  const char *first = getenv("VESTRY_SEED");
  for (unsigned seed = first ? (unsigned)atoi(first) : 1, end = seed + count; seed < end; seed++) {
    if (wanted && seed % 100000 == 0) fprintf(stderr, "%u schedules\n", seed);
    current_seed = seed;
    run_schedule(seed);
  }
}

/* ------------------------------------------------------------------------------------------------- threads -------- */

enum { CROWD = 3, ROUNDS = 150, OWN_TABS = 6 };

typedef struct crowd {
  world *w;
  unsigned seed;
  int first_who;
  tab tabs[OWN_TABS];
} crowd;

static void *open_change_and_close(void *ctx) {
  crowd *c = ctx;
  for (int i = 0; i < OWN_TABS; i++) c->tabs[i].who = c->first_who + i;
  for (int round = 0; round < ROUNDS; round++) {
    tab *t = &c->tabs[rand_r(&c->seed) % OWN_TABS];
    char topic[16];
    snprintf(topic, sizeof topic, "who/%d", t->who);
    switch (rand_r(&c->seed) % 4) {
    case 0: change(c->w, rand_r(&c->seed) % ROOMS); break;
    case 1:
      atomic_store(&c->w->shown_of[t->who], rand_r(&c->seed) % ROOMS);
      (void)vestry_refresh(c->w->pages, topic, NULL);
      break;
    default:
      if (!t->stream)
        open_tab(c->w, t, &c->seed);
      else
        close_tab(c->w, t);
    }
  }
  return NULL;
}

/* Count spans of several threads, and check that they are well-formed. */
static void count_span(const vestry_span *span, void *ctx) {
  assert_true(span->begun_ns <= span->ended_ns);
  assert_true(span->trace.is_sampled);
  atomic_fetch_add(&((_Atomic(uint64_t) *)ctx)[span->kind], 1);
}

/* capability: D4, L8 */
TEST_CASE(no_change_is_missed_with_threads) {
  _Atomic(uint64_t) spans[8] = {0};
  const vestry_tracer tracer = {.on_span = count_span, .ctx = spans};
  vestry_host host = *vestry_host_default();
  host.tracer = &tracer;
  for (unsigned seed = 1; seed <= 4; seed++) {
    world *w = calloc(1, sizeof *w);
    pthread_t threads[CROWD];
    crowd crowds[CROWD];
    open_world(w, &(vestry_options){.host = seed % 2 ? &host : NULL, .threads_count = 2});
    for (unsigned i = 0; i < CROWD; i++) {
      crowds[i] = (crowd){.w = w, .seed = seed * 100 + i, .first_who = (int)i * 20};
      assert_int_equal(pthread_create(&threads[i], NULL, open_change_and_close, &crowds[i]), 0);
    }
    for (size_t i = 0; i < CROWD; i++) pthread_join(threads[i], NULL);
    uint64_t seq;
    assert_int_equal(vestry_refresh(w->pages, "nobody", &seq), VESTRY_OK);
    assert_int_equal(vestry_pages_settle(w->pages, seq, 60000), VESTRY_OK);
    for (size_t i = 0; i < CROWD; i++) {
      for (size_t j = 0; j < OWN_TABS; j++) {
        tab *t = &crowds[i].tabs[j];
        if (t->stream && (!t->hold_ms || is_open(t))) check_tab(w, t); /* a held long poll is current, too */
        vestry_memory_destroy(t->stream);
      }
    }
    assert_int_equal(vestry_stop(w->v, VESTRY_NEVER_MS), VESTRY_OK);
    close_world(w);
    free(w);
  }
  assert_true(spans[VESTRY_SPAN_REQUEST] && spans[VESTRY_SPAN_RENDER] && spans[VESTRY_SPAN_WRITE]);
}

/* Pages end while streams are open and changes arrive. */
/* capability: D4 */
TEST_CASE(destroy_is_clean_with_open_streams_and_changes) {
  for (unsigned seed = 1; seed <= 20; seed++) {
    world *w = calloc(1, sizeof *w);
    open_world(w, &(vestry_options){.threads_count = 2});
    tab tabs[20] = {{0}};
    for (int i = 0; i < 20; i++) {
      tabs[i].who = i;
      open_tab(w, &tabs[i], &seed);
    }
    for (int i = 0; i < 50; i++) change(w, i % ROOMS);
    vestry_pages *pages = w->pages;
    vestry_pages_destroy(pages);
    for (int i = 0; i < 20; i++) vestry_memory_destroy(tabs[i].stream);
    vestry_destroy(w->v);
    free(w);
  }
}

/* Private pages that one worker renders, in the order in which they are refreshed. The first one holds the worker,
 * until the others are refreshed. Those from `slow` on wait for `may_go`. */
enum { ROW = 12 };

typedef struct row {
  vestry *v;
  vestry_pages *pages;
  vestry_page *page;
  vestry_memory_exchange *streams[ROW];
  vestry_connection *connections[ROW];
  int slow;
  bool stops;         /* a render that is held calls vestry_stop */
  vestry_err stopped; /* its result */
  _Atomic(bool) is_holding, is_held, may_go;
  _Atomic(unsigned) number;
} row;

static vestry_err make_one_of_row(vestry_render *render, vestry_html *html, void *app) {
  row *all = app;
  int64_t who;
  char topic[16];
  vestry_err error = vestry_request_get(render->request, VESTRY_IN_QUERY, "who", vestry_into_between(&who, 0, ROW));
  if (error) return error;
  snprintf(topic, sizeof topic, "who/%d", (int)who);
  vestry_render_topic(render, topic);
  if (who == 0 && atomic_load(&all->is_holding)) {
    if (all->stops) all->stopped = vestry_stop(all->v, 0);
    atomic_store(&all->is_held, true);
    WAIT_WHILE(atomic_load(&all->is_holding));
  }
  if (who >= all->slow) WAIT_WHILE(!atomic_load(&all->may_go));
  vestry_render_begin(render, html);
  vestry_html_add(html, "%u", atomic_load(&all->number));
  return vestry_render_end(render, html);
}

static uint64_t written(const vestry_connection *connection) {
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(connection, &stats);
  return stats.written_count;
}

static void refresh_one_of_row(const row *all, int who) {
  char topic[16];
  snprintf(topic, sizeof topic, "who/%d", who);
  assert_int_equal(vestry_refresh(all->pages, topic, NULL), VESTRY_OK);
}

/* Let the worker render all pages in a row. */
static void refresh_row(row *all) {
  atomic_fetch_add(&all->number, 1);
  atomic_store(&all->is_held, false);
  atomic_store(&all->is_holding, true);
  refresh_one_of_row(all, 0);
  UNTIL(atomic_load(&all->is_held));
  for (int i = 1; i < ROW; i++) refresh_one_of_row(all, i);
  atomic_store(&all->is_holding, false);
}

static void begin_row(row *all) {
  const vestry_pages_options options = {.threads_count = 1, .interval_ms = 1};
  *all = (row){.slow = ROW};
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = 1}, &all->v), VESTRY_OK);
  assert_int_equal(vestry_pages_create(all->v, &options, &all->pages), VESTRY_OK);
  const vestry_page_options page = {.render = make_one_of_row, .app = all};
  assert_int_equal(vestry_page_create(all->pages, &page, &all->page), VESTRY_OK);
  assert_int_equal(vestry_route(all->v, "GET", "/", vestry_page_handler, all->page), VESTRY_OK);
  for (int i = 0; i < ROW; i++) {
    char query[16];
    snprintf(query, sizeof query, "who=%d", i);
    const vestry_memory_call call = {.path = "/", .query = query, .datastar = true};
    assert_int_equal(vestry_memory_request(all->v, &call, NULL, NULL, &all->streams[i]), VESTRY_OK);
    all->connections[i] = vestry_memory_look(all->streams[i]).connection;
  }
  assert_int_equal(vestry_pages_settle(all->pages, UINT64_MAX, PATIENCE_S * 1000), VESTRY_OK);
}

static void end_row(row *all) {
  assert_int_equal(vestry_stop(all->v, VESTRY_NEVER_MS), VESTRY_OK);
  for (int i = 0; i < ROW; i++) vestry_memory_destroy(all->streams[i]);
  vestry_pages_destroy(all->pages);
  vestry_destroy(all->v);
}

/* A render that is preempted does not count as quick, so that several rounds may be necessary. */
TEST_CASE(small_pages_rendered_in_a_row_are_written_in_one_batch) {
  row all;
  begin_row(&all);
  const vsi_pool *pool = &vestry_parts_of(all.v)->runtime->pool;
  uint64_t least = 0;
  for (unsigned rounds = 0; least < 3; rounds++) {
    assert_true(rounds < 1000);
    const uint64_t batches = atomic_load(&pool->batches_count), writes = atomic_load(&pool->batched_count);
    uint64_t before[ROW];
    for (int i = 0; i < ROW; i++) before[i] = written(all.connections[i]);
    refresh_row(&all);
    for (int i = 0; i < ROW; i++) UNTIL(written(all.connections[i]) == before[i] + 1);
    if (!atomic_load(&pool->batches)) break; /* the kernel has no io_uring */
    assert_int_equal(vestry_pages_settle(all.pages, UINT64_MAX, PATIENCE_S * 1000), VESTRY_OK);
    const uint64_t count = atomic_load(&pool->batches_count) - batches;
    least = count ? (atomic_load(&pool->batched_count) - writes) / count : 0;
  }
  end_row(&all);
}

TEST_CASE(slow_render_does_not_hold_back_what_was_rendered_before) {
  row all;
  begin_row(&all);
  for (int round = 0; round < 5; round++) {
    uint64_t before[ROW];
    for (int i = 0; i < ROW; i++) before[i] = written(all.connections[i]);
    all.slow = ROW / 2;
    atomic_store(&all.may_go, false);
    refresh_row(&all);
    for (int i = 0; i < ROW / 2; i++) UNTIL(written(all.connections[i]) == before[i] + 1);
    atomic_store(&all.may_go, true);
    for (int i = 0; i < ROW; i++) UNTIL(written(all.connections[i]) == before[i] + 1);
  }
  end_row(&all);
}

static uint64_t open_count(vestry *v) {
  vestry_stats stats = {0};
  vestry_stats_get(v, &stats);
  return stats.open_count;
}

/* So what renders use can be freed after vestry_stop. */
TEST_CASE(stop_waits_for_a_render) {
  row all;
  begin_row(&all);
  all.stops = true;
  atomic_store(&all.is_holding, true);
  refresh_one_of_row(&all, 0);
  UNTIL(atomic_load(&all.is_held));
  assert_int_equal(all.stopped, VESTRY_BUSY);
  vestry_close(all.v);
  UNTIL(open_count(all.v) == 0);
  assert_int_equal(vestry_stop(all.v, 0), VESTRY_TIMEOUT);
  atomic_store(&all.is_holding, false);
  end_row(&all);
}

typedef struct forwarded {
  vestry_pages *pages;
  _Atomic(bool) is_inside, is_removed, was_removed;
} forwarded;

static void forward_slowly(bool is_report, const char *topic, size_t len, void *ctx) {
  forwarded *f = ctx;
  atomic_store(&f->is_inside, true);
  LINGER(atomic_load(&f->is_removed));
  atomic_store(&f->was_removed, atomic_load(&f->is_removed));
}

static void *refresh_one(void *ctx) {
  (void)vestry_refresh(((forwarded *)ctx)->pages, "a", NULL);
  return NULL;
}

/* So the cluster that forwards refreshes can be freed. */
TEST_CASE(no_refresh_is_being_forwarded_after_its_function_was_removed) {
  vestry *v;
  forwarded f = {.pages = NULL};
  pthread_t thread;
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = 1}, &v), VESTRY_OK);
  assert_int_equal(vestry_pages_create(v, NULL, &f.pages), VESTRY_OK);
  vsi_pages_set_refreshed(f.pages, forward_slowly, &f);
  assert_int_equal(pthread_create(&thread, NULL, refresh_one, &f), 0);
  UNTIL(atomic_load(&f.is_inside));
  vsi_pages_set_refreshed(f.pages, NULL, NULL);
  atomic_store(&f.is_removed, true);
  pthread_join(thread, NULL);
  assert_false(atomic_load(&f.was_removed));
  vestry_pages_destroy(f.pages);
  vestry_destroy(v);
}
