/* SPDX-License-Identifier: MIT */
/* Renders of one commit share a read: which statements, which results, and that pages show the same as without it. */
#include "data/postgres/answers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "data/postgres/index.h"
#include "postgres/shown.h"
#include "support/asleep.h"
#include "support/until.h"

/* ------------------------------------------------------------------------------------------------ questions ------- */

static void only_reads_that_depend_on_rows_are_shared(void **state) {
  static const struct {
    const char *sql;
    bool is_shared;
  } rows[] = {
      {"SELECT 1", true},
      {"  select id, body FROM message WHERE channel = $1 ORDER BY id DESC LIMIT 50", true},
      {"SELECT count(*), max(e.id) FROM event e WHERE e.id IN (1, 2) AND (e.name = 'it''s (random())')", true},
      {"SELECT \"my id\", coalesce(lower(name), '') FROM t WHERE EXISTS (SELECT 1 FROM u)", true},
      {"SELECT row_number() OVER (ORDER BY id) FROM t", true},
      {"SELECT random()", false},
      {"SELECT RANDOM ()", false},
      {"SELECT id FROM t ORDER BY gen_random_uuid()", false},
      {"SELECT id FROM t ORDER BY \"random\"()", false},
      {"SELECT own.count(id) FROM t", false},
      {"SELECT \"own\".\"f\"(1)", false},
      {"SELECT nextval('s')", false},
      {"SELECT random/**/()", false},
      {"SELECT random--\n()", false},
      {"SELECT E'\\'', random()", false},
      {"SELECT $$a$$", false},
      {"SELECT id FROM t; SELECT 2", false},
      {"SELECT id FROM t FOR UPDATE", false},
      {"SELECT id INTO u FROM t", false},
      {"SELECT id FROM t TABLESAMPLE system (10)", false},
      {"SELECT 1 OPERATOR(own.+) 2", false},
      {"WITH a AS (DELETE FROM t RETURNING id) SELECT id FROM a", false},
      {"INSERT INTO t VALUES(1) RETURNING id", false},
      {"VALUES (1)", false},
      {"SELECT 'no end", false},
      {"(SELECT 1)", false},
      {"", false},
  };
  vsi_postgres_question question;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (vsi_postgres_question_write(&question, rows[i].sql, NULL) != rows[i].is_shared) fail_msg("%s", rows[i].sql);
}

static vsi_postgres_question question_of(const char *sql, vestry_value value) {
  vsi_postgres_question question;
  assert_true(vsi_postgres_question_write(&question, sql, VESTRY_LIST(value)));
  return question;
}

static bool are_equal(vsi_postgres_question one, vsi_postgres_question other) {
  return one.hash == other.hash && one.len == other.len && memcmp(one.bytes, other.bytes, one.len) == 0;
}

static void questions_are_equal_only_with_equal_values(void **state) {
  static const char sql[] = "SELECT 1 FROM t WHERE id = $1";
  char long_text[VSI_POSTGRES_QUESTION_BYTES];
  const vestry_value values[] = {vestry_value_null(),         vestry_value_integer(0),  vestry_value_integer(1),
                                 vestry_value_boolean(false), vestry_value_number(0),   vestry_value_string(""),
                                 vestry_value_string("1"),    vestry_value_number(1.5), vestry_value_boolean(true)};
  const size_t count = sizeof values / sizeof *values;
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < count; j++)
      assert_int_equal(are_equal(question_of(sql, values[i]), question_of(sql, values[j])), i == j);
  memset(long_text, 'x', sizeof long_text - 1);
  long_text[sizeof long_text - 1] = '\0';
  vsi_postgres_question question;
  assert_false(vsi_postgres_question_write(&question, sql, VESTRY_LIST(vestry_value_string(long_text))));
  assert_false(vsi_postgres_question_write(&question, sql, VESTRY_LIST(vestry_value_bytes("a", 1))));
  assert_false(vsi_postgres_question_write(&question, sql, VESTRY_LIST(vestry_value_string(NULL))));
}

/* -------------------------------------------------------------------------------------------------- answers ------- */

