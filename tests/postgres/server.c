/* SPDX-License-Identifier: MIT */
#include "postgres/server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/folder.h"
#include "support/patience.h"
#include "support/port.h"
#include "support/test.h"
#include "support/until.h"

enum { ARGUMENTS_MAX = 64 };
static const char root[] = "/usr/lib/postgresql";

unsigned postgres_server_newest(void) {
  unsigned newest = 0;
  DIR *majors = opendir(root);
  if (!majors) return 0;
  for (const struct dirent *entry; (entry = readdir(majors));) {
    char path[512];
    unsigned major = (unsigned)strtoul(entry->d_name, NULL, 10);
    snprintf(path, sizeof path, "%s/%s/bin/initdb", root, entry->d_name);
    if (major > newest && access(path, X_OK) == 0) newest = major;
  }
  closedir(majors);
  return newest;
}

static void find_user(postgres_server *server) {
  if (geteuid() != 0) return;
  const struct passwd *user = getpwnam("postgres");
  if (!user) user = getpwnam("nobody");
  assert_non_null(user);
  server->user = user->pw_uid;
  server->group = user->pw_gid;
}

static void show_log(const postgres_server *server) {
  char path[128], line[512];
  snprintf(path, sizeof path, "%s/log", server->folder);
  FILE *file = fopen(path, "r");
  while (file && fgets(line, sizeof line, file)) fputs(line, stderr);
  if (file) fclose(file);
}

/* The child process that executes one of PostgreSQL's programs. */
static void exec_program(const postgres_server *server, pid_t parent, const char *const *arguments) {
  char path[128], log[128];
  const bool is_path = *arguments[0] == '/';
  snprintf(path, sizeof path, "%s%s%s", is_path ? "" : server->programs, is_path ? "" : "/", arguments[0]);
  snprintf(log, sizeof log, "%s/log", server->folder);
  int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
  int in = open("/dev/null", O_RDONLY);
  if (out < 0 || in < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) _exit(126);
  if (server->user && (setgroups(0, NULL) || setgid(server->group) || setuid(server->user))) _exit(126);
  if (chdir(server->folder)) _exit(126);
  prctl(PR_SET_PDEATHSIG, SIGQUIT); /* a failing test leaves no server behind */
  if (getppid() != parent) _exit(1);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  const int ends[] = {SIGINT, SIGQUIT, SIGTERM}; /* a shell ignores two of them for programs that it starts with & */
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) signal(ends[i], SIG_DFL);
  const char *all[ARGUMENTS_MAX] = {path}; /* initdb searches its companions in the folder of argv[0] */
  for (size_t i = 1; i < ARGUMENTS_MAX - 1 && arguments[i]; i++) all[i] = arguments[i];
  execv(path, (char *const *)(uintptr_t)all);
  _exit(127);
}

pid_t postgres_server_launch(const postgres_server *server, const char *const *arguments) {
  pid_t parent = getpid(), pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) exec_program(server, parent, arguments);
  return pid;
}

static int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

void postgres_server_call(const postgres_server *server, const char *const *arguments) {
  int status = wait_for(postgres_server_launch(server, arguments));
  if (status) show_log(server);
  assert_int_equal(status, 0);
}

static void make_folder(postgres_server *server, unsigned major) {
  *server = (postgres_server){.port = port_reserve(), .major = major};
  find_user(server);
  snprintf(server->programs, sizeof server->programs, "%s/%u/bin", root, server->major);
  folder_make(server->folder, "postgres");
  if (server->user) assert_int_equal(chown(server->folder, server->user, server->group), 0);
  snprintf(server->url, sizeof server->url, "host=%s port=%d user=postgres dbname=postgres", server->folder,
           server->port);
  snprintf(server->by_tcp, sizeof server->by_tcp, "postgresql://postgres@127.0.0.1:%d/postgres?sslmode=disable",
           server->port);
}

static void make_data(const postgres_server *server) {
  postgres_server_call(server, (const char *const[]){"initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E",
                                                     "UTF8", "--locale", "C", "--no-sync", NULL});
}

/* As this process's user, who can read every folder of the build. Owners and modes stay. */
static void copy_folder(const char *from, const char *to) {
  const pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    execlp("cp", "cp", "-aT", from, to, (char *)NULL);
    _exit(127);
  }
  if (wait_for(pid)) fail_msg("cp -aT %s %s failed", from, to);
}

/* initdb takes ten times as long as a copy of its result, so the tests of a build share one result. The first test
 * makes it, under a lock of the folder, and renames it when it is complete. */
