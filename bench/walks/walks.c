/* SPDX-License-Identifier: MIT */
/* Runs a walk of docs/architecture.md once: walks NAME [NATS-URL]. It leaves a database in its folder. scripts/walks
 * builds the libraries and this program with -finstrument-functions, and counts the output: for each function that was
 * entered or left during the walk, on any thread, "+" or "-", the thread, the library and the address within it. */
#include <dlfcn.h>
#include <netinet/in.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <vestry/app/page.h>
#include <vestry/cluster/cluster.h>
#include <vestry/cluster/nats.h>
#include <vestry/data/sqlite.h>
#include <vestry/microhttpd.h>
#include <vestry/testing/memory.h>
#include <vestry/vestry.h>

#define QUIET __attribute__((no_instrument_function))
#define KEY   VESTRY_KEY("room", 7)
enum { STEPS_MOST = 1 << 20, LOOK_NS = 1000000, LOOKS = 20000, IDLE_MS = 1000 };

/* ---- the record -------------------------------------------------------------------------------------------------- */

typedef struct step {
  void *function;
  unsigned thread;
  bool is_left;
} step;

static step steps[STEPS_MOST];
static _Atomic(size_t) steps_count;
static _Atomic(unsigned) threads_count;
static _Thread_local unsigned thread;
static _Atomic(bool) is_under_way;

QUIET static void record(void *function, bool is_left) {
  if (!atomic_load(&is_under_way)) return;
  if (!thread) thread = 1 + atomic_fetch_add(&threads_count, 1);
  size_t at = atomic_fetch_add(&steps_count, 1);
  if (at < STEPS_MOST) steps[at] = (step){function, thread, is_left};
}

QUIET void __cyg_profile_func_enter(void *function, void *from);
QUIET void __cyg_profile_func_enter(void *function, void *from) {
  (void)from;
  record(function, false);
}

QUIET void __cyg_profile_func_exit(void *function, void *from);
QUIET void __cyg_profile_func_exit(void *function, void *from) {
  (void)from;
  record(function, true);
}

QUIET static void print_steps(void) {
  size_t count = atomic_load(&steps_count);
  for (size_t i = 0; i < count && i < STEPS_MOST; i++) {
    Dl_info info;
    if (dladdr(steps[i].function, &info))
      printf("%c %u %s %#zx\n", steps[i].is_left ? '-' : '+', steps[i].thread, info.dli_fname,
             (size_t)((char *)steps[i].function - (char *)info.dli_fbase));
  }
}

QUIET static void must(bool is_well, const char *what) {
  if (is_well) return;
  fprintf(stderr, "walks: %s\n", what);
  exit(1);
}
#define MUST(call) must((call) == VESTRY_OK, #call)
#define UNTIL(is_so)                                                                                                   \
  for (int looks = 0; !(is_so); looks++) {                                                                             \
    must(looks < LOOKS, #is_so);                                                                                       \
    nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);                                                           \
  }

/* ---- streams ----------------------------------------------------------------------------------------------------- */

static uint64_t turned_ns;

QUIET static uint64_t now_ns(void *ctx) {
  (void)ctx;
  return vestry_host_default()->now_ns(NULL) + turned_ns;
}

static bool has_state; /* the events show a state, and are elements */

