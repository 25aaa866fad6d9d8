/* SPDX-License-Identifier: MIT */
/* Several processes of the chat on one database. Each process detects commits of the others by itself, with SQLite
 * within 50 ms. To be faster, the processes notify each other of commits. A lost notification causes only a delay:
 * after a gap each process checks the database.
 *
 * The page /cluster shows the state of the processes. Each process publishes its number of streams once per second; the
 * cluster detects whether a process is alive. */
#include "chat.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef CHAT_NATS
#include "vestry/app/bus.h"
#include "vestry/cluster/nats.h"
#endif

enum { SECRET_LEAST_BYTES = 32, SECRET_MAX_BYTES = 1024, BEAT_MS = 1000 };

#define COMMIT VESTRY_KEY("commit") /* data: the node's name */
#define STATUS VESTRY_KEY("status") /* data: a JSON object */

/* The last status of a process. */
struct member {
  char name[VESTRY_NODE_MAX_BYTES + 1];
  vestry_member_state state;
  json_int_t tabs, keys, sent, received, gaps, lost;
};

struct cluster {
  struct app *app;
  vestry_broker broker;
  vestry_cluster *of; /* guarded by lock; NULL after this process has left */
  vestry_page *page;
  vestry_timer *timer;
  pthread_mutex_t lock;
  struct member members[VESTRY_CLUSTER_MAX_COUNT]; /* guarded by lock; the first member is this process */
  size_t members_count;                            /* guarded by lock */
  char console[CONSOLE_URL_BYTES];                 /* guarded by lock; of this process; "": it has none */
};

/* ------------------------------------------------------------------------------------------ members -------------- */

static struct member *member_locked(struct cluster *cluster, const char *name) {
  for (size_t i = 0; i < cluster->members_count; i++)
    if (strcmp(cluster->members[i].name, name) == 0) return &cluster->members[i];
  if (cluster->members_count == VESTRY_CLUSTER_MAX_COUNT) return NULL;
  struct member *made = &cluster->members[cluster->members_count++];
  *made = (struct member){.state = VESTRY_MEMBER_ALIVE};
  snprintf(made->name, sizeof made->name, "%s", name);
  return made;
}

static void on_member(const char *node, vestry_member_state state, void *ctx) {
  struct cluster *cluster = ctx;
  pthread_mutex_lock(&cluster->lock);
  struct member *member = member_locked(cluster, node);
  if (member) member->state = state;
  pthread_mutex_unlock(&cluster->lock);
  vestry_refresh_here(cluster->app->pages, "cluster", NULL);
}

/* Check for commits of other processes now. With PostgreSQL each process detects them at once. */
static void look_at_database(struct cluster *cluster) {
  if (!database_is_postgres(&cluster->app->db)) (void)vestry_sqlite_sync(cluster->app->db.followed, NULL);
}

/* After a gap, check the database for missed commits. */
static void on_gap(const vestry_gap *gap, void *ctx) {
  struct cluster *cluster = ctx;
  (void)gap;
  look_at_database(cluster);
  vestry_refresh_here(cluster->app->pages, "cluster", NULL);
}

/* -------------------------------------------------------------------------------------- notifications ------------- */

static void hear_commit(const vestry_bus_message *message, void *ctx) {
  struct cluster *cluster = ctx;
  bool is_own = message->len == strlen(cluster->app->node) && !memcmp(message->data, cluster->app->node, message->len);
  if (!is_own) look_at_database(cluster);
}

static void hear_status(const vestry_bus_message *message, void *ctx) {
  struct cluster *cluster = ctx;
  struct member said = {.tabs = 0};
  const char *name;
  json_t *object = json_loadb(message->data, message->len, 0, NULL);
  if (object &&
      json_unpack(object, "{s:s,s:I,s:I,s:I,s:I,s:I,s:I}", "node", &name, "tabs", &said.tabs, "keys", &said.keys,
                  "sent", &said.sent, "received", &said.received, "gaps", &said.gaps, "lost", &said.lost) == 0) {
    pthread_mutex_lock(&cluster->lock);
    struct member *member = member_locked(cluster, name);
    if (member) {
      said.state = member->state;
      memcpy(said.name, member->name, sizeof said.name);
      *member = said;
    }
    pthread_mutex_unlock(&cluster->lock);
  }
  json_decref(object);
}

static void beat(vestry_timer *timer, void *ctx) {
  struct cluster *cluster = ctx;
  vestry_stats of_streams = {0};
  vestry_cluster_stats stats = {0};
  (void)timer;
  vestry_stats_get(cluster->app->program.v, &of_streams);
  vestry_cluster_stats_get(cluster->of, &stats);
  json_t *object = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I}", "node", cluster->app->node, "tabs",
                             (json_int_t)of_streams.open_count, "keys", (json_int_t)stats.keys_count, "sent",
                             (json_int_t)stats.sent_count, "received", (json_int_t)stats.received_count, "gaps",
                             (json_int_t)stats.gaps_count, "lost", (json_int_t)stats.lost_count);
  char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
  if (text) (void)vestry_cluster_publish(cluster->of, NO_SCOPE, STATUS, text, strlen(text));
  free(text);
  json_decref(object);
  vestry_refresh_here(cluster->app->pages, "cluster", NULL);
}

