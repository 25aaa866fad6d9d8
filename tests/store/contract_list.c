/* SPDX-License-Identifier: MIT */
/* The contract of listing (A6). */
#include <stdlib.h>

#include "store/contract.h"

static world w;

typedef struct listing {
  size_t named[512]; /* by the integer in the key: ["k",number] */
  size_t values[512];
  size_t total, in_page, pages;
  void (*then)(struct listing *l, size_t number); /* called for each listed key */
} listing;

static size_t number_of(const vestry_listed *listed) {
  char text[64];
  assert_int_equal(vestry_key_format(listed->key, listed->key_len, text, sizeof text, NULL), VESTRY_OK);
  assert_memory_equal(text, "[\"k\",", 5);
  size_t number = strtoul(text + 5, NULL, 10);
  assert_true(number < 512);
  return number;
}

static void on_listed(const vestry_listed *listed, void *ctx) {
  listing *l = ctx;
  size_t number = number_of(listed);
  l->named[number]++;
  l->values[number] = listed->values_count;
  l->total++;
  l->in_page++;
  if (l->then) l->then(l, number);
}

static void list_all(listing *l, const vestry_scope *scope, size_t page_count) {
  for (vestry_list_cursor cursor = {0}; !cursor.done; l->pages++) {
    l->in_page = 0;
    assert_int_equal(vestry_store_list(w.store, scope, page_count, &cursor, on_listed, l), VESTRY_OK);
    assert_true(l->in_page <= page_count || page_count == 0);
    assert_true(l->pages < 2000);
  }
}

static void fill(size_t from, size_t to, const char *scope) {
  for (size_t i = from; i < to; i++)
    assert_int_equal(world_put(&w, scope, VESTRY_KEY("k", i), &w.values[0], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
}

/* capability: A1, A6 */
static void list_names_every_key_once(void **state) {
  world_open(&w, *state, NULL);
  world_value(&w);
  listing empty = {0};
  list_all(&empty, NULL, 10);
  assert_int_equal(empty.total, 0);
  fill(0, 200, "s");
  fill(200, 250, "t");
  assert_int_equal(world_put(&w, "s", VESTRY_KEY("k", 7), world_value(&w), VESTRY_KEEP_MANY, 0, NULL), VESTRY_OK);
  static const size_t pages[] = {1, 7, 64, 0, 100000};
  for (size_t p = 0; p < sizeof pages / sizeof *pages; p++) {
    listing all = {0};
    list_all(&all, NULL, pages[p]);
    assert_int_equal(all.total, 250);
    for (size_t i = 0; i < 250; i++) {
      assert_int_equal(all.named[i], 1);
      assert_int_equal(all.values[i], i == 7 ? 2 : 1);
    }
    listing scoped = {0};
    vestry_scope t = world_scope("t");
    list_all(&scoped, &t, pages[p]);
    assert_int_equal(scoped.total, 50);
    for (size_t i = 200; i < 250; i++) assert_int_equal(scoped.named[i], 1);
  }
  vestry_list_cursor done = {.done = true};
  listing none = {0};
  assert_int_equal(vestry_store_list(w.store, NULL, 0, &done, on_listed, &none), VESTRY_OK);
  assert_int_equal(none.total, 0);
  world_end(&w);
}

static void remove_number(size_t number) {
  const vestry_key *key = VESTRY_KEY("k", number);
  vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_REMOVED, NULL);
}

/* Keys 0–199 exist all the time; 200–299 are removed and put again during the listing. */
static void stir(listing *l, size_t number) {
  size_t at = 200 + l->total % 100;
  remove_number(at);
  if (l->total % 3) fill(at, at + 1, "s");
  if (l->total % 5 == 0) fill(300 + l->total % 100, 301 + l->total % 100, "s");
}

/* capability: A6 */
static void list_during_changes_names_each_stable_key_once(void **state) {
  for (size_t page_count = 1; page_count < 40; page_count += 6) {
    world_open(&w, *state, NULL);
    world_value(&w);
    fill(250, 300, "s"); /* some of the changing keys before, some after */
    fill(0, 200, "s");
    fill(200, 250, "s");
    listing l = {.then = stir};
    list_all(&l, NULL, page_count);
    for (size_t i = 0; i < 200; i++) assert_int_equal(l.named[i], 1);
    for (size_t i = 200; i < 512; i++) assert_in_range(l.named[i], 0, 1);
    world_end(&w);
  }
}

static void renew(listing *l, size_t number) {
  remove_number(number);
  fill(number, number + 1, "s");
}

static void put_another(listing *l, size_t number) {
  fill(10 + l->total % 500, 11 + l->total % 500, "s");
}

/* capability: A6 */
static void list_ends_despite_continuous_puts(void **state) {
  world_open(&w, *state, NULL);
  world_value(&w);
  fill(0, 50, "s");
  listing l = {.then = renew}; /* each key is removed and put again as soon as it was listed */
  list_all(&l, NULL, 5);
  assert_int_equal(l.total, 50);
  listing more = {.then = put_another};
  list_all(&more, NULL, 1);
  assert_in_range(more.total, 50, 511);
  world_end(&w);
}

static void list_page_without_memory_can_be_repeated(void **state) {
  world_open(&w, *state, NULL);
  world_value(&w);
  fill(0, 30, "s");
  listing l = {0};
  vestry_list_cursor cursor = {0};
  assert_int_equal(vestry_store_list(w.store, NULL, 10, &cursor, on_listed, &l), VESTRY_OK);
  assert_int_equal(l.total, 10);
  vestry_list_cursor before = cursor;
  test_host_fail_in(w.th, 0);
  assert_int_equal(vestry_store_list(w.store, NULL, 10, &cursor, on_listed, &l), VESTRY_NO_MEMORY);
  assert_int_equal(l.total, 10);
  assert_memory_equal(&before, &cursor, sizeof cursor);
  while (!cursor.done) assert_int_equal(vestry_store_list(w.store, NULL, 10, &cursor, on_listed, &l), VESTRY_OK);
  for (size_t i = 0; i < 30; i++) assert_int_equal(l.named[i], 1);
  world_end(&w);
}

#define TEST(function) cmocka_unit_test_prestate(function, (void *)kind)

int store_contract_run_listing(const store_kind *kind) {
  const struct CMUnitTest tests[] = {
      TEST(list_names_every_key_once),
      TEST(list_during_changes_names_each_stable_key_once),
      TEST(list_ends_despite_continuous_puts),
      TEST(list_page_without_memory_can_be_repeated),
  };
  return cmocka_run_group_tests_name(kind->type, tests, NULL, NULL);
}
