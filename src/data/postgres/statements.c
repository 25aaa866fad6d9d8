/* SPDX-License-Identifier: MIT */
/* The prepared statements of one connection, and their witnesses (statements.h). */
#include "data/postgres/statements.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"

enum { PIPELINE_MOST = 64 };

/* A row with the number of relations that the statement names, the witness's text, which is NULL if there can be
 * none, and whether the statement ($1) may call a function that is not the server's: a name of one is in it, before
 * a parenthesis, or anywhere if the statement has comments. The relations are those that this transaction has
 * locked, as it has after parsing the statement, and whose names the text ($1) contains. Relations of a view are
 * excluded, because their types cannot change while the view exists. A select list has at most 1,664 columns. */
static const char witness_sql[] =
    "WITH used AS (SELECT DISTINCT l.relation AS oid FROM pg_catalog.pg_lock_status() l WHERE l.pid ="
    " pg_catalog.pg_backend_pid() AND l.relation >= 16384::oid AND l.mode <> 'SIReadLock'),"
    " named AS (SELECT c.oid, row_number() OVER () AS n FROM used JOIN pg_catalog.pg_class c USING (oid)"
    " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND position(lower(c.relname::text) IN lower($1::text)) > 0),"
    " columns AS (SELECT pg_catalog.string_agg(pg_catalog.format('r%s.%I', n, a.attname), ', ' ORDER BY n, a.attnum)"
    " AS list, coalesce(count(*) <= 1600 AND bool_and(pg_catalog.has_column_privilege(oid, a.attnum, 'SELECT')), false)"
    " AS is_readable"
    " FROM named JOIN pg_catalog.pg_attribute a ON a.attrelid = oid AND a.attnum > 0 AND NOT a.attisdropped)"
    " SELECT (SELECT count(*) FROM named) + (SELECT count(*) FROM used WHERE NOT EXISTS (SELECT FROM"
    " pg_catalog.pg_class c WHERE c.oid = used.oid)), CASE WHEN is_readable AND NOT EXISTS (SELECT FROM used WHERE NOT"
    " EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = used.oid)) THEN 'SELECT ' || list || ' FROM ' ||"
    " (SELECT pg_catalog.string_agg(pg_catalog.format('ONLY %s AS r%s', oid::regclass, n), ', ') FROM named) ||"
    " ' WHERE false' END, EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.oid >= 16384::oid AND"
    " position(lower(p.proname::text) || CASE WHEN position('--'::text IN $1::text) + position('/*'::text IN $1::text) "
    "> 0"
    " THEN ''::text ELSE '('::text END IN translate(lower($1::text), E' \\n\\r\\t\\f\"', ''::text)) > 0) FROM columns";

void vsi_postgres_statements_forget(vsi_postgres_statements *statements) {
  for (size_t i = 0; i < statements->count; i++) vsi_free(statements->host, statements->all[i].sql);
  statements->count = 0;
  statements->parts_count = 0;
  statements->is_stale = false;
}

/* Make the name. If two texts have equal hashes, the server reports an error, because the name exists. */
static void name_it(const char *prefix, const char *sql, char name[VSI_POSTGRES_STATEMENT_NAME_BYTES]) {
  const size_t len = strlen(sql);
  snprintf(name, VSI_POSTGRES_STATEMENT_NAME_BYTES, "%s_%016llx%016llx", prefix,
           (unsigned long long)vsi_hash_bytes(0, sql, len),
           (unsigned long long)vsi_hash_bytes(VSI_HASH_GOLDEN, sql, len));
}

static void name_witness(const vsi_postgres_prepared *prepared, char name[VSI_POSTGRES_STATEMENT_NAME_BYTES]) {
  snprintf(name, VSI_POSTGRES_STATEMENT_NAME_BYTES, "%.40s_w", prepared->name);
}

static vsi_postgres_prepared *look(vsi_postgres_statements *statements, const char *sql) {
  for (size_t i = 0; i < statements->count; i++)
    if (strcmp(statements->all[i].sql, sql) == 0) return &statements->all[i];
  return NULL;
}