static vsi_postgres_answer *answer_of(const vestry_host *host, int64_t id, uint64_t seq) {
  const vsi_postgres_question question = question_of("SELECT 1 FROM t WHERE id = $1", vestry_value_integer(id));
  vsi_postgres_answer *answer = vsi_postgres_answer_create(host, &question, seq);
  if (answer) answer->result = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
  return answer;
}

static vsi_postgres_answer *find(const vsi_postgres_answers *answers, int64_t id, uint64_t seq) {
  const vsi_postgres_question question = question_of("SELECT 1 FROM t WHERE id = $1", vestry_value_integer(id));
  return vsi_postgres_answers_find(answers, &question, seq);
}

static void put(vsi_postgres_answers *answers, int64_t id, uint64_t seq, uint64_t number) {
  vsi_postgres_answer *answer = answer_of(answers->host, id, seq);
  assert_non_null(answer);
  vsi_postgres_answers_put(answers, answer, number);
  vsi_postgres_answer_unref(answer);
}

/* A fragment that was refreshed after the read began must not show it. */
static void answer_is_found_until_its_set_ends_or_a_later_refresh(void **state) {
  test_host th;
  test_host_init(&th);
  vsi_postgres_answers answers = {.host = &th.host};
  TAILQ_INIT(&answers.line);
  put(&answers, 7, 100, 1);
  put(&answers, 8, 100, 2);
  assert_int_equal(find(&answers, 7, 100)->number, 1);
  assert_int_equal(find(&answers, 7, 50)->number, 1);
  assert_null(find(&answers, 7, 101));
  assert_null(find(&answers, 9, 100));
  put(&answers, 7, 200, 3); /* replaces the former one */
  assert_int_equal(find(&answers, 7, 101)->number, 3);
  vsi_postgres_answers_end(&answers, 1);
  assert_int_equal(find(&answers, 7, 101)->number, 3);
  vsi_postgres_answers_end(&answers, 3);
  assert_null(find(&answers, 7, 1));
  assert_int_equal(find(&answers, 8, 100)->number, 2);
  find(&answers, 8, 100)->at_ns -= (VSI_POSTGRES_SHARED_MS + UINT64_C(1)) * 1000000;
  assert_null(find(&answers, 8, 100)); /* too old */
  vsi_postgres_answers_finish(&answers);
  test_host_assert_clean(&th);
}

static void answers_are_bounded(void **state) {
  test_host th;
  test_host_init(&th);
  vsi_postgres_answers answers = {.host = &th.host};
  TAILQ_INIT(&answers.line);
  for (int i = 1; i <= 300; i++) put(&answers, i, 1, (uint64_t)i);
  assert_null(find(&answers, 300 - 256, 1));
  for (int i = 300 - 255; i <= 300; i++) assert_non_null(find(&answers, i, 1));
  vsi_postgres_answer *large = answer_of(&th.host, 1, 1);
  char name[] = "x";
  PGresAttDesc column = {.name = name};
  char text[VSI_POSTGRES_ANSWER_BYTES];
  memset(text, 'x', sizeof text);
  assert_true(PQsetResultAttrs(large->result, 1, &column));
  assert_true(PQsetvalue(large->result, 0, 0, text, sizeof text));
  vsi_postgres_answers_put(&answers, large, 301);
  vsi_postgres_answer_unref(large);
  assert_null(find(&answers, 1, 1));
  vsi_postgres_answers_finish(&answers);
  test_host_assert_clean(&th);
}

static vestry_err put_without_memory(test_host *th, void *ctx) {
  vsi_postgres_answers answers = {.host = &th->host};
  TAILQ_INIT(&answers.line);
  vsi_postgres_answer *answer = answer_of(&th->host, 1, 1);
  if (answer) vsi_postgres_answers_put(&answers, answer, 1);
  vsi_postgres_answer_unref(answer);
  const bool is_there = find(&answers, 1, 1) != NULL;
  vsi_postgres_answers_finish(&answers);
  return is_there ? VESTRY_OK : VESTRY_NO_MEMORY;
}

