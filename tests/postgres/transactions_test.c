/* SPDX-License-Identifier: MIT */
#include "data/postgres/transactions.h"

#include "postgres/written.h"
#include "support/test.h"
#include "support/test_host.h"

enum { TABLE = 16400, INDEX = 16500, MOVED_CATALOG = 16600, OTHER_DATABASE = 9, MAX_KEYS = 8 };

static test_host th;
static vsi_postgres_transactions all;
static const vsi_postgres_catalog catalogs[] = {{MOVED_CATALOG, 1255}}; /* pg_proc */

/* The last reported commit. */
static vsi_postgres_keys reported;
static uint32_t reported_xid;
static bool reported_all;
static size_t reports_count, moves_count;

static vestry_err commit(void *ctx, uint32_t xid, vsi_postgres_keys *keys, bool is_all) {
  assert_ptr_equal(ctx, &all);
  vsi_postgres_keys_clear(&reported, &th.host);
  reported = *keys;
  *keys = (vsi_postgres_keys){.count = 0};
  reported_xid = xid;
  reported_all = is_all;
  reports_count++;
  return VESTRY_OK;
}

static vestry_err move(void *ctx, uint32_t relation, uint32_t from, uint32_t to) {
  assert_ptr_equal(ctx, &all);
  assert_int_equal(relation, INDEX);
  assert_int_equal(to, from + 100);
  moves_count++;
  return VESTRY_OK;
}

static void open_all(void) {
  reports_count = moves_count = 0;
  all = (vsi_postgres_transactions){.is = {.host = &th.host,
                                           .format = vsi_postgres_format_of(15),
                                           .database = WRITTEN_DATABASE,
                                           .max_keys = MAX_KEYS,
                                           .catalogs = catalogs,
                                           .catalogs_count = 1,
                                           .move = move,
                                           .commit = commit,
                                           .ctx = &all}};
}

static int set_up(void **state) {
  test_host_init(&th);
  open_all();
  return 0;
}

static void close_all(void) {
  vsi_postgres_transactions_finish(&all);
  vsi_postgres_keys_clear(&reported, &th.host);
}

static int tear_down(void **state) {
  close_all();
  test_host_assert_clean(&th);
  return 0;
}

static vestry_err take(uint32_t xid, uint8_t manager, unsigned info, uint32_t database, uint32_t relation,
                       uint32_t block, const void *main, size_t len) {
  vsi_postgres_record record = {
      .xid = xid, .manager = manager, .info = (uint8_t)info, .blocks_count = 1, .main = main, .main_len = len};
  record.blocks[0] = (vsi_postgres_block){true, 0, database, relation, block};
  if (manager == VSI_POSTGRES_BTREE) {
    record.blocks[1] = record.blocks[0];
    record.blocks[1].number = block + 100;
    record.blocks_count = 2;
  }
  return vsi_postgres_transactions_take(&all, &record);
}

static vestry_err insert(uint32_t xid, uint32_t relation) {
  return take(xid, VSI_POSTGRES_HEAP, 0x00, WRITTEN_DATABASE, relation, 1, "\3\0\0", 3);
}

static vestry_err delete_row(uint32_t xid, uint32_t block, uint8_t offset) {
  const unsigned char main[] = {WRITTEN_U32(1), WRITTEN_U16(offset), 0, 0};
  return take(xid, VSI_POSTGRES_HEAP, 0x10, WRITTEN_DATABASE, TABLE, block, main, sizeof main);
}

static vestry_err enter(uint32_t xid, uint32_t block) {
  return take(xid, VSI_POSTGRES_BTREE, 0x00, WRITTEN_DATABASE, INDEX, block, "\3\0", 2);
}

static const unsigned char halves[] = {WRITTEN_U32(0), WRITTEN_U16(3), WRITTEN_U16(2)};

