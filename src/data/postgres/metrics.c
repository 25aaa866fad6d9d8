/* SPDX-License-Identifier: MIT */
/* The counters of databases and pools as metrics. */
#include "ops/observe/metric_rows.h"
#include "vestry/data/postgres.h"

static const vestry_metric_kind gauge = VESTRY_METRIC_GAUGE;

/* Following of commits. */
static vestry_err add_follower(vestry_metrics *metrics, const vestry_postgres_stats *is) {
  static const char level[] = "vestry_postgres_level";
  const vsi_metric_row rows[] = {
      {level, "How much a commit refreshes: 1 for the level of now.", "level", "reads", gauge,
       is->level == VESTRY_POSTGRES_READS},
      {level, NULL, "level", "tables", gauge, is->level == VESTRY_POSTGRES_TABLES},
      {level, NULL, "level", "topics", gauge, is->level == VESTRY_POSTGRES_TOPICS},
      {"vestry_postgres_following", "1: commits are followed.", NULL, NULL, gauge, is->is_following},
      {"vestry_postgres_starts", "Times that following began; each renders all that was read.", NULL, NULL, 0,
       is->starts_count},
      {"vestry_postgres_records", "Records of the WAL that were read.", NULL, NULL, 0, is->records_count},
      {"vestry_postgres_read_bytes", "Bytes of the WAL that were read.", NULL, NULL, 0, is->read_bytes},
      {"vestry_postgres_lag_bytes", "Bytes of the WAL that are not read yet.", NULL, NULL, gauge, is->lag_bytes},
      {"vestry_postgres_lag_seconds", "How long there have been some.", NULL, NULL, gauge, (double)is->lag_ms / 1000},
      {"vestry_postgres_commits", "Commits that wrote what a render can read.", NULL, NULL, 0, is->commits_count},
      {"vestry_postgres_fallbacks", "Times that all renders were followed by tables, for want of room for locks.", NULL,
       NULL, 0, is->fallbacks_count}};
  return VSI_METRIC_ROWS_ADD(metrics, rows);
}

/* Reads of renders, and the renders that commits requested. */
static vestry_err add_renders(vestry_metrics *metrics, const vestry_postgres_stats *is) {
  static const char refreshed[] = "vestry_postgres_refreshed";
  const vsi_metric_row rows[] = {
      {"vestry_postgres_renders_recorded", "Renders whose reads were recorded.", NULL, NULL, 0, is->recorded_count},
      {"vestry_postgres_renders_coarse",
       "Of these, by tables: they read too much, wrote, met conflicts, or had no room.", NULL, NULL, 0,
       is->coarse_count},
      {"vestry_postgres_renders_promoted", "Of these, with locks of rows that became one of a table.", NULL, NULL, 0,
       is->promoted_count},
      {"vestry_postgres_renders_again", "Renders that were made again: no room for locks, or a conflict.", NULL, NULL,
       0, is->again_count},
      {refreshed, "Renders that commits have asked for, by what of their reads was written.", "by", "row", 0,
       is->refreshed_by_row},
      {refreshed, NULL, "by", "leaf", 0, is->refreshed_by_leaf},
      {refreshed, NULL, "by", "table", 0, is->refreshed_by_table},
      {refreshed, NULL, "by", "schema", 0, is->refreshed_by_schema},
      {refreshed, NULL, "by", "all", 0, is->refreshed_by_all},
      {refreshed, NULL, "by", "overtaken", 0, is->overtaken_count},
      {"vestry_postgres_sets", "Renders whose reads are kept.", NULL, NULL, gauge, is->sets_count},
      {"vestry_postgres_sets_bytes", "Bytes that these take.", NULL, NULL, gauge, is->sets_bytes},
      {"vestry_postgres_ring", "Commits that are kept for renders that run.", NULL, NULL, gauge, is->ring_count}};
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
  vestry_postgres_pool_stats is = {0};
  if (!metrics || !pool) return VESTRY_INVALID;
  vestry_postgres_pool_stats_get(pool, &is);
  static const char transactions[] = "vestry_postgres_pool_transactions", connects[] = "vestry_postgres_pool_connects";
  const vsi_metric_row rows[] = {
      {"vestry_postgres_pool_loans", "Transactions that were begun.", NULL, NULL, 0, is.loans_count},
      {"vestry_postgres_pool_waits", "Of these, after waiting for a connection.", NULL, NULL, 0, is.waits_count},
      {"vestry_postgres_pool_refused", "Times that no connection was given back in time.", NULL, NULL, 0,
       is.refused_count},
      {"vestry_postgres_pool_lent", "Connections that are lent.", NULL, NULL, gauge, is.lent_count},
      {"vestry_postgres_pool_connected", "Connections that are not known to be lost.", NULL, NULL, gauge,
       is.connected_count},
      {"vestry_postgres_pool_prepared", "Statements that were prepared.", NULL, NULL, 0, is.prepared_count},
      {transactions, "Transactions, by their outcome; renders are rolled back.", "outcome", "committed", 0,
       is.committed_count},
      {transactions, NULL, "outcome", "rolled_back", 0, is.rolled_back_count},
      {"vestry_postgres_pool_conflicts", "Of these, because another transaction was in the way.", NULL, NULL, 0,
       is.conflicts_count},
      {connects, "Times that a connection was asked for, by their outcome.", "outcome", "made", 0, is.connects_count},
      {connects, NULL, "outcome", "failed", 0, is.failed_count}};
  return VSI_METRIC_ROWS_ADD(metrics, rows);
}