static bool is_ready(const vsi_postgres_statements *statements, const vsi_postgres_prepared *found) {
  return found && !found->is_doubted && !statements->is_stale;
}

static bool is_state(const PGresult *result, const char *prefix) {
  const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
  return state && strncmp(state, prefix, strlen(prefix)) == 0;
}

/* ------------------------------------------------------------------------------------------ pipelines ------------- */

/* Get the results of everything sent since PQenterPipelineMode: count of them, then that of PQpipelineSync. false: the
 * connection is lost, and there is no result. Commands after a failed one were not executed. If the commit fails
 * because of a deferred constraint, its error is the last result. */
static bool gather(PGconn *db, bool is_sent, int count, PGresult **ret_results, uint64_t until_ns) {
  bool is_there = is_sent && PQpipelineSync(db);
  for (int i = 0; i < count; i++) {
    ret_results[i] = is_there ? vsi_postgres_wait(db, until_ns) : NULL;
    is_there = ret_results[i] != NULL;
  }
  PGresult *end = is_there ? vsi_postgres_wait(db, until_ns) : NULL;
  if (PQresultStatus(end) == PGRES_FATAL_ERROR) {
    PQclear(ret_results[count - 1]);
    ret_results[count - 1] = end;
    end = vsi_postgres_wait(db, until_ns);
  }
  is_there = PQresultStatus(end) == PGRES_PIPELINE_SYNC;
  PQclear(end);
  if (is_there && PQexitPipelineMode(db)) return true;
  for (int i = 0; i < count; i++) PQclear(ret_results[i]);
  return false;
}

/* Return the first of two results if it failed, otherwise the second; NULL: the connection is lost. */
static PGresult *gather_two(PGconn *db, bool is_sent, bool *ret_first_failed, uint64_t until_ns) {
  PGresult *results[2];
  if (!gather(db, is_sent, 2, results, until_ns)) return NULL;
  *ret_first_failed = !vsi_postgres_is_done(results[0]);
  PQclear(results[*ret_first_failed ? 1 : 0]);
  return results[*ret_first_failed ? 0 : 1];
}

/* --------------------------------------------------------------------------------------------------- making ------- */

/* Drop a statement in the server. */
static PGresult *give_up(vsi_postgres_statements *statements, PGconn *db, vsi_postgres_prepared *prepared,
                         uint64_t until_ns) {
  char sql[2 * (VSI_POSTGRES_STATEMENT_NAME_BYTES + 16)], witness[VSI_POSTGRES_STATEMENT_NAME_BYTES];
  name_witness(prepared, witness);
  snprintf(sql, sizeof sql, "DEALLOCATE %s", prepared->name);
  const size_t len = strlen(sql);
  if (prepared->has_witness) snprintf(sql + len, sizeof sql - len, "; DEALLOCATE %s", witness);
  PGresult *result = prepared->is_kept ? vsi_postgres_ask(db, sql, until_ns) : NULL;
  if (prepared->is_kept && !vsi_postgres_is_done(result)) return result;
  if (!prepared->is_kept) result = PQmakeEmptyPGresult(db, PGRES_COMMAND_OK);
  vsi_free(statements->host, prepared->sql);
  *prepared = statements->all[--statements->count];
  return result;
}

/* Make room for a statement, and free its name. */
static PGresult *make_room(vsi_postgres_statements *statements, PGconn *db, vsi_postgres_prepared *doubted,
                           uint64_t until_ns) {
  if (statements->is_stale) {
    PGresult *result = vsi_postgres_ask(db, "DEALLOCATE ALL", until_ns);
    if (vsi_postgres_is_done(result)) vsi_postgres_statements_forget(statements);
    return result;
  }
  vsi_postgres_prepared *oldest = statements->all;
  for (size_t i = 1; i < statements->count; i++)
    if (statements->all[i].used < oldest->used) oldest = &statements->all[i];
  if (doubted) return give_up(statements, db, doubted, until_ns);
  if (statements->count == VSI_SQL_STATEMENTS) return give_up(statements, db, oldest, until_ns);
  return PQmakeEmptyPGresult(db, PGRES_COMMAND_OK);
}

