/* SPDX-License-Identifier: MIT */
/* The inbox of refreshes, with threads: refreshes are numbered and counted whether a thread is woken for them or not,
 * and none is lost. */
#include "app/page/inbox.h"

#include <pthread.h>
#include <stdlib.h>

#include "app/page/pages.h"
#include "app/page/topic.h"
#include "connection/group.h"
#include "instance/instance.h"
#include "runtime/runtime.h"
#include "support/test.h"
#include "support/until.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

typedef struct place {
  vestry *v;
  vestry_pages *pages;
  vestry_page *page;
  vestry_memory_exchange *stream; /* NULL: none */
  const char *topic;
  const char *read;     /* another topic, of a recorded read; NULL: none */
  _Atomic(int) number;  /* the content */
  _Atomic(int) changes; /* that the next renders make to it themselves, after they have read it */
  _Atomic(unsigned) renders;
  _Atomic(int) rendered; /* the content of the last render */
} place;

static void change(place *p) {
  atomic_fetch_add(&p->number, 1);
  assert_int_equal(vestry_refresh(p->pages, p->topic, NULL), VESTRY_OK);
}

static vestry_err make(vestry_render *render, vestry_html *html, void *app) {
  place *p = app;
  const int number = atomic_load(&p->number);
  if (render->is_stream && atomic_load(&p->changes)) {
    atomic_fetch_sub(&p->changes, 1);
    change(p);
  }
  vestry_render_topic(render, p->topic);
  if (p->read) vestry_render_topic(render, p->read);
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%d</b>", number);
  atomic_fetch_add(&p->renders, 1);
  if (render->is_stream) atomic_store(&p->rendered, number);
  return vestry_render_end(render, html);
}

static void begin(place *p, const char *topic) {
  *p = (place){.topic = topic};
  assert_int_equal(vestry_create(&(vestry_options){.threads_count = 1}, &p->v), VESTRY_OK);
  assert_int_equal(vestry_pages_create(p->v, &(vestry_pages_options){.interval_ms = 1}, &p->pages), VESTRY_OK);
  const vestry_page_options page = {.render = make, .app = p};
  assert_int_equal(vestry_page_create(p->pages, &page, &p->page), VESTRY_OK);
  assert_int_equal(vestry_route(p->v, "GET", "/", vestry_page_handler, p->page), VESTRY_OK);
}

static void open_tab(place *p) {
  const vestry_memory_call call = {.path = "/", .datastar = true};
  assert_int_equal(vestry_memory_request(p->v, &call, NULL, NULL, &p->stream), VESTRY_OK);
}

static void end(place *p) {
  assert_int_equal(vestry_stop(p->v, VESTRY_NEVER_MS), VESTRY_OK);
  vestry_memory_destroy(p->stream);
  vestry_pages_destroy(p->pages);
  vestry_destroy(p->v);
}

static bool is_parked(vestry_runtime *runtime) {
  vsi_mutex_lock(&runtime->pool.queue.lock);
  const bool are_all = runtime->pool.parked_count == runtime->pool.workers_count;
  vsi_mutex_unlock(&runtime->pool.queue.lock);
  return are_all;
}

/* Whether no thread will take the lock of the pages. */
static bool all_sleep(const place *p) {
  return atomic_load(&vsi_pages_inbox(p->pages)->bell.state) == VSI_BELL_WATCHED && is_parked(p->pages->runtime) &&
         is_parked(p->v->runtime);
}

static uint32_t waiting(const place *p) {
  return atomic_load(&vsi_pages_inbox(p->pages)->count);
}

/* Wait until a render has shown a number, without the lock of the pages. Then check that it is written. */
static void await(place *p, int number) {
  char text[24];
  snprintf(text, sizeof text, "<b>%d</b>", number);
  UNTIL(atomic_load(&p->rendered) == number);
  assert_int_equal(vestry_pages_settle(p->pages, UINT64_MAX, PATIENCE_S * 1000), VESTRY_OK);
  assert_non_null(strstr(vestry_memory_look(p->stream).received.data, text));
}

static vestry_pages_stats stats_of(const place *p) {
  vestry_pages_stats stats = {0};
  vestry_pages_stats_get(p->pages, &stats);
  return stats;
}

