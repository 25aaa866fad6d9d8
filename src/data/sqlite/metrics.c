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
  static const char over[] = "vestry_sqlite_over_bound";
  const vsi_metric_row rows[] = {
      {commits,
       "Commits, by connection: attached, attached in another process whose changed rows are known, or others.", "by",
       "attached", 0, stats.commits_count},
      {commits, NULL, "by", "peers", 0, stats.peer_commits_count},
      {commits, NULL, "by", "others", 0, stats.other_commits_count - stats.peer_commits_count},
      {"vestry_sqlite_commits_large", "Commits that changed too many rows to be followed by row.", NULL, NULL, 0,
       stats.large_commits_count},
      {"vestry_sqlite_refreshed", "Renders caused by commits.", NULL, NULL, 0, stats.refreshed_count},
      {"vestry_sqlite_refreshed_whole", "Refreshes of all pages that have read the database.", NULL, NULL, 0,
       stats.whole_count},
      {records, "Renders with a recorded read set, by level.", "level", "exact", 0,
       stats.recorded_count - stats.table_level_count - stats.everything_count},
      {records, NULL, "level", "tables", 0, stats.table_level_count},
      {records, NULL, "level", "everything", 0, stats.everything_count},
      {over, "Renders and commits beyond a bound of exact refresh, by the bound.", "bound", "max_file_pages", 0,
       stats.over_pages_count},
      {over, NULL, "bound", "max_bytes", 0, stats.over_bytes_count},
      {over, NULL, "bound", "commits", 0, stats.over_recent_count},
      {"vestry_sqlite_renders_promoted", "Recorded renders whose keys of a table became any row of it.", NULL, NULL, 0,
       stats.promoted_count},
      {"vestry_sqlite_recorded_bytes", "Bytes of the recorded read sets.", NULL, NULL, VESTRY_METRIC_GAUGE,
       stats.recorded_bytes},
      {"vestry_sqlite_connections", "Attached connections.", NULL, NULL, VESTRY_METRIC_GAUGE, stats.connections_count},
      {"vestry_sqlite_peers", "Other processes that follow the file.", NULL, NULL, VESTRY_METRIC_GAUGE,
       stats.peers_count}};
  return VSI_METRIC_ROWS_ADD(metrics, rows);
}

vestry_err vestry_sqlite_pool_metrics(vestry_metrics *metrics, void *pool) {
  vestry_sql_pool_stats stats = {0};
  if (!metrics || !pool) return VESTRY_INVALID;
  vestry_sql_pool_stats_get(pool, &stats);
  static const char transactions[] = "vestry_sqlite_pool_transactions";
  const vsi_metric_row rows[] = {
      {"vestry_sqlite_pool_checkouts", "Connections checked out.", NULL, NULL, 0, stats.checkouts_count},
      {"vestry_sqlite_pool_waits", "Checkouts that waited for a connection.", NULL, NULL, 0, stats.waits_count},
      {"vestry_sqlite_pool_refused", "Checkouts refused because no connection became free in time.", NULL, NULL, 0,
       stats.refused_count},
      {"vestry_sqlite_pool_checked_out", "Connections checked out now.", NULL, NULL, VESTRY_METRIC_GAUGE,
       stats.checked_out_count},
      {"vestry_sqlite_pool_prepared", "Statements prepared.", NULL, NULL, 0, stats.prepared_count},
      {transactions, "Transactions, by outcome.", "outcome", "committed", 0, stats.committed_count},
      {transactions, NULL, "outcome", "rolled_back", 0, stats.rolled_back_count},
      {"vestry_sqlite_pool_wal_bytes", "Size of the WAL after the last commit, in bytes.", NULL, NULL,
       VESTRY_METRIC_GAUGE, stats.wal_bytes},
      {"vestry_sqlite_pool_wal_stuck",
       "Waits after which the WAL could not be emptied, because another connection read or wrote.", NULL, NULL, 0,
       stats.wal_stuck_count}};
  return VSI_METRIC_ROWS_ADD(metrics, rows);
}
