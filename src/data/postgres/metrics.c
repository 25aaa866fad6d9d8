/* SPDX-License-Identifier: MIT */
/* The counters of databases and pools as metrics. */
#include "ops/observe/metric_rows.h"
#include "vestry/data/postgres.h"

static const vestry_metric_kind gauge = VESTRY_METRIC_GAUGE;

/* Following of commits. */
static vestry_err add_follower(vestry_metrics *metrics, const vestry_postgres_stats *is) {
  static const char level[] = "vestry_postgres_level";
  const vsi_metric_row rows[] = {
      {level, "Level at which commits refresh pages: 1 for the current level.", "level", "reads", gauge,
       is->level == VESTRY_POSTGRES_READS},
      {level, NULL, "level", "tables", gauge, is->level == VESTRY_POSTGRES_TABLES},
      {level, NULL, "level", "topics", gauge, is->level == VESTRY_POSTGRES_TOPICS},
      {"vestry_postgres_following", "1 while commits are followed.", NULL, NULL, gauge, is->is_following},
      {"vestry_postgres_starts",
       "Times that following began; each begin refreshes every page that has read the database.", NULL, NULL, 0,
       is->starts_count},
      {"vestry_postgres_records", "Records read from the WAL.", NULL, NULL, 0, is->records_count},
      {"vestry_postgres_read_bytes", "Bytes read from the WAL.", NULL, NULL, 0, is->read_bytes},
      {"vestry_postgres_lag_bytes", "Bytes of the server's WAL that are not read yet.", NULL, NULL, gauge,
       is->lag_bytes},
      {"vestry_postgres_lag_seconds", "Time for which a part of the server's WAL has not been read.", NULL, NULL, gauge,
       (double)is->lag_ms / 1000},
      {"vestry_postgres_commits", "Commits that wrote data which a render can read.", NULL, NULL, 0, is->commits_count},
      {"vestry_postgres_fallbacks", "Renders followed by tables because the server had no room for their locks.", NULL,
       NULL, 0, is->fallbacks_count}};
  return VSI_METRIC_ROWS_ADD(metrics, rows);
}

/* Reads of renders, and the renders that commits requested. */
static vestry_err add_renders(vestry_metrics *metrics, const vestry_postgres_stats *is) {
  static const char refreshed[] = "vestry_postgres_refreshed", over[] = "vestry_postgres_over_bound";
  const vsi_metric_row rows[] = {
      {"vestry_postgres_renders_recorded", "Renders with a recorded read set.", NULL, NULL, 0, is->recorded_count},
      {"vestry_postgres_renders_table_level",
       "Recorded renders followed by tables, because they read much, wrote, met conflicts, or had no room for locks.",
       NULL, NULL, 0, is->table_level_count},
      {"vestry_postgres_renders_promoted", "Recorded renders whose row locks became a table lock.", NULL, NULL, 0,
       is->promoted_count},
      {"vestry_postgres_renders_again",
       "Renders repeated because of a conflict, or because there was no room for locks.", NULL, NULL, 0,
       is->again_count},
      {refreshed, "Renders caused by commits, by the part of the read set that was written.", "by", "row", 0,
       is->refreshed_by_row},
      {refreshed, NULL, "by", "leaf", 0, is->refreshed_by_leaf},
      {refreshed, NULL, "by", "table", 0, is->refreshed_by_table},
      {refreshed, NULL, "by", "schema", 0, is->refreshed_by_schema},
      {refreshed, NULL, "by", "all", 0, is->refreshed_by_all},
      {refreshed, NULL, "by", "overtaken", 0, is->overtaken_count},
      {"vestry_postgres_sets", "Stored read sets.", NULL, NULL, gauge, is->sets_count},
      {"vestry_postgres_sets_bytes", "Bytes of the stored read sets.", NULL, NULL, gauge, is->sets_bytes},
      {"vestry_postgres_ring", "Commits stored for running renders.", NULL, NULL, gauge, is->ring_count},
      {over, "Renders, transactions or commits beyond a bound, which cause more renders than necessary.", "bound",
       "max_bytes", 0, is->over_bytes_count},
      {over, NULL, "bound", "max_render_keys", 0, is->over_render_keys_count},
      {over, NULL, "bound", "max_transaction_keys", 0, is->over_transaction_keys_count},
      {over, NULL, "bound", "ring", 0, is->over_ring_count}};
  return VSI_METRIC_ROWS_ADD(metrics, rows);
}

vestry_err vestry_postgres_metrics(vestry_metrics *metrics, void *database) {
  vestry_postgres_stats stats = {0};
  if (!metrics || !database) return VESTRY_INVALID;
  vestry_postgres_stats_get(database, &stats);
  vestry_err error = add_follower(metrics, &stats);
  return error ? error : add_renders(metrics, &stats);
}

vestry_err vestry_postgres_pool_metrics(vestry_metrics *metrics, void *pool) {
  vestry_sql_pool_stats is = {0};
  if (!metrics || !pool) return VESTRY_INVALID;
  vestry_sql_pool_stats_get(pool, &is);
  static const char transactions[] = "vestry_postgres_pool_transactions", connects[] = "vestry_postgres_pool_connects";
  const vsi_metric_row rows[] = {
      {"vestry_postgres_pool_checkouts", "Transactions begun.", NULL, NULL, 0, is.checkouts_count},
      {"vestry_postgres_pool_waits", "Transactions that waited for a connection.", NULL, NULL, 0, is.waits_count},
      {"vestry_postgres_pool_refused", "Transactions refused because no connection became free in time.", NULL, NULL, 0,
       is.refused_count},
      {"vestry_postgres_pool_checked_out", "Connections checked out now.", NULL, NULL, gauge, is.checked_out_count},
      {"vestry_postgres_pool_connected", "Connections not known to be lost.", NULL, NULL, gauge, is.connected_count},
      {"vestry_postgres_pool_prepared", "Statements prepared.", NULL, NULL, 0, is.prepared_count},
      {transactions, "Transactions, by outcome; renders are rolled back.", "outcome", "committed", 0,
       is.committed_count},
      {transactions, NULL, "outcome", "rolled_back", 0, is.rolled_back_count},
      {"vestry_postgres_pool_conflicts", "Transactions rolled back because of a conflict with another transaction.",
       NULL, NULL, 0, is.conflicts_count},
      {connects, "Attempts to connect, by outcome.", "outcome", "made", 0, is.connects_count},
      {connects, NULL, "outcome", "failed", 0, is.failed_count}};
  return VSI_METRIC_ROWS_ADD(metrics, rows);
}