static vestry_err split(uint32_t xid, uint32_t block) {
  return take(xid, VSI_POSTGRES_BTREE, 0x30, WRITTEN_DATABASE, INDEX, block, halves, sizeof halves);
}

/* End a transaction by a commit with messages about relations, and with one subtransaction if `sub` is not 0. */
static vestry_err end(uint32_t xid, uint32_t sub, const uint32_t *relations, uint32_t count) {
  uint32_t main[64] = {0, 0, (sub ? 2u : 0) | (count ? 8u : 0)};
  size_t words = 3;
  if (sub) {
    main[words++] = 1;
    main[words++] = sub;
  }
  if (count) main[words++] = count;
  for (uint32_t i = 0; i < count; i++) {
    ((signed char *)&main[words])[0] = -2;
    main[words + 1] = WRITTEN_DATABASE;
    main[words + 2] = relations[i];
    words += 4;
  }
  vsi_postgres_record record = {
      .xid = xid, .manager = VSI_POSTGRES_TRANSACTION, .info = 0x80, .main = (void *)main, .main_len = words * 4};
  return vsi_postgres_transactions_take(&all, &record);
}

static bool has(uint32_t relation, uint32_t block, uint16_t offset, vsi_postgres_kind kind) {
  return vsi_postgres_keys_have(&reported, (vsi_postgres_key){relation, block, offset, (uint16_t)kind});
}

TEST_CASE(commit_reports_what_was_written) {
  assert_int_equal(insert(7, TABLE), VESTRY_OK);
  assert_int_equal(enter(7, 4), VESTRY_OK);
  assert_int_equal(delete_row(8, 3, 5), VESTRY_OK);
  assert_int_equal(reports_count, 0);
  assert_int_equal(end(7, 0, NULL, 0), VESTRY_OK);
  assert_int_equal(reports_count, 1);
  assert_int_equal(reported_xid, 7);
  assert_false(reported_all);
  assert_int_equal(reported.count, 4);
  assert_true(has(TABLE, 0, 0, VSI_POSTGRES_TABLE) && has(TABLE, 0, 0, VSI_POSTGRES_VERSIONS));
  assert_true(has(INDEX, 4, 0, VSI_POSTGRES_LEAF) && has(INDEX, 0, 0, VSI_POSTGRES_INDEX));
  assert_int_equal(end(8, 0, NULL, 0), VESTRY_OK);
  assert_int_equal(reported.count, 4);
  assert_true(has(TABLE, 3, 5, VSI_POSTGRES_ROW) && has(TABLE, 3, 0, VSI_POSTGRES_ROWS));
  assert_true(has(TABLE, 0, 0, VSI_POSTGRES_CHANGES) && has(TABLE, 0, 0, VSI_POSTGRES_TABLE));
  assert_int_equal(end(9, 0, NULL, 0), VESTRY_OK); /* it has written nothing in this database */
  assert_int_equal(reports_count, 3);
  assert_int_equal(reported_xid, 9);
  assert_int_equal(reported.count, 0);
  assert_false(reported_all);
}

TEST_CASE(subtransaction_is_reported_with_its_parent) {
  assert_int_equal(delete_row(11, 3, 5), VESTRY_OK);
  assert_int_equal(insert(12, TABLE), VESTRY_OK); /* of another transaction */
  assert_int_equal(end(10, 11, NULL, 0), VESTRY_OK);
  assert_int_equal(reported_xid, 10);
  assert_true(has(TABLE, 3, 5, VSI_POSTGRES_ROW));
  assert_false(has(TABLE, 0, 0, VSI_POSTGRES_VERSIONS));
  assert_int_equal(all.by_xid.count, 1);
}

/* Assign `count` subtransactions from `first` on to a transaction. */
static vestry_err assign(uint32_t xid, uint32_t first, uint32_t count) {
  uint32_t main[2 + 64] = {xid, count};
  for (uint32_t i = 0; i < count; i++) main[2 + i] = first + i;
  vsi_postgres_record record = {.xid = first + count - 1,
                                .manager = VSI_POSTGRES_TRANSACTION,
                                .info = 0x50,
                                .main = (void *)main,
                                .main_len = (2 + count) * sizeof *main};
  return vsi_postgres_transactions_take(&all, &record);
}