/* capability: D4 */
TEST_CASE(refresh_wakes_a_thread_only_if_a_page_depends_on_it) {
  place p;
  begin(&p, "room");
  open_tab(&p);
  for (int i = 1; i <= 50; i++) {
    UNTIL(all_sleep(&p) && !waiting(&p));
    const uint64_t before = stats_of(&p).refreshes_count;
    const unsigned renders = atomic_load(&p.renders);
    uint64_t first, second;
    assert_int_equal(vestry_refresh(p.pages, "nobody", &first), VESTRY_OK);
    assert_int_equal(vestry_refresh_here(p.pages, "nobody", &second), VESTRY_OK);
    assert_int_equal(second, first + 1);
    assert_true(all_sleep(&p));
    assert_int_equal(waiting(&p), 1);
    change(&p);
    await(&p, i);
    assert_int_equal(waiting(&p), 0);
    assert_int_equal(stats_of(&p).refreshes_count, before + 3);
    assert_int_equal(vestry_pages_settle(p.pages, second + 1, PATIENCE_S * 1000), VESTRY_OK);
    assert_int_equal(atomic_load(&p.renders), renders + 1);
  }
  end(&p);
}

static uint32_t interest_of(const char *topic) {
  uint32_t len;
  return vsi_inbox_interest(topic, VSI_INBOX_NAME_BYTES, &len);
}

/* Pages over a database depend on so many of these that each other topic shares its count with one of them. */
/* capability: D4 */
TEST_CASE(topic_of_a_recorded_read_wakes_no_thread_for_another_topic) {
  static const char *const databases[] = {"sqlite", "postgres"};
  for (size_t i = 0; i < sizeof databases / sizeof *databases; i++) {
    place p;
    char read[40];
    unsigned number = 0;
    do snprintf(read, sizeof read, "%s/%u/%u", databases[i], 7u, number++);
    while (interest_of(read) != interest_of("nobody"));
    begin(&p, "room");
    p.read = read;
    open_tab(&p);
    assert_int_equal(vestry_pages_settle(p.pages, UINT64_MAX, PATIENCE_S * 1000), VESTRY_OK);
    UNTIL(all_sleep(&p) && !waiting(&p));
    assert_int_equal(vestry_refresh(p.pages, "nobody", NULL), VESTRY_OK);
    assert_true(all_sleep(&p));
    assert_int_equal(waiting(&p), 1);
    atomic_fetch_add(&p.number, 1);
    assert_int_equal(vestry_refresh(p.pages, read, NULL), VESTRY_OK); /* an application may do this, too */
    await(&p, 1);
    end(&p);
  }
}

/* The page names its topic for the first time in a render that has refreshed it before: no thread is woken for it, and
 * it waits in the inbox when the fragment is linked to the topic. */
/* capability: D4 */
TEST_CASE(refresh_before_the_first_link_is_not_lost) {
  for (int i = 0; i < 20; i++) {
    place p;
    begin(&p, "room");
    atomic_store(&p.changes, 2);
    open_tab(&p);
    await(&p, 2);
    end(&p);
  }
}

/* capability: D4 */
TEST_CASE(refreshes_beyond_the_room_are_numbered_and_counted) {
  place p;
  begin(&p, "room");
  open_tab(&p);
  uint64_t last = 0, seq = 0;
  assert_int_equal(vestry_refresh(p.pages, "nobody", &last), VESTRY_OK);
  const uint64_t before = stats_of(&p).refreshes_count;
  for (int i = 0; i < 10 * VSI_INBOX_ROOM; i++) {
    char topic[80];
    snprintf(topic, sizeof topic, "%0*d", 1 + i % 79, i); /* some are too long for the inbox */
    assert_int_equal(vestry_refresh(p.pages, topic, &seq), VESTRY_OK);
    assert_int_equal(seq, ++last);
    assert_true(waiting(&p) <= VSI_INBOX_ROOM);
  }
  assert_int_equal(stats_of(&p).refreshes_count, before + 10 * VSI_INBOX_ROOM);
  assert_int_equal(vestry_refresh(p.pages, "", &seq), VESTRY_INVALID);
  char *topic = calloc(1, VESTRY_PAGE_TOPIC_MAX_BYTES + 2);
  assert_non_null(topic);
  memset(topic, 'x', VESTRY_PAGE_TOPIC_MAX_BYTES + 1);
  assert_int_equal(vestry_refresh(p.pages, topic, &seq), VESTRY_TOO_LARGE);
  topic[VESTRY_PAGE_TOPIC_MAX_BYTES] = '\0';
  assert_int_equal(vestry_refresh(p.pages, topic, &seq), VESTRY_OK);
  assert_int_equal(seq, last + 1);
  free(topic);
  end(&p);
}

