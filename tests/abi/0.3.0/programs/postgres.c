/* SPDX-License-Identifier: MIT */
/* Connect to a PostgreSQL server that does not exist: this is reported at once. */
#include <stdio.h>

#include <vestry/data/postgres.h>
#include <vestry/vestry.h>

static int lines;

static void count(void *ctx, vestry_log_level level, const char *line) {
  (void)ctx, (void)level, (void)line;
  lines++;
}

int main(void) {
  vestry_host host = *vestry_host_default();
  vestry_sql_pool *pool = NULL;
  host.log = count;
  const vestry_postgres_pool_options options = {.host = &host, .url = "host=/nowhere/at/all dbname=chat"};
  if (vestry_postgres_pool_create(&options, &pool) != VESTRY_LIMIT || pool || lines != 1) return 1;
  vestry_sql_pool_destroy(pool);
  printf("vestry %s\n", vestry_version());
  return 0;
}