/* The server assigns subtransactions by 64, when the last one of them is about to write. Transaction 1 has 10,000, one
 * for each row. Subtransaction 2 remains open, and writes once more after each assignment. */
TEST_CASE(assigned_subtransactions_take_no_memory) {
  enum { OPEN = 2, LAST = 10001 };
  for (uint32_t xid = OPEN, first = xid; xid <= LAST; xid++) {
    if (xid - first == 63) {
      assert_int_equal(assign(1, first, 64), VESTRY_OK);
      assert_int_equal(insert(OPEN, TABLE), VESTRY_OK);
      first = xid + 1;
    }
    assert_int_equal(delete_row(xid, xid, 5), VESTRY_OK);
    assert_int_equal(enter(xid, 4), VESTRY_OK);
    assert_true(all.by_xid.count <= 67); /* 64, the last one of the former 64, 2, and the transaction itself */
  }
  assert_int_equal(end(1, LAST, NULL, 0), VESTRY_OK);
  assert_true(reported_all);
  assert_int_equal(reported.count, 0);
  assert_int_equal(all.over_count, 1);
}

TEST_CASE(assigned_subtransaction_keeps_its_keys) {
  static const uint32_t every = 0;
  assert_int_equal(delete_row(11, 3, 5), VESTRY_OK);
  assert_int_equal(insert(12, 1259), VESTRY_OK); /* pg_class */
  assert_int_equal(enter(13, 4), VESTRY_OK);     /* of another transaction */
  assert_int_equal(assign(10, 11, 2), VESTRY_OK);
  assert_int_equal(reports_count, 0);
  assert_int_equal(all.by_xid.count, 2);
  assert_int_equal(end(10, 0, &every, 1), VESTRY_OK);
  assert_true(has(TABLE, 3, 5, VSI_POSTGRES_ROW));
  assert_false(has(INDEX, 4, 0, VSI_POSTGRES_LEAF));
  assert_true(reported_all); /* the definition of each relation, because a part wrote a system table */
  assert_int_equal(all.by_xid.count, 1);
}

TEST_CASE(abort_reports_nothing) {
  assert_int_equal(insert(7, TABLE), VESTRY_OK);
  vsi_postgres_record record = {
      .xid = 7, .manager = VSI_POSTGRES_TRANSACTION, .info = 0x20, .main = (void *)"\0\0\0\0\0\0\0\0", .main_len = 8};
  assert_int_equal(vsi_postgres_transactions_take(&all, &record), VESTRY_OK);
  assert_int_equal(reports_count, 0);
  assert_int_equal(all.by_xid.count, 0);
}

TEST_CASE(other_databases_are_ignored) {
  assert_int_equal(take(7, VSI_POSTGRES_HEAP, 0x00, OTHER_DATABASE, TABLE, 1, "\3\0\0", 3), VESTRY_OK);
  assert_int_equal(take(7, VSI_POSTGRES_BTREE, 0x30, OTHER_DATABASE, INDEX, 1, halves, sizeof halves), VESTRY_OK);
  assert_int_equal(end(7, 0, NULL, 0), VESTRY_OK);
  assert_int_equal(reported.count + moves_count, 0);
  assert_false(reported_all);
}

TEST_CASE(entries_of_a_leaf_move_with_its_split) {
  assert_int_equal(enter(7, 4), VESTRY_OK);
  assert_int_equal(split(8, 4), VESTRY_OK);
  assert_int_equal(moves_count, 1);
  assert_int_equal(end(7, 0, NULL, 0), VESTRY_OK);
  assert_true(has(INDEX, 4, 0, VSI_POSTGRES_LEAF) && has(INDEX, 104, 0, VSI_POSTGRES_LEAF));
  assert_int_equal(end(8, 0, NULL, 0), VESTRY_OK); /* its entry is on one of the two leaves */
  assert_true(has(INDEX, 4, 0, VSI_POSTGRES_LEAF) && has(INDEX, 104, 0, VSI_POSTGRES_LEAF));
}

