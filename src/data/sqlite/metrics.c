/* SPDX-License-Identifier: MIT */
/* The counters of databases and pools as metrics. */
#include "ops/observe/metric_rows.h"
#include "vestry/data/sqlite.h"

vestry_err vestry_sqlite_metrics(vestry_metrics *metrics, void *database) {
  vestry_sqlite_stats stats = {0};
  if (!metrics || !database) return VESTRY_INVALID;
  vestry_sqlite_stats_get(database, &stats);
  static const char commits[] = "vestry_sqlite_commits";
  static const char records[] = "vestry_sqlite_renders_recorded";
  const vsi_metric_row rows[] = {
      {commits, "Commits, by which connections made them.", "by", "attached", 0, stats.commits_count},
      {commits, NULL, "by", "others", 0, stats.other_commits_count},
      {"vestry_sqlite_refreshed", "Renders that commits have asked for, by what these had read.", NULL, NULL, 0,
       stats.refreshed_count},
      {"vestry_sqlite_refreshed_sets", "Sets of reads that commits concerned; renders that read alike share one.", NULL,
       NULL, 0, stats.refreshed_sets_count},
      {"vestry_sqlite_refreshed_whole", "Times that all pages were refreshed.", NULL, NULL, 0, stats.whole_count},
      {records, "Renders whose reads were recorded, by level.", "level", "exact", 0,
       stats.recorded_count - stats.coarse_count},
      {records, NULL, "level", "tables", 0, stats.coarse_count},
      {"vestry_sqlite_recorded_bytes", "Bytes of what renders have read.", NULL, NULL, VESTRY_METRIC_GAUGE,
       stats.recorded_bytes},
      {"vestry_sqlite_connections", "Connections that are attached.", NULL, NULL, VESTRY_METRIC_GAUGE,
       stats.connections_count}};
  return VSI_METRIC_ROWS_ADD(metrics, rows);
}

vestry_err vestry_sqlite_pool_metrics(vestry_metrics *metrics, void *pool) {
  vestry_sqlite_pool_stats stats = {0};
  if (!metrics || !pool) return VESTRY_INVALID;
  vestry_sqlite_pool_stats_get(pool, &stats);
  static const char transactions[] = "vestry_sqlite_pool_transactions";
  const vsi_metric_row rows[] = {
      {"vestry_sqlite_pool_loans", "Connections that were lent.", NULL, NULL, 0, stats.loans_count},
      {"vestry_sqlite_pool_waits", "Of these, those that were waited for.", NULL, NULL, 0, stats.waits_count},
      {"vestry_sqlite_pool_refused", "Times that no connection was given back in time.", NULL, NULL, 0,
       stats.refused_count},
      {"vestry_sqlite_pool_lent", "Connections that are lent.", NULL, NULL, VESTRY_METRIC_GAUGE, stats.lent_count},
      {"vestry_sqlite_pool_prepared", "Statements that were prepared.", NULL, NULL, 0, stats.prepared_count},
      {transactions, "Transactions, by their outcome.", "outcome", "committed", 0, stats.committed_count},
      {transactions, NULL, "outcome", "rolled_back", 0, stats.rolled_back_count},
      {"vestry_sqlite_pool_wal_bytes", "Bytes of the WAL after the last commit.", NULL, NULL, VESTRY_METRIC_GAUGE,
       stats.wal_bytes},
      {"vestry_sqlite_pool_wal_holds", "Times that threads waited because the WAL was to be emptied.", NULL, NULL, 0,
       stats.wal_holds_count},
      {"vestry_sqlite_pool_wal_stuck", "Of these, those after which it could not be emptied.", NULL, NULL, 0,
       stats.wal_stuck_count}};
  return VSI_METRIC_ROWS_ADD(metrics, rows);
}
