/* SPDX-License-Identifier: MIT */
/* essay: the writes of a PostgreSQL transaction, and definitions that change */
/* The writes of each running transaction, collected from the WAL.
 *
 * System tables define the meaning of a query. When a transaction that writes them commits, its record lists the
 * relations whose cached definitions are invalid; a change of such a relation refreshes the renders that have used it.
 * Changes of statistics are ignored, because they affect how a query is executed, but not its result. Functions, types,
 * casts, operators, roles and text search configurations are not listed this way, so writes to these refresh
 * everything. Each table has a type; therefore, only updates of types and schemas count: a new name, or a privilege
 * that was granted or revoked.
 *
 * A render may have used a view in a subtransaction that was rolled back, which leaves no trace (read_set.c).
 * Therefore, a transaction that changes a view, or makes a table a part of another one, also has a key that stands for
 * all such renders (vsi_postgres_views_key).
 *
 * A subtransaction (a savepoint, or a block of PL/pgSQL with EXCEPTION) has a separate number, and its records do not
 * name its transaction. Therefore, it has an entry until the server assigns it to its transaction, which the server
 * does for each 64. Otherwise, a client that sets a savepoint for each of a million rows would take as many entries. */
#include "data/postgres/transactions.h"

#include <string.h>

#include "data/postgres/record.h"

enum { FIRST_OID = 16384 /* of relations that are not part of the server */ };

typedef struct transaction {
  vsi_map_link in; /* first */
  uint32_t xid;
  bool is_all; /* everything counts: there were too many keys, or the definition of each relation has changed */
  bool has_catalog, has_meaning, has_views;
  uint32_t *assigned; /* the subtransactions of the last record that assigned some */
  uint32_t assigned_count;
  vsi_postgres_keys keys;
} transaction;

/* Lists of system tables; 0 ends each.
 * pg_proc, pg_operator, pg_cast, pg_enum, pg_authid, pg_auth_members, pg_db_role_setting, the tables of text search
 * (pg_ts_*), pg_aggregate, pg_collation */
static const uint32_t meanings[] = {1255, 2617, 2605, 3501, 1260, 1261, 2964, 3600,
                                    3601, 3602, 3603, 3764, 2600, 3456, 0};
/* pg_rewrite, pg_inherits, pg_partitioned_table: for relations that have no rows */
static const uint32_t views[] = {2618, 2611, 3350, 0};
/* pg_type, pg_namespace: only updates of their rows count */
static const uint32_t meanings_updated[] = {1247, 2615, 0};
/* pg_statistic with its TOAST table and index, pg_statistic_ext, pg_statistic_ext_data */
static const uint32_t statistics[] = {2619, 2840, 2841, 3381, 3429, 0};

static bool has(const uint32_t *oids, uint32_t oid) {
  for (; *oids; oids++)
    if (*oids == oid) return true;
  return false;
}

static void release(vsi_postgres_transactions *all, transaction *t) {
  vsi_postgres_keys_clear(&t->keys, all->is.host);
  vsi_free(all->is.host, t->assigned);
  vsi_free(all->is.host, t);
}

void vsi_postgres_transactions_finish(vsi_postgres_transactions *all) {
  for (vsi_map_link *next, *at = vsi_map_after(&all->by_xid, NULL); at; at = next) {
    next = vsi_map_after(&all->by_xid, at);
    release(all, (transaction *)at);
  }
  vsi_map_finish(&all->by_xid, all->is.host);
  *all = (vsi_postgres_transactions){.is = {.host = NULL}};
}

static transaction *find(const vsi_postgres_transactions *all, uint32_t xid) {
  return (transaction *)vsi_map_first(&all->by_xid, vsi_hash_number(xid)); /* different numbers, different hashes */
}

/* Find or create a transaction. NULL: no memory. */
static transaction *make(vsi_postgres_transactions *all, uint32_t xid) {
  transaction *t = find(all, xid);
  if (t) return t;
  if (vsi_map_reserve(&all->by_xid, all->is.host, all->by_xid.count + 1)) return NULL;
  t = vsi_calloc(all->is.host, 1, sizeof *t);
  if (!t) return NULL;
  t->xid = xid;
  vsi_map_add(&all->by_xid, &t->in, vsi_hash_number(xid));
  return t;
}

static void forget(vsi_postgres_transactions *all, uint32_t xid) {
  transaction *t = find(all, xid);
  if (!t) return;
  vsi_map_remove(&all->by_xid, &t->in);
  release(all, t);
}

/* ----------------------------------------------------------------------------------------------------- keys ------- */

/* If there are too many keys, everything counts. */
static vestry_err note(vsi_postgres_transactions *all, transaction *t, vsi_postgres_key key) {
  if (t->is_all) return VESTRY_OK;
  vestry_err error = vsi_postgres_keys_add(&t->keys, all->is.host, key);
  t->is_all = t->keys.count > all->is.max_keys;
  all->over_count += t->is_all;
  if (t->is_all) vsi_postgres_keys_clear(&t->keys, all->is.host);
  return error == VESTRY_EXISTS ? VESTRY_OK : error;
}

