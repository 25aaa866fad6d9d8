/* SPDX-License-Identifier: MIT */
#include "postgres/pooler.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/patience.h"
#include "support/port.h"
#include "support/test.h"
#include "support/until.h"

static const char program[] = "/usr/sbin/pgbouncer";

bool postgres_pooler_is_installed(void) {
  return access(program, X_OK) == 0;
}

bool postgres_pooler_keeps_servers(void) {
  unsigned major = 0, minor = 0;
  FILE *says = popen("/usr/sbin/pgbouncer --version", "r");
  assert_non_null(says);
  const int found = fscanf(says, "PgBouncer %u.%u", &major, &minor);
  pclose(says);
  assert_int_equal(found, 2);
  return major > 1 || minor > 23;
}

static void write_settings(const postgres_pooler *pooler, const postgres_server *server, const char *mode,
                           char path[128]) {
  snprintf(path, 128, "%s/pooler.ini", server->folder);
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fprintf(file,
          "[databases]\npostgres = host=%s port=%d user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
          "listen_port = %d\nunix_socket_dir =\nauth_type = any\ndefault_pool_size = 4\n"
          "ignore_startup_parameters = options\npool_mode = %s\n",
          server->folder, server->port, pooler->port, mode);
  assert_int_equal(fclose(file), 0);
}

void postgres_pooler_start(postgres_pooler *pooler, const postgres_server *server, const char *mode) {
  char path[128];
  *pooler = (postgres_pooler){.port = port_reserve()};
  snprintf(pooler->url, sizeof pooler->url, "postgresql://postgres@127.0.0.1:%d/postgres?sslmode=disable",
           pooler->port);
  write_settings(pooler, server, mode, path);
  pooler->pid = postgres_server_launch(server, (const char *const[]){program, path, NULL});
  unsigned looks = 0;
  for (time_t until = time(NULL) + PATIENCE_S; PQping(pooler->url) != PQPING_OK; until_pause(looks++))
    if (waitpid(pooler->pid, NULL, WNOHANG) == pooler->pid || time(NULL) > until) fail_msg("PgBouncer did not start");
}

void postgres_pooler_change(postgres_pooler *pooler, const postgres_server *server, const char *mode) {
  char path[128];
  write_settings(pooler, server, mode, path);
  assert_int_equal(kill(pooler->pid, SIGHUP), 0);
}

void postgres_pooler_finish(postgres_pooler *pooler) {
  if (!pooler->pid) return;
  kill(pooler->pid, SIGQUIT);
  waitpid(pooler->pid, NULL, 0);
  pooler->pid = 0;
}