TEST_CASE(definitions_count_only_with_catalog_changes) {
  static const uint32_t relations[] = {TABLE, 17000};
  assert_int_equal(insert(7, 2619), VESTRY_OK); /* ANALYZE: pg_statistic */
  assert_int_equal(end(7, 0, relations, 2), VESTRY_OK);
  assert_int_equal(reports_count, 1);
  assert_int_equal(reported.count, 0);
  assert_false(reported_all);
  assert_int_equal(insert(8, 1259), VESTRY_OK); /* pg_class */
  assert_int_equal(end(8, 0, relations, 2), VESTRY_OK);
  assert_int_equal(reported.count, 2);
  assert_false(reported_all);
  assert_true(has(TABLE, 0, 0, VSI_POSTGRES_DEFINITION) && has(17000, 0, 0, VSI_POSTGRES_DEFINITION));
  static const uint32_t every = 0;
  assert_int_equal(insert(9, 1259), VESTRY_OK);
  assert_int_equal(end(9, 0, &every, 1), VESTRY_OK);
  assert_true(reported_all);
}

TEST_CASE(function_changes_count_for_all_in_any_file) {
  static const uint32_t files[] = {1255, MOVED_CATALOG};
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(insert(7, files[i]), VESTRY_OK);
    assert_int_equal(end(7, 0, NULL, 0), VESTRY_OK);
    assert_int_equal(reports_count, i + 1);
    assert_true(reported_all);
    assert_int_equal(reported.count, 0);
  }
  static const uint32_t own = 1255; /* VACUUM FULL pg_proc */
  assert_int_equal(insert(8, 1259), VESTRY_OK);
  assert_int_equal(end(8, 0, &own, 1), VESTRY_NOT_FOUND);
}

TEST_CASE(too_many_keys_become_all) {
  for (uint8_t i = 1; i < MAX_KEYS - 2; i++) assert_int_equal(delete_row(7, 3, i), VESTRY_OK);
  assert_int_equal(end(7, 0, NULL, 0), VESTRY_OK);
  assert_false(reported_all);
  assert_int_equal(reported.count, MAX_KEYS); /* with the block, and two of the table */
  assert_int_equal(all.over_count, 0);
  for (uint8_t i = 1; i <= MAX_KEYS - 2; i++) assert_int_equal(delete_row(7, 3, i), VESTRY_OK);
  assert_int_equal(enter(7, 4), VESTRY_OK);
  assert_int_equal(end(7, 0, NULL, 0), VESTRY_OK);
  assert_true(reported_all);
  assert_int_equal(reported.count, 0);
  assert_int_equal(all.over_count, 1);
}

static vestry_err run_all(test_host *host, void *ctx) {
  static const uint32_t relations[] = {TABLE, 17000};
  open_all();
  vestry_err error = insert(7, 1259);
  for (uint32_t i = 0; i < 40 && !error; i++) error = delete_row(8, i, 1);
  if (!error) error = enter(9, 4);
  if (!error) error = split(9, 4);
  for (uint32_t i = 0; i < 2 && !error; i++) error = assign(7, 10, 3);
  if (!error) error = end(7, 8, relations, 2);
  if (!error) error = end(9, 0, NULL, 0);
  close_all();
  return error;
}

TEST_CASE(allocation_failure_is_returned) {
  tear_down(state); /* each round has its own host */
  test_host_fail_each(run_all, NULL, false);
  set_up(state);
}

int main(void) {
  return cases_run_each("postgres/transactions", set_up, tear_down);
}