static const uint16_t inserted[] = {VSI_POSTGRES_TABLE, VSI_POSTGRES_VERSIONS, 0};
static const uint16_t changed[] = {VSI_POSTGRES_ROW, VSI_POSTGRES_ROWS, VSI_POSTGRES_CHANGES, VSI_POSTGRES_TABLE, 0};
static const uint16_t entered[] = {VSI_POSTGRES_LEAF, VSI_POSTGRES_INDEX, 0};

/* Note keys of the kinds in a list that ends with 0. */
static vestry_err note_kinds(vsi_postgres_transactions *all, transaction *t, const vsi_postgres_touched *touched,
                             const uint16_t *kinds) {
  vestry_err error = VESTRY_OK;
  for (; *kinds && !error; kinds++) {
    const bool is_part = VSI_POSTGRES_PART_KINDS >> *kinds & 1;
    error = note(all, t,
                 (vsi_postgres_key){.relation = touched->relation,
                                    .block = is_part ? touched->block : 0,
                                    .offset = *kinds == VSI_POSTGRES_ROW ? touched->offset : 0,
                                    .kind = *kinds});
  }
  return error;
}

/* -------------------------------------------------------------------------------------------------- records ------- */

/* Return the oid of a system table; 0: not a system table. */
static uint32_t catalog_of(const vsi_postgres_transactions *all, const vsi_postgres_touched *touched) {
  for (size_t i = 0; i < all->is.catalogs_count; i++)
    if (all->is.catalogs[i].file == touched->relation) return all->is.catalogs[i].oid;
  return touched->relation < FIRST_OID || !touched->database ? touched->relation : 0;
}

static vestry_err take_row(vsi_postgres_transactions *all, uint32_t xid, const vsi_postgres_touched *touched,
                           bool is_update) {
  uint32_t catalog = catalog_of(all, touched);
  if (catalog && has(statistics, catalog)) return VESTRY_OK;
  transaction *t = make(all, xid);
  if (!t) return VESTRY_NO_MEMORY;
  if (catalog) {
    t->has_catalog = true;
    t->has_meaning |= has(meanings, catalog) || (is_update && has(meanings_updated, catalog));
    t->has_views |= has(views, catalog);
    return VESTRY_OK;
  }
  return note_kinds(all, t, touched, touched->touch == VSI_POSTGRES_INSERTED ? inserted : changed);
}

/* Entries of running transactions may have been moved: they count as inserted into both leaves. */
static vestry_err move(vsi_postgres_transactions *all, const vsi_postgres_touched *touched) {
  const vsi_postgres_key from = {.relation = touched->relation, .block = touched->block, .kind = VSI_POSTGRES_LEAF};
  vsi_postgres_key to = from;
  to.block = touched->to;
  vestry_err error = VESTRY_OK;
  for (vsi_map_link *at = vsi_map_after(&all->by_xid, NULL); at && !error; at = vsi_map_after(&all->by_xid, at)) {
    transaction *t = (transaction *)at;
    if (vsi_postgres_keys_have(&t->keys, from)) error = note(all, t, to);
  }
  return error ? error : all->is.move(all->is.ctx, touched->relation, touched->block, touched->to);
}

static vestry_err take_entry(vsi_postgres_transactions *all, uint32_t xid, const vsi_postgres_touched *touched) {
  if (catalog_of(all, touched)) return VESTRY_OK;
  if (touched->touch == VSI_POSTGRES_MOVED) return move(all, touched);
  transaction *t = make(all, xid);
  return t ? note_kinds(all, t, touched, entered) : VESTRY_NO_MEMORY;
}

static vestry_err take_touches(vsi_postgres_transactions *all, const vsi_postgres_record *record) {
  vsi_postgres_touched touched[VSI_POSTGRES_TOUCHED_MAX];
  size_t count;
  vestry_err error = vsi_postgres_touched_read(record, touched, &count);
  for (size_t i = 0; i < count && !error; i++) {
    bool is_row = touched[i].touch == VSI_POSTGRES_INSERTED || touched[i].touch == VSI_POSTGRES_CHANGED;
    if (touched[i].database && touched[i].database != all->is.database) continue;
    error = is_row ? take_row(all, record->xid, &touched[i], count == 2) : take_entry(all, record->xid, &touched[i]);
  }
  return error;
}

/* ------------------------------------------------------------------------------------------ subtransactions ------- */

static vestry_err unite(vsi_postgres_transactions *all, transaction *t, const transaction *sub) {
  vestry_err error = VESTRY_OK;
  t->has_catalog |= sub->has_catalog;
  t->has_meaning |= sub->has_meaning;
  t->has_views |= sub->has_views;
  t->is_all |= sub->is_all;
  for (size_t i = 0; i < sub->keys.count && !error && !t->is_all; i++) error = note(all, t, sub->keys.keys[i]);
  return error;
}

