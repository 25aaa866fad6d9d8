/* SPDX-License-Identifier: MIT */
#include "data/postgres/ears.h"

#include "base/wait.h"
#include "support/test.h"
#include "support/test_host.h"

enum { TABLE = 16400, FILE_NUMBER = 16500 };

static test_host th;
static vsi_postgres_pool pool; /* of which only the ears are used */
static vsi_postgres_ear ear;

static int set_up(void **state) {
  (void)state;
  test_host_init(&th);
  memset(&pool, 0, sizeof pool);
  memset(&ear, 0, sizeof ear);
  vsi_mutex_init(&pool.lock, VSI_LOCK_POSTGRES_POOL);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  vsi_postgres_ear_close(&pool.is, &ear);
  vsi_postgres_ear_close(&pool.is, &ear);
  vsi_mutex_finish(&pool.lock);
  test_host_assert_clean(&th);
  return 0;
}

/* Whether it has heard something since it was asked last. */
static bool has_heard(void) {
  return vsi_postgres_ear_wait(&pool.is, &ear, 0);
}

/* A commit of one key can be seen; returns whether it was waited for. */
static bool tell(vsi_postgres_kind kind, uint32_t relation) {
  vsi_postgres_keys keys = {.count = 0};
  const vsi_postgres_key key = {.relation = relation, .kind = (uint16_t)kind};
  assert_int_equal(vsi_postgres_keys_add(&keys, &th.host, key), VESTRY_OK);
  const bool is_wanted = vsi_postgres_ears_want(&pool, &keys);
  vsi_postgres_ears_tell(&pool, &keys);
  vsi_postgres_keys_clear(&keys, &th.host);
  return is_wanted;
}

/* An ear that knows its table, while commits are followed. */
static void begin(void) {
  vsi_postgres_ear_open(&pool.is, &ear);
  vsi_postgres_ears_follow(&pool, true);
  assert_false(vsi_postgres_ear_know(&pool.is, &ear, TABLE, FILE_NUMBER));
  assert_true(vsi_postgres_ear_know(&pool.is, &ear, TABLE, FILE_NUMBER));
  (void)has_heard();
}

static void nothing_is_heard_where_nothing_can_be(void **state) {
  (void)state;
  assert_false(vsi_postgres_ear_know(&pool.is, &ear, TABLE, FILE_NUMBER));
  assert_false(vsi_postgres_ear_listen(&pool.is, &ear)); /* closed */
  vsi_postgres_ear_open(&pool.is, &ear);
  assert_false(vsi_postgres_ear_listen(&pool.is, &ear)); /* its table is not known */
  assert_false(vsi_postgres_ear_know(&pool.is, &ear, TABLE, FILE_NUMBER));
  assert_false(vsi_postgres_ear_listen(&pool.is, &ear)); /* nothing follows */
  vsi_postgres_ears_follow(&pool, true);
  assert_true(vsi_postgres_ear_listen(&pool.is, &ear));
  vsi_postgres_ears_follow(&pool, false);
  assert_false(vsi_postgres_ear_listen(&pool.is, &ear));
}

static void it_hears_what_is_of_its_table_once(void **state) {
  (void)state;
  static const struct {
    vsi_postgres_kind kind;
    uint32_t relation;
    bool is_meant;
  } cases[] = {{VSI_POSTGRES_TABLE, FILE_NUMBER, true},      {VSI_POSTGRES_FILE, FILE_NUMBER, true},
               {VSI_POSTGRES_DEFINITION, TABLE, true},       {VSI_POSTGRES_TABLE, TABLE, false},
               {VSI_POSTGRES_TABLE, FILE_NUMBER + 1, false}, {VSI_POSTGRES_LEAF, FILE_NUMBER, false}};
  begin();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_true(vsi_postgres_ear_listen(&pool.is, &ear));
    assert_int_equal(tell(cases[i].kind, cases[i].relation), cases[i].is_meant);
    assert_int_equal(has_heard(), cases[i].is_meant);
    assert_false(has_heard());
    if (cases[i].is_meant) assert_false(tell(cases[i].kind, cases[i].relation)); /* until it listens again */
    assert_false(has_heard());
  }
  assert_true(vsi_postgres_ear_listen(&pool.is, &ear));
  assert_true(vsi_postgres_ears_want(&pool, NULL));
  vsi_postgres_ears_tell(&pool, NULL); /* anything */
  assert_true(has_heard());
}

static void that_following_begins_or_ends_is_heard(void **state) {
  (void)state;
  begin();
  assert_true(vsi_postgres_ear_listen(&pool.is, &ear));
  vsi_postgres_ears_follow(&pool, false);
  assert_true(has_heard());
  vsi_postgres_ears_follow(&pool, true);
  assert_true(has_heard());
}

static void an_ear_that_is_roused_waits_no_more(void **state) {
  (void)state;
  begin();
  vsi_postgres_ear_rouse(&pool.is, &ear);
  assert_false(vsi_postgres_ear_wait(&pool.is, &ear, vsi_monotonic_in_ms(UINT64_C(86400000))));
  assert_true(vsi_postgres_ear_listen(&pool.is, &ear));
  assert_true(tell(VSI_POSTGRES_TABLE, FILE_NUMBER));
  assert_true(vsi_postgres_ear_wait(&pool.is, &ear, vsi_monotonic_in_ms(UINT64_C(86400000))));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(nothing_is_heard_where_nothing_can_be),
      TEST(it_hears_what_is_of_its_table_once),
      TEST(that_following_begins_or_ends_is_heard),
      TEST(an_ear_that_is_roused_waits_no_more),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
