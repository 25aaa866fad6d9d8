/* SPDX-License-Identifier: MIT */
/* An application for acts.py, whose acts and jobs insert a row for each run that is committed. It kills itself at a
 * chosen call of the system, because a signal of another process seldom arrives within a commit.
 *   GET /             the page, with a form that has csrf and once
 *   GET /kill/{call}  kill this process (SIGKILL) at this call from now on, counted from 1
 *   POST /act/{id}    an act; the answer is 204
 *   POST /signals/{id}  the same, and the answer has signals
 *   POST /form        the form: field id
 * An id that seven divides is refused, after its row was inserted. */
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vestry/app/program.h"
#include "vestry/civetweb.h"
#include "vestry/data/sqlite.h"
#include "vestry/microhttpd.h"
#ifdef ACTS_POSTGRES
#include "vestry/data/postgres.h"
#endif

/* ---- calls of the system: the database and the server call these functions instead of those of libc ------------- */

static _Atomic(long) calls_left; /* relaxed: any order of the calls will do */

static void point(void) {
  if (atomic_load_explicit(&calls_left, memory_order_relaxed) > 0 &&
      atomic_fetch_sub_explicit(&calls_left, 1, memory_order_relaxed) == 1)
    kill(getpid(), SIGKILL);
}

#define INTERPOSE(type, name, parameters, ...)                                                                         \
  type name parameters {                                                                                               \
    static type(*next) parameters;                                                                                     \
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, #name);                                                              \
    point();                                                                                                           \
    return next(__VA_ARGS__);                                                                                          \
  }
INTERPOSE(ssize_t, write, (int fd, const void *bytes, size_t len), fd, bytes, len)
INTERPOSE(ssize_t, writev, (int fd, const struct iovec *pieces, int count), fd, pieces, count)
INTERPOSE(ssize_t, pwrite, (int fd, const void *bytes, size_t len, off_t at), fd, bytes, len, at)
INTERPOSE(ssize_t, pwrite64, (int fd, const void *bytes, size_t len, off64_t at), fd, bytes, len, at)
INTERPOSE(int, fsync, (int fd), fd)
INTERPOSE(int, fdatasync, (int fd), fd)
INTERPOSE(int, ftruncate, (int fd, off_t len), fd, len)
INTERPOSE(int, ftruncate64, (int fd, off64_t len), fd, len)
INTERPOSE(ssize_t, send, (int fd, const void *bytes, size_t len, int flags), fd, bytes, len, flags)
INTERPOSE(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), fd, message, flags)
INTERPOSE(ssize_t, recv, (int fd, void *bytes, size_t len, int flags), fd, bytes, len, flags)

static void be_killed(vestry_call *call) {
  int64_t calls;
  if (!vestry_call_get(call, VESTRY_IN_PATH, "call", VESTRY_INTO(&calls))) return;
  vestry_call_fail(call, vestry_reply_status(call->reply, 204));
  atomic_store(&calls_left, calls);
}

/* ---- the application --------------------------------------------------------------------------------------------- */

enum { JOB_LEASE_MS = 1000, NEVER_DIVISOR = 7 };

typedef struct counted {
  int64_t id;
} counted;

static const vestry_application_form form = {.action = "/form",
                                             VESTRY_INPUTS(VESTRY_INPUT(counted, id, .label = "Id"))};

static void home(vestry_call *call) {
  vestry_call_document(call, "Acts");
  vestry_call_form(call, &form, NULL);
  vestry_call_content(call);
  vestry_html_add(call->html, "<p>%d</p>", (int)vestry_call_integer(call, "SELECT count(*) FROM counted", NULL));
}

static void count(vestry_call *call, int64_t id) {
  vestry_call_run(call, "INSERT INTO counted(id) VALUES($1)", VESTRY_LIST(id));
  vestry_call_enqueue(call, "later", id, 0);
  if (id % NEVER_DIVISOR == 0) vestry_call_refuse(call, "not this one");
}

static int64_t id_of(vestry_call *call) {
  int64_t id = 0;
  vestry_call_get(call, VESTRY_IN_PATH, "id", VESTRY_INTO(&id));
  return id;
}

static void act(vestry_call *call) {
  count(call, id_of(call));
}

static void act_with_signals(vestry_call *call) {
  const int64_t id = id_of(call);
  count(call, id);
  vestry_call_signals(call, VESTRY_OBJECT("counted", id));
}

static void accept_form(vestry_call *call) {
  count(call, ((const counted *)call->values)->id);
}

static void later(vestry_call *call) {
  vestry_call_run(call, "INSERT INTO later(id) VALUES($1)", VESTRY_LIST(call->key));
}

static const vestry_entry entries[] = {VESTRY_PAGE("/", home),
                                       VESTRY_HANDLER("GET", "/kill/{call}", be_killed),
                                       VESTRY_ACT("/act/{id}", act),
                                       VESTRY_ACT("/signals/{id}", act_with_signals),
                                       VESTRY_FORM(&form, accept_form),
                                       VESTRY_JOB("later", later),
                                       {0}};

int main(int argc, char **argv) {
  bool is_postgres = false;
  int64_t lease_ms = 0;
  static const vestry_program_adapter adapters[] = {
      {&vestry_server_microhttpd, NULL}, {&vestry_server_civetweb, NULL}, {NULL, NULL}};
  const vestry_program_option own[] = {
      {"postgres", NULL, "--db is the address of a server", VESTRY_INTO(&is_postgres)},
      {"lease", "MS", "act_lease_ms [the default]", vestry_into_between(&lease_ms, 0, 60000)},
      {0}};
  /* The default of SQLite, as in a new application: a commit is on the disk. */
  static const vestry_sqlite_pool_options file = {
      .path = "acts.db", .schema = "CREATE TABLE counted(id INT); CREATE TABLE later(id INT)", .schema_version = 1};
  vestry_application_options application = {.name = "acts",
                                            .database = &vestry_sqlite_application,
                                            .database_options = &(vestry_sqlite_database){.pool = &file},
                                            .jobs = &(vestry_jobs_options){.lease_ms = JOB_LEASE_MS},
                                            .entries = entries};
  const vestry_program_options options = {
      .about = "Acts that are killed", .adapters = adapters, .options = own, .application = &application};
  vestry_program *program;
  const int status = vestry_program_read(argc, argv, &options, &program);
  if (status >= 0) return status;
  application.act_lease_ms = (uint64_t)lease_ms;
#ifdef ACTS_POSTGRES
  const vestry_postgres_pool_options server = {.url = "set by --db"};
  const vestry_postgres_database database = {.pool = &server};
  if (is_postgres) application.database = &vestry_postgres_application, application.database_options = &database;
#endif
  const vestry_err error = vestry_program_begin(program, &application);
  if (!error) (void)vestry_program_serve(program, NULL);
  return vestry_program_end(program);
}