/* Notify the other processes of a commit. A process that misses it, for example because the broker is down, detects the
 * commit slightly later. */
static void on_commit(void *ctx) {
  struct cluster *cluster = ctx;
  pthread_mutex_lock(&cluster->lock); /* vestry may commit, for sessions, while this process leaves */
  (void)vestry_cluster_publish(cluster->of, NO_SCOPE, COMMIT, cluster->app->node, strlen(cluster->app->node));
  pthread_mutex_unlock(&cluster->lock);
}

/* -------------------------------------------------------------------------------------------- the page ------------ */

static const char *state_name(vestry_member_state state) {
  switch (state) {
  case VESTRY_MEMBER_ALIVE: return "alive";
  case VESTRY_MEMBER_SUSPECT: return "not responding";
  case VESTRY_MEMBER_DEAD: return "dead";
  case VESTRY_MEMBER_DRAINING: return "draining";
  case VESTRY_MEMBER_LEFT: return "gone";
  case VESTRY_MEMBER_REFUSED: return "refused: the name is in use";
  default: return "unknown";
  }
}

static void put_member(vestry_html *html, const struct member *member, bool is_own) {
  vestry_html_add(html,
                  "<tr id=\"node-%s\" data-state=\"%s\"%-s><th scope=\"row\">%s</th><td>%s</td><td>%lld</td>"
                  "<td>%lld</td><td>%lld</td><td>%lld</td><td>%lld</td><td>%lld</td></tr>",
                  member->name, state_name(member->state), is_own ? " aria-current=\"true\"" : "", member->name,
                  state_name(member->state), (long long)member->tabs, (long long)member->keys, (long long)member->sent,
                  (long long)member->received, (long long)member->gaps, (long long)member->lost);
}

static int by_name(const void *one, const void *other) {
  return strcmp(((const struct member *)one)->name, ((const struct member *)other)->name);
}

/* Render the page /cluster, which is the same for all tabs of this process: its name, and the state of all
 * processes. */
static vestry_err render(vestry_render *render, vestry_html *html, void *ctx) {
  struct cluster *cluster = ctx;
  const struct app *app = cluster->app;
  struct member members[VESTRY_CLUSTER_MAX_COUNT];
  char console[CONSOLE_URL_BYTES];
  vestry_render_topic(render, "cluster");
  pthread_mutex_lock(&cluster->lock);
  memcpy(console, cluster->console, sizeof console);
  const size_t count = cluster->members_count;
  if (cluster->of) cluster->members[0].state = vestry_cluster_member(cluster->of, app->node);
  memcpy(members, cluster->members, count * sizeof *members);
  bool is_up = cluster->of && cluster->broker.ops->state(cluster->broker.broker) == VESTRY_BROKER_UP;
  pthread_mutex_unlock(&cluster->lock);
  qsort(members, count, sizeof *members, by_name);
  program_live_begin(&app->program, render, html, "Cluster");
  vestry_render_begin(render, html);
  vestry_html_add(html,
                  "<h1>Cluster</h1><p>This tab is served by <b id=\"own\">%s</b>. The broker is "
                  "<b id=\"broker\">%-s</b>.</p><div><table><thead><tr><th scope=\"col\">Node</th>"
                  "<th scope=\"col\">State</th><th scope=\"col\">Tabs</th><th scope=\"col\">Keys</th>"
                  "<th scope=\"col\">Sent</th><th scope=\"col\">Received</th><th scope=\"col\">Gaps</th><th "
                  "scope=\"col\">Lost</th></tr></thead>"
                  "<tbody>",
                  app->node, is_up ? "up" : "down");
  for (size_t i = 0; i < count; i++) put_member(html, &members[i], strcmp(members[i].name, app->node) == 0);
  vestry_html_add(html, "</tbody></table></div><p>Two nodes that connect have a gap, too: earlier messages may be "
                        "missing. After each gap all pages are rendered again.</p>");
  if (*console)
    vestry_html_add(html,
                    "<p><a id=\"console\" href=\"%s#cluster\">The console of %s</a>, for browsers on its machine</p>",
                    console, app->node);
  vestry_html_add(html, "<p><a href=\"/\">To the chat</a></p>");
  vestry_render_end(render, html);
  return program_live_end(html);
}

static vestry_err serve(const vestry_request *req, vestry_reply *reply, void *ctx) {
  if (vestry_session_user(req)) return vestry_page_serve(req, reply, ((struct cluster *)ctx)->page, "cluster");
  return req->is_datastar ? vestry_reply_status(reply, 401) : vestry_reply_redirect(reply, 303, "/");
}

/* --------------------------------------------------------------------------------------- begin and end ------------ */