/* capability: D4 */
TEST_CASE(repeated_refreshes_take_one_place) {
  static const struct {
    const char *topic;
    int times;
  } rows[] = {{"nobody", 100}, {"nobod", 3}, {"nobody1", 3}, {"nobody", 1}, {"", 1}, {"other", 50}};
  place p;
  begin(&p, "room");
  uint64_t last, seq;
  assert_int_equal(vestry_refresh(p.pages, "nobody", &last), VESTRY_OK);
  const uint64_t before = stats_of(&p).refreshes_count;
  UNTIL(all_sleep(&p));
  uint32_t places = 0;
  uint64_t count = 0;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const bool is_topic = *rows[i].topic;
    for (int j = 0; j < rows[i].times; j++, count += is_topic) {
      assert_int_equal(vestry_refresh(p.pages, rows[i].topic, &seq), is_topic ? VESTRY_OK : VESTRY_INVALID);
      if (is_topic) assert_int_equal(seq, ++last);
    }
    places += is_topic;
    assert_int_equal(waiting(&p), places);
  }
  assert_int_equal(stats_of(&p).refreshes_count, before + count);
  assert_int_equal(waiting(&p), 0);
  end(&p);
}

/* capability: D4 */
TEST_CASE(topics_of_each_length_and_all_pages_are_refreshed) {
  for (size_t len = 1; len <= VSI_INBOX_NAME_BYTES + 3; len++) {
    char topic[80];
    memset(topic, 'a', len);
    topic[len] = '\0';
    place p;
    begin(&p, topic);
    open_tab(&p);
    assert_int_equal(vestry_pages_settle(p.pages, UINT64_MAX, PATIENCE_S * 1000), VESTRY_OK);
    change(&p);
    await(&p, 1);
    UNTIL(all_sleep(&p));
    atomic_fetch_add(&p.number, 1);
    assert_int_equal(vestry_refresh(p.pages, NULL, NULL), VESTRY_OK);
    await(&p, 2);
    end(&p);
  }
}

typedef struct crowd {
  place *p;
  _Atomic(uint64_t) sum;
} crowd;

enum { CROWD = 4, TIMES = 2000 };

static void *refresh_often(void *of) {
  crowd *c = of;
  uint64_t last = 0, seq = 0;
  for (int i = 0; i < TIMES; i++) {
    atomic_fetch_add(&c->p->number, 1);
    (void)vestry_refresh(c->p->pages, i % 3 ? "room" : "nobody", &seq);
    if (seq <= last) return of; /* they do not ascend */
    last = seq;
    atomic_fetch_add(&c->sum, seq);
  }
  (void)vestry_refresh(c->p->pages, "room", &seq);
  atomic_fetch_add(&c->sum, seq);
  return NULL;
}

/* capability: D4 */
TEST_CASE(refreshes_of_many_threads_have_different_numbers) {
  place p;
  begin(&p, "room");
  open_tab(&p);
  uint64_t first;
  assert_int_equal(vestry_refresh(p.pages, "nobody", &first), VESTRY_OK);
  const uint64_t before = stats_of(&p).refreshes_count, count = CROWD * (TIMES + 1);
  pthread_t threads[CROWD];
  crowd c = {.p = &p};
  void *failed = NULL;
  for (int i = 0; i < CROWD; i++) assert_int_equal(pthread_create(&threads[i], NULL, refresh_often, &c), 0);
  for (int i = 0; i < CROWD; i++) {
    void *said;
    pthread_join(threads[i], &said);
    if (said) failed = said;
  }
  assert_null(failed);
  await(&p, CROWD * TIMES);
  assert_int_equal(stats_of(&p).refreshes_count, before + count);
  assert_int_equal(atomic_load(&c.sum), count * first + count * (count + 1) / 2); /* all numbers after the first */
  end(&p);
}

/* Whoever observes or receives refreshes gets each. */
static void count_one(bool is_report, const char *topic, size_t len, void *ctx) {
  assert_true(!is_report && len == 4 && memcmp(topic, "room", 4) == 0);
  atomic_fetch_add((_Atomic(int) *)ctx, 1);
}

/* capability: D4, H2 */
TEST_CASE(refreshes_are_forwarded_and_timed) {
  place p;
  _Atomic(int) forwarded = 0;
  vsi_group_stats stats;
  begin(&p, "room");
  open_tab(&p);
  assert_int_equal(vestry_pages_settle(p.pages, UINT64_MAX, PATIENCE_S * 1000), VESTRY_OK);
  vsi_pages_set_refreshed(p.pages, count_one, &forwarded);
  change(&p);
  assert_int_equal(atomic_load(&forwarded), 1);
  await(&p, 1);
  vsi_pages_set_refreshed(p.pages, NULL, NULL);
  vsi_group_observe(p.v->group, true);
  for (int i = 2; i < 6; i++) {
    UNTIL(all_sleep(&p));
    change(&p);
    await(&p, i);
    vsi_group_stats_get(p.v->group, &stats);
    UNTIL((vsi_group_stats_get(p.v->group, &stats), stats.changes.count == (uint64_t)i - 1));
  }
  assert_int_equal(atomic_load(&forwarded), 1);
  vsi_group_observe(p.v->group, false);
  end(&p);
}