/* Unite a subtransaction with its transaction, and forget it. */
static vestry_err take_over(vsi_postgres_transactions *all, transaction *t, uint32_t xid) {
  const transaction *sub = find(all, xid);
  if (sub == t) return VESTRY_OK;
  vestry_err error = sub ? unite(all, t, sub) : VESTRY_OK;
  forget(all, xid);
  return error;
}

/* Take over the subtransactions that the server assigns to a transaction. The last of them writes after the record, and
 * any other that has not ended may do so. Such a subtransaction gets a new entry, which is taken over with the next
 * record, or at the end. A subtransaction that is rolled back after its assignment still counts, so there may be
 * too many keys, and never too few. */
static vestry_err take_assignment(vsi_postgres_transactions *all, const vsi_postgres_record *record) {
  vsi_postgres_ended assigned;
  vestry_err error = vsi_postgres_assignment_read(record, &assigned);
  if (error) return error;
  const uint32_t count = assigned.subtransactions_count;
  transaction *t = make(all, assigned.xid);
  uint32_t *xids = vsi_calloc(all->is.host, (size_t)count + 1, sizeof *xids);
  if (!t || !xids) error = VESTRY_NO_MEMORY;
  for (uint32_t i = 0; !error && i < t->assigned_count; i++) error = take_over(all, t, t->assigned[i]);
  for (uint32_t i = 0; !error && i < count; i++) {
    xids[i] = vsi_postgres_ended_subtransaction(&assigned, i);
    error = take_over(all, t, xids[i]);
  }
  if (error) {
    vsi_free(all->is.host, xids);
    return error;
  }
  vsi_free(all->is.host, t->assigned);
  t->assigned = xids;
  t->assigned_count = count;
  return VESTRY_OK;
}

/* --------------------------------------------------------------------------------------------------- an end ------- */

/* Add the relations whose cached definitions are invalid. NOT_FOUND: one is a system table, which has another file
 * now. */
static vestry_err take_definitions(vsi_postgres_transactions *all, transaction *t, const vsi_postgres_ended *ended) {
  vestry_err error = VESTRY_OK;
  bool has_moved = false;
  for (uint32_t i = 0; i < ended->messages_count && !error; i++) {
    uint32_t database, relation;
    if (!vsi_postgres_ended_definition(ended, i, &database, &relation)) continue;
    if (database && database != all->is.database) continue;
    if (!relation)
      t->is_all = true;
    else if (relation < FIRST_OID)
      has_moved = true;
    else
      error = note(all, t, (vsi_postgres_key){.relation = relation, .kind = VSI_POSTGRES_DEFINITION});
  }
  return error ? error : has_moved ? VESTRY_NOT_FOUND : VESTRY_OK;
}

static vestry_err commit(vsi_postgres_transactions *all, const vsi_postgres_ended *ended) {
  transaction *t = make(all, ended->xid);
  vestry_err error = t ? VESTRY_OK : VESTRY_NO_MEMORY;
  for (uint32_t i = 0; i < ended->subtransactions_count && !error; i++)
    error = take_over(all, t, vsi_postgres_ended_subtransaction(ended, i));
  if (!error && t->has_catalog) error = take_definitions(all, t, ended);
  if (!error && t->has_views) error = note(all, t, vsi_postgres_views_key);
  if (error) return error;
  return all->is.commit(all->is.ctx, ended->xid, &t->keys, t->is_all || t->has_meaning);
}

static vestry_err end(vsi_postgres_transactions *all, const vsi_postgres_record *record) {
  vsi_postgres_ended ended;
  vestry_err error = vsi_postgres_ended_read(all->is.format, record, &ended);
  if (!error && ended.is_commit && ended.xid) error = commit(all, &ended);
  if (error) return error;
  for (uint32_t i = 0; i < ended.subtransactions_count; i++) forget(all, vsi_postgres_ended_subtransaction(&ended, i));
  forget(all, ended.xid);
  return VESTRY_OK;
}

/* Process a change of a relation map. Tables shared by all databases, and the first system tables of each database, are
 * found by a map, which changes if they are rewritten. A map of another database does not concern this one. */
static vestry_err take_map(const vsi_postgres_transactions *all, const vsi_postgres_record *record) {
  if (record->main_len < sizeof(uint32_t)) return VESTRY_MALFORMED;
  const uint32_t database = vsi_postgres_load_u32(record->main);
  return !database || database == all->is.database ? VESTRY_NOT_FOUND : VESTRY_OK;
}

vestry_err vsi_postgres_transactions_take(vsi_postgres_transactions *all, const vsi_postgres_record *record) {
  if (record->manager == VSI_POSTGRES_RELATION_MAP) return take_map(all, record);
  if (vsi_postgres_is_assignment(record)) return take_assignment(all, record);
  return vsi_postgres_is_end(record) ? end(all, record) : take_touches(all, record);
}