static void answer_without_memory_is_not_shared(void **state) {
  test_host th;
  test_host_init(&th);
  test_host_fail_each(put_without_memory, NULL, false);
}

/* -------------------------------------------------------------------------------------------------- waiting ------- */

static void hit_nothing(void *ctx, vsi_postgres_hit *hits, size_t count) {
  (void)ctx;
  for (size_t i = 0; i < count; i++) hits[i].is_used = true;
}

static bool is_always_used(void *ctx, uint64_t number) {
  (void)ctx, (void)number;
  return true;
}

static vsi_postgres_index *open_index(const vestry_host *host) {
  vsi_postgres_index *index = NULL;
  const vsi_postgres_index_options options = {.host = host,
                                              .max_bytes = 1 << 20,
                                              .max_ring = 16,
                                              .hit = hit_nothing,
                                              .is_used = is_always_used,
                                              .await_ms = PATIENCE_S * 1000};
  assert_int_equal(vsi_postgres_index_create(&options, &index), VESTRY_OK);
  return index;
}

/* A render whose only read is the same for all. */
typedef struct reader {
  vsi_postgres_index *index;
  uint64_t refreshed_seq, started_seq;
  vsi_postgres_ticket ticket;
  uint64_t named; /* the set of the render whose result it shows; 0: it reads by itself */
  atomic_int thread;
} reader;

static reader reader_of(vsi_postgres_index *index, uint64_t seq) {
  return (reader){.index = index, .refreshed_seq = seq, .started_seq = seq};
}

static void name_it(void *ctx, uint64_t number) {
  ((reader *)ctx)->named = number;
}

static void *begin_reading(void *ctx) {
  reader *is = ctx;
  const vsi_postgres_question question = question_of("SELECT 1 FROM t WHERE id = $1", vestry_value_integer(1));
  is->named = 0;
  is->thread = gettid();
  vsi_postgres_index_begin(is->index, &is->ticket);
  vsi_postgres_answer_unref(vsi_postgres_index_share(
      is->index, &is->ticket, &(vsi_postgres_first_read){&question, is->refreshed_seq, is->started_seq, name_it, is}));
  return NULL;
}

static void end_alone(reader *is) {
  vsi_postgres_index_keep_alone(is->index, &is->ticket);
  vsi_postgres_index_leave(is->index, &is->ticket);
}

static uint64_t end_and_share(reader *is, const vestry_host *host) {
  vsi_postgres_keys keys = {.count = 0};
  vsi_postgres_snapshot snapshot;
  const uint64_t number = vsi_postgres_index_number(is->index);
  assert_int_equal(
      vsi_postgres_keys_add(&keys, host,
                            (vsi_postgres_key){.relation = 16400, .block = 1, .offset = 1, .kind = VSI_POSTGRES_ROW}),
      VESTRY_OK);
  assert_int_equal(vsi_postgres_snapshot_read(&snapshot, host, "100:100:"), VESTRY_OK);
  assert_int_equal(vsi_postgres_index_enter(is->index, &is->ticket, number, &keys, &snapshot, true),
                   VSI_POSTGRES_ENTERED);
  vsi_postgres_index_keep_alone(is->index, &is->ticket);
  return number;
}

/* Begin to read on another thread, and wait until it waits. */
static pthread_t begin_waiting(reader *is) {
  pthread_t thread;
  is->thread = 0;
  assert_int_equal(pthread_create(&thread, NULL, begin_reading, is), 0);
  UNTIL(is_asleep(is->thread));
  return thread;
}