static PGresult *prepare(const vsi_postgres_prepared *made, PGconn *db, uint64_t until_ns) {
  return PQsendPrepare(db, made->name, made->sql, 0, NULL) ? vsi_postgres_wait(db, until_ns) : NULL;
}

/* Prepare the witness and the statement in one transaction, so that no definition changes between them. */
static PGresult *prepare_both(const vsi_postgres_prepared *made, PGconn *db, const char *witness, uint64_t until_ns) {
  char name[VSI_POSTGRES_STATEMENT_NAME_BYTES];
  bool first_failed;
  name_witness(made, name);
  const bool is_sent = PQenterPipelineMode(db) && PQsendPrepare(db, name, witness, 0, NULL) &&
                       PQsendPrepare(db, made->name, made->sql, 0, NULL);
  return gather_two(db, is_sent, &first_failed, until_ns);
}

static PGresult *ask_for_witness(const vsi_postgres_prepared *made, PGconn *db, uint64_t until_ns) {
  const char *const texts[] = {made->sql};
  bool first_failed;
  const bool is_sent = PQenterPipelineMode(db) && PQsendPrepare(db, "", made->sql, 0, NULL) &&
                       PQsendQueryParams(db, witness_sql, 1, NULL, texts, NULL, NULL, 0);
  return gather_two(db, is_sent, &first_failed, until_ns);
}

static PGresult *make(vsi_postgres_prepared *made, PGconn *db, bool has_values, uint64_t until_ns) {
  made->is_kept = true;
  if (!has_values) return prepare(made, db, until_ns);
  PGresult *row = ask_for_witness(made, db, until_ns), *result = row;
  if (PQresultStatus(row) != PGRES_TUPLES_OK) return row;
  const bool names_any = strtol(PQgetvalue(row, 0, 0), NULL, 10) > 0, calls_any = *PQgetvalue(row, 0, 2) == 't';
  made->has_witness = names_any && !calls_any && !PQgetisnull(row, 0, 1);
  made->is_kept = !calls_any && (made->has_witness || !names_any);
  if (!made->is_kept) return row;
  result = made->has_witness ? prepare_both(made, db, PQgetvalue(row, 0, 1), until_ns) : prepare(made, db, until_ns);
  PQclear(row);
  return result;
}

/* Find or prepare a statement. OK: *ret_prepared is set, or ran->result is the server's error, or NULL if the
 * connection is lost. */
static vestry_err find(vsi_postgres_statements *statements, PGconn *db, const char *sql, bool has_values,
                       uint64_t until_ns, vsi_postgres_prepared **ret_prepared, vsi_postgres_ran *ran) {
  vsi_postgres_prepared *found = look(statements, sql);
  *ret_prepared = found;
  if (is_ready(statements, found)) return VESTRY_OK;
  vsi_postgres_prepared made = {.sql = vsi_strdup(statements->host, sql, strlen(sql))};
  *ret_prepared = NULL;
  if (!made.sql) return VESTRY_NO_MEMORY;
  name_it("vestry", sql, made.name);
  ran->result = make_room(statements, db, found, until_ns);
  if (vsi_postgres_is_done(ran->result)) {
    PQclear(ran->result);
    ran->result = make(&made, db, has_values, until_ns);
  }
  if (!vsi_postgres_is_done(ran->result)) {
    ran->is_stale = is_state(ran->result, "26000"); /* the statement whose room was needed has been deallocated */
    if (ran->is_stale) statements->is_stale = true;
    vsi_free(statements->host, made.sql);
    return VESTRY_OK;
  }
  PQclear(ran->result);
  ran->is_new = true;
  *ret_prepared = &statements->all[statements->count++];
  **ret_prepared = made;
  return VESTRY_OK;
}

