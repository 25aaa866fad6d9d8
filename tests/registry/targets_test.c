/* SPDX-License-Identifier: MIT */
/* Lists of connections: inside the struct, allocated, and found by key. */
#include "registry/context.h"

#include "serve/wire.h"
#include "store/store.h"
#include "vestry/dispatch.h"

enum { MOST = 70 };

/* A site with `count` connections under ("room", "a"). */
static void fill(site *w, wire *wires, size_t count) {
  site_begin(w, (vestry_options){0});
  for (size_t i = 0; i < count; i++) {
    wires[i] = (wire){0};
    wire_plan(w, &wires[i], &(plan){.key = "a", .keep = true, .policy = VESTRY_KEEP_MANY, .many_count = MOST});
  }
}

static void empty(site *w, wire *wires, size_t count) {
  site_close(w);
  for (size_t i = 0; i < count; i++) wire_finish(&wires[i]);
  test_host_assert_clean(&w->th);
}

static vestry_err find(site *w, vsi_targets *targets, uint32_t *count) {
  vestry_store *store = vestry_parts_of(w->v)->store;
  vsi_scoped_key key;
  assert_int_equal(vsi_store_pack(store, &key, NOWHERE, ROOM("a")), VESTRY_OK);
  vestry_err error = vsi_targets_find(targets, store, key.key);
  if (count) assert_int_equal(vsi_targets_count(store, key.key, count), error);
  vsi_scoped_key_finish(&key);
  return error;
}

TEST_CASE(find_returns_all_connections_of_a_key) {
  static const size_t counts[] = {1, 7, 8, 9, 31, 32, 33, MOST};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    site w;
    wire wires[MOST];
    fill(&w, wires, counts[i]);
    vsi_targets targets;
    vsi_targets_init(&targets, &w.th.host);
    uint32_t count = 99;
    assert_int_equal(find(&w, &targets, &count), VESTRY_OK);
    assert_int_equal(targets.count, counts[i]);
    assert_int_equal(count, counts[i]);
    for (size_t j = 0; j < counts[i]; j++) assert_ptr_equal(targets.items[j], wires[j].connection); /* oldest first */
    assert_int_equal(targets.items == targets.few, counts[i] <= VSI_TARGETS_INLINE);
    vsi_targets_finish(&targets);
    empty(&w, wires, counts[i]);
  }
}

/* The usual case, one connection under a key, needs no allocation. */
TEST_CASE(find_of_one_connection_allocates_nothing) {
  site w;
  wire wires[1];
  fill(&w, wires, 1);
  long before = atomic_load(&w.th.allocations);
  vsi_targets targets;
  vsi_targets_init(&targets, &w.th.host);
  assert_int_equal(find(&w, &targets, NULL), VESTRY_OK);
  vsi_targets_finish(&targets);
  assert_int_equal(atomic_load(&w.th.allocations), before);
  empty(&w, wires, 1);
}

TEST_CASE(closed_connections_are_skipped) {
  site w;
  wire wires[12];
  fill(&w, wires, 12);
  for (size_t i = 0; i < 12; i += 3) vestry_connection_close(wires[i].connection, VESTRY_CAUSE_HANGUP);
  vsi_targets targets;
  vsi_targets_init(&targets, &w.th.host);
  uint32_t count = 0;
  assert_int_equal(find(&w, &targets, &count), VESTRY_OK);
  assert_int_equal(targets.count, 8);
  assert_int_equal(count, 8);
  vestry_connection_close(wires[1].connection, VESTRY_CAUSE_HANGUP);
  vestry_connection_close(wires[11].connection, VESTRY_CAUSE_HANGUP);
  vsi_targets_prune(&targets);
  assert_int_equal(targets.count, 6);
  assert_ptr_equal(targets.items[0], wires[2].connection);
  assert_ptr_equal(targets.items[5], wires[10].connection);
  vsi_targets_clear(&targets);
  for (size_t i = 0; i < 12; i++) vestry_connection_close(wires[i].connection, VESTRY_CAUSE_HANGUP);
  assert_int_equal(find(&w, &targets, &count), VESTRY_NOT_FOUND);
  assert_int_equal(count, 0);
  site_settle(&w);
  assert_int_equal(find(&w, &targets, &count), VESTRY_NOT_FOUND);
  vsi_targets_finish(&targets);
  empty(&w, wires, 12);
}

/* An effect may be reading them. */
/* capability: C12 */
TEST_CASE(list_that_grows_keeps_its_former_items) {
  site w;
  wire wires[9];
  fill(&w, wires, 9);
  vsi_targets targets;
  vsi_targets_init(&targets, &w.th.host);
  assert_int_equal(find(&w, &targets, NULL), VESTRY_OK);
  for (int i = 0; i < 4; i++) {
    vestry_connection *const *former = targets.items;
    const long live = atomic_load(&w.th.live);
    for (size_t room = targets.capacity - targets.count + 1; room > 0; room--)
      assert_int_equal(vsi_targets_add(&targets, wires[0].connection), VESTRY_OK);
    assert_int_equal(atomic_load(&w.th.live), live + 1); /* former is not freed */
    assert_ptr_not_equal(targets.items, former);
    for (size_t j = 0; j < 9; j++) assert_ptr_equal(former[j], targets.items[j]);
  }
  vsi_targets_finish(&targets);
  empty(&w, wires, 9);
}

TEST_CASE(invalid_keys_are_refused) {
  site w;
  wire wires[1];
  fill(&w, wires, 1);
  vestry_key none = vestry_key_string(NULL);
  json_t *effects = json_array();
  assert_int_equal(vestry_dispatch_with(w.v, effects, &(vestry_dispatch_options){.key = &none}, NULL), VESTRY_INVALID);
  static char wide[VESTRY_SCOPE_MAX_BYTES + 1];
  const vestry_dispatch_options too_wide = {.scope = {wide, sizeof wide}, .key = ROOM("a")};
  assert_int_equal(vestry_dispatch_with(w.v, effects, &too_wide, NULL), VESTRY_TOO_LARGE);
  json_decref(effects);
  empty(&w, wires, 1);
}

TEST_CASE(failed_find_leaves_the_list_unchanged) {
  for (long number = 0;; number++) {
    site w;
    wire wires[40];
    fill(&w, wires, 40);
    vsi_targets targets;
    vsi_targets_init(&targets, &w.th.host);
    assert_int_equal(vsi_targets_add(&targets, wires[0].connection), VESTRY_OK);
    test_host_fail_in(&w.th, number);
    vestry_err error = find(&w, &targets, NULL);
    bool failed = test_host_has_failed(&w.th);
    assert_int_equal(error, failed ? VESTRY_NO_MEMORY : VESTRY_OK);
    assert_int_equal(targets.count, failed ? 1 : 41);
    vsi_targets_finish(&targets);
    empty(&w, wires, 40);
    if (!failed) {
      assert_true(number >= 1);
      return;
    }
  }
}