static void render_waits_for_a_read_under_way(void **state) {
  test_host th;
  test_host_init(&th);
  vsi_postgres_index *index = open_index(&th.host);
  reader first = reader_of(index, 1), second = reader_of(index, 1);
  begin_reading(&first);
  begin_reading(&second); /* does not wait: it is not known yet that the result can be shared */
  assert_int_equal(second.named, 0);
  end_alone(&second);
  uint64_t number = end_and_share(&first, &th.host);
  begin_reading(&second);
  assert_int_equal(second.named, number);
  end_alone(&second);

  first.refreshed_seq = first.started_seq = second.refreshed_seq = 2;
  begin_reading(&first);
  pthread_t thread = begin_waiting(&second);
  number = end_and_share(&first, &th.host);
  pthread_join(thread, NULL);
  assert_int_equal(second.named, number);
  end_alone(&second);

  first.refreshed_seq = first.started_seq = 3;
  second.refreshed_seq = second.started_seq = 4;
  begin_reading(&first);
  begin_reading(&second); /* does not wait: it was refreshed after the first one had begun */
  assert_int_equal(second.named, 0);
  end_alone(&second);
  end_alone(&first);
  vsi_postgres_index_destroy(index);
  test_host_assert_clean(&th);
}

static void render_reads_itself_if_the_other_one_keeps_its_read(void **state) {
  test_host th;
  test_host_init(&th);
  vsi_postgres_index *index = open_index(&th.host);
  reader first = reader_of(index, 1), second = reader_of(index, 2);
  begin_reading(&first);
  (void)end_and_share(&first, &th.host);
  first.refreshed_seq = first.started_seq = 2;
  begin_reading(&first);
  const pthread_t thread = begin_waiting(&second);
  vsi_postgres_index_keep_alone(index, &first.ticket); /* its transaction continues */
  pthread_join(thread, NULL);
  assert_int_equal(second.named, 0);
  assert_non_null(second.ticket.answer);
  vsi_postgres_index_leave(index, &first.ticket);
  begin_reading(&first); /* does not wait for a statement whose last result could not be shared */
  end_alone(&first);
  end_alone(&second);
  vsi_postgres_index_destroy(index);
  test_host_assert_clean(&th);
}

/* ---------------------------------------------------------------------------------------------------- pages ------- */

enum { TABS = 8 };
static const char schema[] =
    "CREATE TABLE item(id int PRIMARY KEY, n int); INSERT INTO item SELECT i, 0 FROM"
    " generate_series(0, 3999) i; CREATE VIEW drawn AS SELECT n, random() FROM item WHERE id = 1;"
    " ANALYZE";
static const char one_row[] = "SELECT n FROM item WHERE id = 1";

static void open_tabs(shown_site *s, const char *sql) {
  for (int i = 0; i < TABS; i++) (void)shown_watch(s, sql, NULL);
}

/* capability: M1 */
static void renders_of_one_commit_share_a_read(void **state) {
  shown_site s;
  char sql[80], wanted[20];
  shown_open(&s, schema, NULL);
  open_tabs(&s, one_row);
  for (int round = 1; round <= 5; round++) {
    const vestry_postgres_stats before = shown_stats(&s);
    snprintf(sql, sizeof sql, "UPDATE item SET n = %d WHERE id = 1", round);
    snprintf(wanted, sizeof wanted, "%d ", round);
    shown_run(&s, sql);
    for (size_t i = 0; i < TABS; i++) assert_int_equal(shown_renders(&s, i), 1);
    for (size_t i = 0; i < TABS; i++) assert_string_equal(s.all[i].text, wanted);
    const vestry_postgres_stats after = shown_stats(&s);
    assert_int_equal(after.recorded_count - before.recorded_count, 1);
    assert_int_equal(after.shared_count - before.shared_count, TABS - 1);
    shown_run(&s, "UPDATE item SET n = 1 WHERE id = 2");
    for (size_t i = 0; i < TABS; i++) assert_int_equal(shown_renders(&s, i), 0);
  }
  shown_close(&s);
}

/* The tab whose render has read closes. The others still depend on its read. */
static void read_stays_followed_without_its_page(void **state) {
  shown_site s;
  shown_open(&s, schema, NULL);
  open_tabs(&s, one_row);
  shown_run(&s, "UPDATE item SET n = 1 WHERE id = 1");
  shown_settle(&s);
  for (size_t i = 0; i < TABS; i++) {
    vestry_memory_destroy(s.all[i].stream);
    s.all[i].stream = NULL;
    site_settle_pages(&s.on);
    for (size_t j = 0; j < TABS; j++) s.all[j].renders = 0;
    shown_run(&s, "UPDATE item SET n = n + 1 WHERE id = 1");
    shown_settle(&s);
    for (size_t j = i + 1; j < TABS; j++) assert_int_equal(s.all[j].renders, 1);
  }
  shown_close(&s);
}