/* -------------------------------------------------------------------------------------------------- running ------- */

/* Return whether the error is about definitions: other result columns, a name that does not exist or that this role may
 * not use, a statement that does not exist. */
static bool is_of_definitions(const PGresult *result) {
  return is_state(result, "0A000") || is_state(result, "42") || is_state(result, "26000");
}

/* Commands of one round trip. */
typedef struct pipeline {
  vsi_postgres_statements *statements;
  PGconn *db;
  int count;           /* of results */
  size_t parts_before; /* number of parts that were prepared before */
} pipeline;

static pipeline begin_pipeline(vsi_postgres_statements *statements, PGconn *db) {
  return (pipeline){.statements = statements, .db = db, .parts_before = statements->parts_count};
}

/* Send a part. Parsing it takes the server longer than executing it, so it is prepared for the next time. */
static bool send_part(pipeline *p, const char *sql) {
  vsi_postgres_around_part *is = p->statements->parts, *end = is + p->statements->parts_count;
  while (is < end && strcmp(is->sql, sql) != 0) is++;
  if (is == end && p->statements->parts_count == VSI_POSTGRES_PARTS) { /* no room to keep it */
    p->count++;
    return PQsendQueryParams(p->db, sql, 0, NULL, NULL, NULL, NULL, 0);
  }
  if (is == end) {
    p->statements->parts_count++;
    *is = (vsi_postgres_around_part){.sql = sql, .at = p->count++};
    name_it("vestry_part", sql, is->name);
    if (!PQsendPrepare(p->db, is->name, sql, 0, NULL)) return false;
  }
  p->count++;
  return PQsendQueryPrepared(p->db, is->name, 0, NULL, NULL, NULL, 0);
}

/* Send the statements of a list. NULL: none */
static bool send_parts(pipeline *p, const char *const *list) {
  bool is_sent = true;
  for (; is_sent && list && *list; list++) is_sent = send_part(p, *list);
  return is_sent;
}

/* Undo everything that the session has kept. */
static bool send_undoing(pipeline *p) {
  static const char *const undo[] = {
      "BEGIN",        "RESET SESSION AUTHORIZATION", "RESET ALL", "CLOSE ALL", "UNLISTEN *",
      "DISCARD TEMP", "DISCARD SEQUENCES",           NULL};
  return send_parts(p, undo) && send_part(p, p->statements->restoring) && send_part(p, "COMMIT");
}

/* Forget the parts that the server has not prepared, because they come after a failed command. */
static void keep_parts(const pipeline *p, PGresult *const *results) {
  size_t *count = &p->statements->parts_count;
  while (*count > p->parts_before && !vsi_postgres_is_done(results[p->statements->parts[*count - 1].at])) --*count;
}

static int send_own(const vsi_postgres_prepared *is, PGconn *db, const vsi_postgres_values *values) {
  return is->is_kept ? PQsendQueryPrepared(db, is->name, values->count, values->texts, NULL, NULL, 0)
                     : PQsendQueryParams(db, is->sql, values->count, NULL, values->texts, NULL, NULL, 0);
}

static int first_failed_of(PGresult *const *results, int from, int end) {
  while (from < end && vsi_postgres_is_done(results[from])) from++;
  return from;
}

bool vsi_postgres_statements_undo(vsi_postgres_statements *statements, PGconn *db, uint64_t until_ns) {
  PGresult *results[PIPELINE_MOST];
  pipeline p = begin_pipeline(statements, db);
  if (!statements->kept) return true;
  const bool is_sent = PQenterPipelineMode(db) && send_undoing(&p);
  if (!gather(db, is_sent, p.count, results, until_ns)) return false;
  keep_parts(&p, results);
  const bool is_done = first_failed_of(results, 0, p.count) == p.count;
  for (int i = 0; i < p.count; i++) PQclear(results[i]);
  if (is_done) statements->kept = VSI_POSTGRES_KEPT_NOTHING;
  return is_done;
}