/* Read a secret from a file, without changes. Returns its length; 0: it is missing or too short. */
static size_t read_secret(const char *path, char secret[SECRET_MAX_BYTES]) {
  FILE *file = path ? fopen(path, "rb") : NULL;
  size_t len = file ? fread(secret, 1, SECRET_MAX_BYTES, file) : 0;
  if (path && !file) fprintf(stderr, "chat: %s: %s\n", path, strerror(errno));
  if (file) fclose(file);
  if ((file || !path) && len < SECRET_LEAST_BYTES)
    fprintf(stderr, "chat: --cluster needs --secret-file FILE, with at least %d bytes\n", SECRET_LEAST_BYTES);
  return len < SECRET_LEAST_BYTES ? 0 : len;
}

static vestry_err create_broker(const struct app *app, vestry_broker *ret_broker) {
#ifdef CHAT_NATS
  const vestry_nats_options options = {.servers = &app->cluster_url, .servers_count = 1, .name = app->node};
  return vestry_nats_create(&options, ret_broker);
#else
  (void)app, (void)ret_broker;
  fprintf(stderr, "chat: this program was built without libnats\n");
  return VESTRY_UNSUPPORTED;
#endif
}

static vestry_err join(struct cluster *cluster) {
  struct app *app = cluster->app;
  char secret[SECRET_MAX_BYTES];
  vestry_cluster_options options = {.node = app->node,
                                    .secret = secret,
                                    .secret_len = read_secret(app->secret_file, secret),
                                    .pages = app->pages,
                                    .on_gap = on_gap,
                                    .on_member = on_member,
                                    .ctx = cluster};
  if (!options.secret_len) return VESTRY_INVALID;
  vestry_err err = create_broker(app, &cluster->broker);
  return err ? err : vestry_cluster_create(app->program.v, &cluster->broker, &options, &cluster->of);
}

vestry_err cluster_begin(struct app *app) {
  if (!app->cluster_url) return VESTRY_OK;
  struct cluster *cluster = app->cluster = calloc(1, sizeof *cluster);
  if (!cluster) return VESTRY_NO_MEMORY;
  pthread_mutex_init(&cluster->lock, NULL);
  cluster->app = app;
  (void)member_locked(cluster, app->node);
  vestry *v = app->program.v;
  const struct {
    const vestry_key *key;
    vestry_bus_message_fn call;
  } topics[] = {{COMMIT, hear_commit}, {STATUS, hear_status}};
  vestry_err err = VESTRY_OK;
  for (size_t i = 0; i < sizeof topics / sizeof *topics && !err; i++)
    err = vestry_subscribe(v, NO_SCOPE, topics[i].key, &(vestry_subscriber){.call = topics[i].call, .ctx = cluster},
                           NULL);
  const vestry_page_options page = {.render = render, .id = "cluster", .allow = page_may_see, .app = cluster};
  if (!err) err = join(cluster);
  if (!err) err = vestry_page_create(app->pages, &page, &cluster->page);
  if (!err) err = vestry_route(v, "GET", "/cluster", serve, cluster);
  if (!err) err = vestry_timer_create(vestry_parts_of(v)->runtime, beat, cluster, &cluster->timer);
  if (!err) err = vestry_timer_set(cluster->timer, 0, BEAT_MS);
  if (!err) vestry_sqlite_pool_on_commit(app->db.pool, on_commit, cluster); /* PostgreSQL: no effect */
  return err;
}

/* Set the URL of the console. It is available only at this process's own port, because requests through the balancer do
 * not count as requests of this machine. */
static void on_ready(vestry_server *server, void *ctx) {
  struct cluster *cluster = ((struct app *)ctx)->cluster;
  const struct program *program = &cluster->app->program;
  pthread_mutex_lock(&cluster->lock);
  program_console_url(program, program->is->server->address, server->port, cluster->console);
  pthread_mutex_unlock(&cluster->lock);
  vestry_refresh_here(cluster->app->pages, "cluster", NULL);
}

#ifdef CHAT_NATS
static vestry_err add_metrics(vestry_metrics *to, void *ctx) {
  struct cluster *cluster = ctx;
  vestry_err err = vestry_application_metrics(to, cluster->app->program.app);
  return err ? err : vestry_nats_metrics(to, &cluster->broker);
}
#endif

void cluster_show(struct app *app) {
  if (!app->cluster) return;
  struct program *program = &app->program;
  program->shown.cluster = app->cluster->of;
  if (program->has_console) program->on_ready = on_ready;
#ifdef CHAT_NATS
  if (app->cluster->broker.ops) program->shown.more = add_metrics, program->shown.more_ctx = app->cluster;
#endif
}

void cluster_leave(struct app *app) {
  struct cluster *cluster = app->cluster;
  if (!cluster) return;
  vestry_sqlite_pool_on_commit(app->db.pool, NULL, NULL);
  vestry_timer_destroy(cluster->timer);
  pthread_mutex_lock(&cluster->lock); /* a page may still be rendering */
  vestry_cluster *of = cluster->of;
  cluster->of = NULL;
  pthread_mutex_unlock(&cluster->lock);
  vestry_cluster_destroy(of);
}

void cluster_end(struct app *app) {
  struct cluster *cluster = app->cluster;
  if (!cluster) return;
  if (cluster->broker.ops) cluster->broker.ops->destroy(cluster->broker.broker);
  pthread_mutex_destroy(&cluster->lock);
  free(cluster);
  app->cluster = NULL;
}