static vestry_err keep(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  MUST(vestry_reply_key(reply, KEY));
  vestry_reply_any_client(reply);
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

QUIET static json_t *effects(void) {
  if (has_state) return json_pack("[[s,s,{s:s}]]", "patch-elements", "<b id=\"n\">1</b>", "state", "n");
  return json_pack("[[s,{s:i}]]", "patch-signals", "n", 1);
}

QUIET static vestry_memory_exchange *open_stream(vestry *v, vestry_handler_fn handler, const char *path) {
  vestry_memory_exchange *exchange;
  MUST(vestry_memory_request(v, &(vestry_memory_call){.path = path, .datastar = true}, handler, NULL, &exchange));
  return exchange;
}

static void on_purge(const vestry_purged *purged, void *ctx) {
  (void)purged, (void)ctx;
  atomic_store(&is_under_way, false);
}

static const vestry_host *host(void) {
  static vestry_host turned;
  turned = *vestry_host_default();
  turned.now_ns = now_ns;
  turned.coarse_ns = NULL;
  return &turned;
}

static vestry *create(uint32_t threads_count) {
  vestry *v;
  MUST(vestry_create(&(vestry_options){.host = host(),
                                       .threads_count = threads_count,
                                       .purge = on_purge,
                                       .idle_ms = threads_count == VESTRY_THREADS_NONE ? IDLE_MS : 0},
                     &v));
  return v;
}

/* ---- the walks --------------------------------------------------------------------------------------------------- */

static void walk_key(void) {
  vestry *v = create(VESTRY_THREADS_NONE);
  for (int i = 0; i < 2; i++) { /* the first run makes objects that are made only once */
    atomic_store(&is_under_way, i);
    (void)open_stream(v, keep, "/");
    vestry_memory_settle(v);
  }
}

static void walk_idle(void) {
  vestry *v = create(VESTRY_THREADS_NONE);
  (void)open_stream(v, keep, "/");
  vestry_memory_settle(v);
  turned_ns = UINT64_C(10) * IDLE_MS * 1000000;
  atomic_store(&is_under_way, true);
  vestry_memory_settle(v);
  must(!atomic_load(&is_under_way), "nothing was purged");
}

/* Open a socket, request the stream, and read its head. */
QUIET static int subscribe(uint16_t port) {
  static const char head[] = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n";
  char some[4096];
  const struct sockaddr_in at = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  must(fd >= 0 && !connect(fd, (const struct sockaddr *)&at, sizeof at) && write(fd, head, sizeof head - 1) > 0,
       "no connection");
  must(read(fd, some, sizeof some) > 0, "no head");
  return fd;
}

QUIET static void dispatch_to(vestry *v, int fd) {
  char some[4096];
  json_t *list = effects();
  vestry_dispatch_result result = {0};
  MUST(vestry_dispatch_with(v, list, &(vestry_dispatch_options){.key = KEY}, &result));
  json_decref(list);
  must(result.connections_count == 1 && read(fd, some, sizeof some) > 0, "nothing came");
}

QUIET static void walk_dispatch_to(vestry *from, int fd) {
  for (int i = 0; i < 3; i++) dispatch_to(from, fd);
  nanosleep(&(struct timespec){.tv_nsec = 50 * LOOK_NS}, NULL); /* wait for remaining work */
  atomic_store(&is_under_way, true);
  dispatch_to(from, fd);
  nanosleep(&(struct timespec){.tv_nsec = 50 * LOOK_NS}, NULL); /* wait until its threads are idle */
  atomic_store(&is_under_way, false);
}

QUIET static int serve(vestry *v) {
  vestry_server *server;
  MUST(vestry_route(v, "GET", "/stream", keep, NULL));
  MUST(vestry_server_create(v, &vestry_server_microhttpd, NULL, &server));
  return subscribe(server->port);
}

static vestry_err name_the_key(const vestry_request *req, vestry_reply *reply, void *app) {
  const int n = 1;
  (void)req, (void)app;
  vestry_reply_key(reply, KEY);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", n));
}

QUIET static void post(vestry *v, int fd) {
  static const vestry_memory_call call = {.method = "POST", .path = "/", .datastar = true, .body = "{}", .body_len = 2};
  char some[4096];
  vestry_memory_exchange *exchange;
  MUST(vestry_memory_request(v, &call, name_the_key, NULL, &exchange));
  must(vestry_memory_look(exchange).status == 204 && read(fd, some, sizeof some) > 0, "nothing came");
  vestry_memory_destroy(exchange);
}

static void walk_post(void) {
  vestry *v = create(1);
  int fd = serve(v);
  for (int i = 0; i < 3; i++) post(v, fd);
  nanosleep(&(struct timespec){.tv_nsec = 50 * LOOK_NS}, NULL); /* wait for remaining work */
  atomic_store(&is_under_way, true);
  post(v, fd);
  nanosleep(&(struct timespec){.tv_nsec = 50 * LOOK_NS}, NULL); /* wait until its threads are idle */
  atomic_store(&is_under_way, false);
}

static void walk_dispatch(void) {
  vestry *v = create(1);
  int fd = serve(v);
  walk_dispatch_to(v, fd);
}

QUIET static vestry_cluster *join(vestry *v, const char *url, const char *node) {
  static const char secret[] = "of no other cluster than of this one";
  static const char *const allow[] = {"patch-signals", NULL};
  static vestry_broker brokers[2];
  static int count;
  vestry_cluster *cluster;
  MUST(vestry_nats_create(&(vestry_nats_options){.servers = &url, .servers_count = 1}, &brokers[count]));
  const vestry_cluster_options options = {
      .node = node, .secret = secret, .secret_len = sizeof secret, .allow = allow, .heartbeat_ms = 500};
  MUST(vestry_cluster_create(v, &brokers[count++], &options, &cluster));
  return cluster;
}

static void walk_far(const char *url) {
  vestry *here = create(1), *there = create(1);
  vestry_cluster *own = join(here, url, "here");
  vestry_cluster_stats stats = {0};
  (void)join(there, url, "there");
  int fd = serve(there);
  UNTIL((vestry_cluster_stats_get(own, &stats), stats.others_keys_count));
  walk_dispatch_to(here, fd);
}

static sqlite3 *db;

static vestry_err show(vestry_render *render, vestry_html *html, void *app) {
  (void)app;
  sqlite3_stmt *count;
  must(!sqlite3_prepare_v2(db, "SELECT count(*) FROM message", -1, &count, NULL) && sqlite3_step(count) == SQLITE_ROW,
       "no count");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%d</b>", sqlite3_column_int(count, 0));
  sqlite3_finalize(count);
  return vestry_render_end(render, html);
}

/* Insert a row, and wait until the tab has been sent its event. */
QUIET static void show_a_row(vestry_pages *pages, vestry_memory_exchange *tab) {
  const size_t before = vestry_memory_look(tab).writes_count;
  must(!sqlite3_exec(db, "INSERT INTO message VALUES(1)", NULL, NULL, NULL), "no insert");
  UNTIL((MUST(vestry_pages_settle(pages, UINT64_MAX, 1000)), vestry_memory_look(tab).writes_count > before));
}

static void walk_commit(void) {
  char folder[] = "walks-XXXXXX", path[sizeof folder + 8];
  vestry_pages *pages;
  vestry_page *page;
  vestry_sqlite *database;
  vestry_sqlite_connection *connection;
  must(mkdtemp(folder) != NULL, "no folder");
  snprintf(path, sizeof path, "%s/db", folder);
  must(!sqlite3_open(path, &db) &&
           !sqlite3_exec(db, "PRAGMA journal_mode = WAL; CREATE TABLE message(id)", NULL, NULL, NULL),
       "no database");
  vestry *v = create(VESTRY_THREADS_NONE);
  MUST(vestry_pages_create(v, NULL, &pages));
  MUST(vestry_page_create(pages, &(vestry_page_options){.render = show}, &page));
  MUST(vestry_route(v, "GET", "/page", vestry_page_handler, page));
  MUST(vestry_sqlite_create(pages, &(vestry_sqlite_options){.path = path, .poll_ms = 60000}, &database));
  MUST(vestry_sqlite_attach(database, db, &connection));
  vestry_memory_exchange *tab = open_stream(v, NULL, "/page");
  MUST(vestry_sqlite_sync(database, NULL));
  show_a_row(pages, tab);                                   /* by the following thread, which has then started */
  nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* the file changed in an earlier tick of the clock */
  show_a_row(pages, tab);
  atomic_store(&is_under_way, true);
  show_a_row(pages, tab);
  atomic_store(&is_under_way, false);
}

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "";
  if (!strcmp(name, "key")) walk_key();
  if (!strcmp(name, "post")) walk_post();
  has_state = !strcmp(name, "queue");
  if (!strcmp(name, "dispatch") || has_state) walk_dispatch();
  if (!strcmp(name, "idle")) walk_idle();
  if (!strcmp(name, "commit")) walk_commit();
  if (!strcmp(name, "far") && argc > 2) walk_far(argv[2]);
  atomic_store(&is_under_way, false);
  print_steps();
  fflush(stdout);
  _exit(0); /* no cleanup, because it is not part of a walk */
}