/* Run a statement with its witness, the beginning and end of its transaction, and the undoing. Advisory locks are
 * released inside the transaction. The result is that of the first one that fails; otherwise, the statement's. */
static void run_in_pipeline(vsi_postgres_statements *statements, const vsi_postgres_prepared *is, PGconn *db,
                            const vsi_postgres_values *values, const vsi_postgres_around *around, uint64_t until_ns,
                            vsi_postgres_ran *ran) {
  static const char unlock[] = "SELECT pg_catalog.pg_advisory_unlock_all()";
  const vsi_postgres_kept kept = around->is_first ? statements->kept : VSI_POSTGRES_KEPT_NOTHING;
  PGresult *results[PIPELINE_MOST];
  char name[VSI_POSTGRES_STATEMENT_NAME_BYTES];
  pipeline p = begin_pipeline(statements, db);
  name_witness(is, name);
  bool is_sent = PQenterPipelineMode(db) && (kept != VSI_POSTGRES_KEPT_ANYTHING || send_undoing(&p));
  const int begin = p.count;
  is_sent = is_sent && send_parts(&p, around->begin) && (kept != VSI_POSTGRES_KEPT_LOCKS || send_part(&p, unlock));
  const int witness = p.count, own = witness + is->has_witness;
  if (is->has_witness) is_sent = is_sent && PQsendQueryPrepared(db, name, 0, NULL, NULL, NULL, 0);
  p.count = own + 1;
  is_sent = is_sent && send_own(is, db, values) && (!around->rolls_back || send_part(&p, "ROLLBACK"));
  if (!gather(db, is_sent, p.count, results, until_ns)) return;
  keep_parts(&p, results);
  const int at = first_failed_of(results, 0, own);
  if (at >= witness && kept) statements->kept = VSI_POSTGRES_KEPT_NOTHING;
  ran->result = results[at];
  ran->is_unclean = at < begin;
  ran->is_unbegun = at >= begin && at < witness;
  ran->is_stale = at < own && (at < witness ? is_state(results[at], "26000") : is_of_definitions(results[at]));
  for (int i = 0; i < p.count; i++)
    if (i != at) PQclear(results[i]);
}

vestry_err vsi_postgres_statements_run(vsi_postgres_statements *statements, PGconn *db, const char *sql,
                                       const vsi_postgres_values *values, vsi_postgres_around *around,
                                       uint64_t until_ns, vsi_postgres_ran *ret_ran) {
  const vsi_postgres_around sent = *around;
  vsi_postgres_prepared *is;
  *ret_ran = (vsi_postgres_ran){.result = NULL};
  if (sent.is_first && !is_ready(statements, look(statements, sql)) &&
      !vsi_postgres_statements_undo(statements, db, until_ns)) {
    ret_ran->is_unclean = true;
    return VESTRY_OK;
  }
  vestry_err error = find(statements, db, sql, values->count > 0, until_ns, &is, ret_ran);
  if (error || !is) return error;
  is->used = ++statements->looks;
  ret_ran->result = NULL;
  *around = (vsi_postgres_around){.begin = NULL};
  if (is->has_witness || sent.begin || sent.rolls_back || (sent.is_first && statements->kept))
    run_in_pipeline(statements, is, db, values, &sent, until_ns, ret_ran);
  else if (send_own(is, db, values))
    ret_ran->result = vsi_postgres_wait(db, until_ns);
  const PGresult *result = ret_ran->result;
  if (vsi_postgres_is_done(result) || ret_ran->is_unclean) return VESTRY_OK;
  const bool was_kept = is->is_kept && !ret_ran->is_new;
  if (was_kept && (is_state(result, "0A000") || is_state(result, "26000"))) ret_ran->is_stale = true;
  if (ret_ran->is_stale) statements->is_stale = true;
  /* A value or name that does not fit, for example the types of a function that was replaced. */
  ret_ran->is_doubted = was_kept && values->count && (is_state(result, "22") || is_state(result, "42"));
  if (ret_ran->is_doubted) is->is_doubted = true;
  return VESTRY_OK;
}