void postgres_server_init(postgres_server *server, unsigned major) {
  const char *folder = getenv("VESTRY_POSTGRES_DATA");
  char shared[512], incomplete[520], data[128];
  make_folder(server, major ? major : postgres_server_newest());
  const int lock = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
  if (lock < 0) {
    make_data(server);
    return;
  }
  snprintf(shared, sizeof shared, "%s/postgres-%u-of-%u", folder, server->major, (unsigned)geteuid());
  snprintf(incomplete, sizeof incomplete, "%s.new", shared);
  snprintf(data, sizeof data, "%s/data", server->folder);
  assert_int_equal(flock(lock, LOCK_EX), 0);
  const bool is_first = access(shared, F_OK) != 0;
  if (is_first) {
    make_data(server);
    copy_folder(data, incomplete);
    assert_int_equal(rename(incomplete, shared), 0);
  }
  close(lock);
  if (!is_first) copy_folder(shared, data);
}

void postgres_server_init_standby(postgres_server *server, const postgres_server *of) {
  make_folder(server, of->major);
  postgres_server_call(server, (const char *const[]){"pg_basebackup", "-D", "data", "-d", of->url, "-R", "-N",
                                                     "--checkpoint=fast", NULL});
}

/* Return whether the server accepts connections: its process writes this into its lock file. For each PQping before
 * that, it forks a process that refuses. */
static bool is_ready(const postgres_server *server) {
  char path[128], line[512];
  snprintf(path, sizeof path, "%s/data/postmaster.pid", server->folder);
  FILE *file = fopen(path, "r");
  bool is_its_own = file && fgets(line, sizeof line, file) && strtol(line, NULL, 10) == server->pid, is_ready = false;
  while (is_its_own && !is_ready && fgets(line, sizeof line, file))
    is_ready = strncmp(line, "ready", 5) == 0 || strncmp(line, "standby", 7) == 0;
  if (file) fclose(file);
  return is_ready;
}

void postgres_server_start(postgres_server *server, const char *const *settings) {
  char port[16];
  snprintf(port, sizeof port, "%d", server->port);
  const char *arguments[ARGUMENTS_MAX] = {"postgres",     "-D", "data",      "-k",
                                          server->folder, "-h", "127.0.0.1", "-p",
                                          port,           "-F", "-c",        "max_prepared_transactions=10"};
  size_t count = 12;
  for (; settings && *settings; settings++) {
    assert_true(count + 3 < ARGUMENTS_MAX);
    arguments[count++] = "-c";
    arguments[count++] = *settings;
  }
  server->pid = postgres_server_launch(server, arguments);
  unsigned looks = 0;
  for (time_t until = time(NULL) + PATIENCE_S; !is_ready(server); until_pause(looks++)) {
    if (waitpid(server->pid, NULL, WNOHANG) == server->pid || time(NULL) > until) {
      server->pid = 0;
      show_log(server);
      fail_msg("the server did not start");
    }
  }
}

static void end_by(postgres_server *server, int signal) {
  if (!server->pid) return;
  kill(server->pid, signal);
  wait_for(server->pid);
  server->pid = 0;
}

void postgres_server_kill(postgres_server *server) {
  end_by(server, SIGQUIT);
}

void postgres_server_stop(postgres_server *server) {
  end_by(server, SIGINT);
}

void postgres_server_finish(postgres_server *server) {
  postgres_server_kill(server);
  folder_remove(server->folder);
}

void postgres_server_lead(const char *folder, const postgres_server *to) {
  char is[160], link[FOLDER_BYTES + 16];
  snprintf(is, sizeof is, "%s/.s.PGSQL.%d", to->folder, to->port);
  snprintf(link, sizeof link, "%s/.s.PGSQL.1", folder);
  (void)unlink(link);
  assert_int_equal(symlink(is, link), 0);
}

PGconn *postgres_server_connect(const postgres_server *server) {
  char url[sizeof server->url + 16];
  snprintf(url, sizeof url, "%s options=''", server->url);
  return PQconnectdb(url);
}

static PGresult *run(const postgres_server *server, const char *sql) {
  PGconn *connection = postgres_server_connect(server);
  PGresult *result = PQexec(connection, sql);
  ExecStatusType status = PQresultStatus(result);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail_msg("%s: %s", sql, PQerrorMessage(connection));
  PQfinish(connection);
  return result;
}

void postgres_server_run(const postgres_server *server, const char *sql) {
  PQclear(run(server, sql));
}

int64_t postgres_server_number(const postgres_server *server, const char *sql) {
  PGresult *result = run(server, sql);
  assert_int_equal(PQntuples(result), 1);
  int64_t number = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
  PQclear(result);
  return number;
}