/* One page reads what the others read, and then more: its snapshot is always one. */
static void page_that_reads_more_shares_nothing(void **state) {
  shown_site s;
  char sql[120], wanted[20];
  shown_open(&s, schema, NULL);
  open_tabs(&s, one_row);
  const size_t two = shown_watch(&s, one_row, "SELECT n FROM item WHERE id = 2");
  for (int round = 1; round <= 4; round++) {
    snprintf(sql, sizeof sql, "UPDATE item SET n = %d WHERE id IN (1, 2)", round);
    snprintf(wanted, sizeof wanted, "%d %d ", round, round);
    shown_run(&s, sql);
    const unsigned renders = shown_renders(&s, two);
    assert_true(round == 1 ? renders <= 2 : renders == 1); /* the first time, it may run again */
    assert_string_equal(s.all[two].text, wanted);
  }
  shown_close(&s);
}

static void count_shared(const char *sql, const vestry_postgres_options *options, uint64_t wanted) {
  shown_site s;
  shown_open(&s, schema, options);
  open_tabs(&s, sql);
  shown_run(&s, "UPDATE item SET n = 1 WHERE id = 1");
  for (size_t i = 0; i < TABS; i++) assert_int_equal(shown_renders(&s, i), 1);
  assert_int_equal(shown_stats(&s).shared_count, wanted);
  shown_close(&s);
}

static void results_of_chance_and_of_views_are_not_shared(void **state) {
  const vestry_postgres_options alone = {.shares_no_reads = true}, tables = {.level = VESTRY_POSTGRES_TABLES};
  count_shared(one_row, NULL, TABS - 1);
  count_shared(one_row, &tables, TABS - 1);
  count_shared(one_row, &alone, 0);
  count_shared("SELECT n FROM drawn", NULL, 0);
  count_shared("SELECT n, random() FROM item WHERE id = 1", NULL, 0);
}

/* Each tab is refreshed by its own topic after a commit, and must show it, although a result of before is there. */
static void refresh_after_a_commit_shows_it(void **state) {
  shown_site s;
  char sql[80], wanted[20];
  shown_open(&s, schema, NULL);
  for (int i = 0; i < TABS; i++) (void)shown_watch_as(&s, one_row, SHOWN_READS, true);
  for (int round = 1; round <= 20; round++) {
    snprintf(sql, sizeof sql, "UPDATE item SET n = %d WHERE id = 1", round);
    snprintf(wanted, sizeof wanted, "%d ", round);
    shown_run(&s, sql);
    assert_int_equal(vestry_refresh(s.on.pages, "own", NULL), VESTRY_OK);
    site_settle_pages(&s.on);
    for (size_t i = 0; i < TABS; i++) assert_string_equal(s.all[i].text, wanted);
  }
  shown_close(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(only_reads_that_depend_on_rows_are_shared),
      cmocka_unit_test(questions_are_equal_only_with_equal_values),
      cmocka_unit_test(answer_is_found_until_its_set_ends_or_a_later_refresh),
      cmocka_unit_test(answers_are_bounded),
      cmocka_unit_test(answer_without_memory_is_not_shared),
      cmocka_unit_test(render_waits_for_a_read_under_way),
      cmocka_unit_test(render_reads_itself_if_the_other_one_keeps_its_read),
      cmocka_unit_test(renders_of_one_commit_share_a_read),
      cmocka_unit_test(read_stays_followed_without_its_page),
      cmocka_unit_test(page_that_reads_more_shares_nothing),
      cmocka_unit_test(results_of_chance_and_of_views_are_not_shared),
      cmocka_unit_test(refresh_after_a_commit_shows_it),
  };
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cmocka_run_group_tests(tests, shop_open_server, shop_close_server);
}
