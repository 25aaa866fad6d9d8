/* SPDX-License-Identifier: MIT */
/* G11: a tab that reconnects to another node with its ids receives only the fragments that differ. G12: each node keeps
 * a history of a channel. The tests run two nodes of a cluster on the stepped runtime. */
#include <stdlib.h>

#include "channel/log_tab.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/app/history.h"
#include "vestry/app/page.h"
#include "vestry/cluster/cluster.h"
#include "vestry/testing/memory.h"
#include "vestry/testing/memory_network.h"
#include "vestry/vestry.h"

static const char secret[32] = "thirty-two bytes, all of them.";
static const char another[32] = "thirty-two bytes, all of those.";

typedef enum versions { UNKNOWN, OF_THE_PROCESS, OF_THE_DATA } versions;

/* The application on one node: the content that it shows, and the number of renders. */
typedef struct node {
  vestry *v;
  vestry_pages *pages;
  vestry_page *page;
  vestry_broker broker;
  vestry_cluster *cluster;
  const char *text, *part;
  versions versions;
  uint64_t version;
  size_t made; /* renders of content */
} node;

typedef struct world {
  test_host th;
  vestry_runtime *runtime;
  vestry_memory_network *network;
  node nodes[2];
} world;

static vestry_err inside(vestry_render *render, vestry_html *html, void *app) {
  vestry_render_topic(render, "part");
  return vestry_html_add(html, "<i>%s</i>", ((node *)app)->part);
}

static vestry_err make(vestry_render *render, vestry_html *html, void *app) {
  node *at = app;
  vestry_render_topic(render, "text");
  if (at->versions == OF_THE_PROCESS && vestry_render_is_current(render, at->version)) return VESTRY_OK;
  if (at->versions == OF_THE_DATA && vestry_render_is_current_anywhere(render, at->version)) return VESTRY_OK;
  if (render->is_stream) at->made++;
  vestry_html_add(html, "<!doctype html><title>x</title>");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%s</p>", at->text);
  const vestry_page_part part = {.id = "part", .share = "", .render = inside, .app = at};
  if (at->part) vestry_render_part(render, html, &part);
  return vestry_render_end(render, html);
}

static vestry_err serve_shared(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_page_serve(req, reply, ((node *)app)->page, "all");
}

static void start(world *w, size_t place, const vestry_pages_options *pages, const char *of_cluster) {
  node *at = &w->nodes[place];
  *at = (node){.text = "same"};
  const vestry_options options = {.host = &w->th.host, .runtime = w->runtime};
  assert_int_equal(vestry_create(&options, &at->v), VESTRY_OK);
  assert_int_equal(vestry_pages_create(at->v, pages, &at->pages), VESTRY_OK);
  assert_int_equal(vestry_page_create(at->pages, &(vestry_page_options){.render = make, .app = at}, &at->page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(at->v, "GET", "/", vestry_page_handler, at->page), VESTRY_OK);
  assert_int_equal(vestry_route(at->v, "GET", "/shared", serve_shared, at), VESTRY_OK);
  if (!of_cluster) return;
  assert_int_equal(vestry_memory_network_join(w->network, &at->broker), VESTRY_OK);
  const vestry_cluster_options cluster = {
      .node = place ? "b" : "a", .secret = of_cluster, .secret_len = sizeof secret, .pages = at->pages};
  assert_int_equal(vestry_cluster_create(at->v, &at->broker, &cluster, &at->cluster), VESTRY_OK);
}

static void stop(node *at) {
  assert_int_equal(vestry_stop(at->v, 0), VESTRY_OK);
  vestry_cluster_destroy(at->cluster);
  if (at->cluster) at->broker.ops->destroy(at->broker.broker);
  vestry_pages_destroy(at->pages);
  vestry_destroy(at->v);
}

/* Start node a, and node b with the given pages and cluster. */
static void begin(world *w, const vestry_pages_options *pages_of_b, const char *cluster_of_b) {
  memset(w, 0, sizeof *w);
  test_host_init(&w->th);
  const vestry_runtime_options runtime = {.host = &w->th.host, .threads_count = VESTRY_THREADS_NONE};
  assert_int_equal(vestry_runtime_create(&runtime, &w->runtime), VESTRY_OK);
  assert_int_equal(vestry_memory_network_create(w->runtime, NULL, &w->network), VESTRY_OK);
  start(w, 0, &(vestry_pages_options){.build = "1"}, secret);
  start(w, 1, pages_of_b, cluster_of_b);
}

static void end(world *w) {
  for (size_t i = 0; i < 2; i++) stop(&w->nodes[i]);
  while (vestry_runtime_step(w->runtime)) continue;
  vestry_memory_network_destroy(w->network);
  vestry_runtime_destroy(w->runtime);
  test_host_assert_clean(&w->th);
}

static const vestry_pages_options of_same_build = {.build = "1"};

/* ---- a tab ------------------------------------------------------------------------------------------------------- */

typedef struct tab {
  const char *path;
  char had[400];
  vestry_memory_exchange *stream;
} tab;

static void copy_until(char *out, size_t room, const char *at, char stop) {
  size_t len = strcspn(at, (char[]){stop, '\0'});
  assert_true(len < room);
  memcpy(out, at, len);
  out[len] = '\0';
}

static void settle(node *at) {
  uint64_t seq;
  assert_int_equal(vestry_refresh(at->pages, "nothing", &seq), VESTRY_OK);
  assert_int_equal(vestry_pages_settle(at->pages, seq, 0), VESTRY_OK);
  vestry_memory_settle(at->v);
}

/* Load the document, which contains the ids of its fragments. */
static void load(tab *t, node *at, const char *path) {
  *t = (tab){.path = path};
  vestry_memory_exchange *document = NULL;
  assert_int_equal(vestry_memory_request(at->v, &(vestry_memory_call){.path = path}, NULL, NULL, &document), VESTRY_OK);
  const char *had = strstr(vestry_memory_look(document).received.data, "el.had = '");
  assert_non_null(had);
  copy_until(t->had, sizeof t->had, had + strlen("el.had = '"), '\'');
  vestry_memory_destroy(document);
}

/* Return what the stream has received since the last call; the last id is stored in the tab. */
static const char *news(tab *t) {
  const char *text = vestry_memory_since(t->stream).data;
  for (const char *at = text; (at = strstr(at, "\nid: ")) != NULL; at++)
    copy_until(t->had, sizeof t->had, at + strlen("\nid: "), '\n');
  return text;
}

static const char *connect(tab *t, node *at) {
  const vestry_header id = {"Last-Event-ID", t->had};
  const vestry_memory_call call = {.path = t->path, .datastar = true, .headers = &id, .headers_count = 1};
  assert_int_equal(vestry_memory_request(at->v, &call, NULL, NULL, &t->stream), VESTRY_OK);
  settle(at);
  return news(t);
}

static void leave(tab *t, node *at) {
  vestry_memory_destroy(t->stream);
  t->stream = NULL;
  settle(at);
}

static bool has_content(const char *text) {
  return strstr(text, "patch-elements") != NULL;
}

/* A tab that has received everything from node a reconnects to node b. Returns whether b sends content. */
static bool moves(world *w, const char *path) {
  node *a = &w->nodes[0], *b = &w->nodes[1];
  tab t;
  load(&t, a, path);
  assert_false(has_content(connect(&t, a)));
  leave(&t, a);
  const char *text = connect(&t, b);
  bool is_sent = has_content(text);
  if (is_sent) assert_non_null(strstr(text, b->text));
  leave(&t, b);
  return is_sent;
}

/* ---- ids that are valid on each node ----------------------------------------------------------------------------- */

/* capability: G11 */
TEST_CASE(g11_equal_content_is_not_sent_by_another_node) {
  static const char *const paths[] = {"/", "/shared"};
  for (size_t i = 0; i < 2; i++) {
    world w;
    begin(&w, &of_same_build, secret);
    assert_false(moves(&w, paths[i]));
    assert_true(w.nodes[1].made > 0); /* the content was compared */
    w.nodes[1].text = "other";
    assert_true(moves(&w, paths[i]));
    end(&w);
  }
}

#define WORLD_CASE(name) TEST_CASE_WITH(name, world, w, begin(w, &of_same_build, secret), end(w))

/* An id received in a stream counts like an id in the document. */
/* capability: G11 */
WORLD_CASE(g11_stream_id_is_valid_on_each_node) {
  node *a = &w->nodes[0], *b = &w->nodes[1];
  tab t;
  load(&t, a, "/");
  connect(&t, a);
  a->text = "changed";
  assert_int_equal(vestry_refresh(a->pages, "text", NULL), VESTRY_OK);
  settle(a);
  assert_true(has_content(news(&t)));
  leave(&t, a);
  b->text = "changed";
  assert_false(has_content(connect(&t, b)));
  leave(&t, b);
  b->text = "same";
  assert_true(has_content(connect(&t, b)));
  leave(&t, b);
  assert_true(has_content(connect(&t, a)));
  leave(&t, a);
}

/* capability: G11 */
WORLD_CASE(g11_each_part_is_compared) {
  node *a = &w->nodes[0], *b = &w->nodes[1];
  a->part = b->part = "one";
  assert_false(moves(w, "/"));
  b->part = "two";
  assert_int_equal(vestry_refresh(b->pages, "part", NULL), VESTRY_OK); /* b keeps the part of the tab that has left */
  tab t;
  load(&t, a, "/");
  const char *text = connect(&t, b);
  assert_non_null(strstr(text, "<i>two</i>"));
  leave(&t, b);
  /* The id of a part's event identifies that part only. Only the node that sent the page knows its content. */
  load(&t, a, "/");
  connect(&t, a);
  a->part = "two";
  assert_int_equal(vestry_refresh(a->pages, "part", NULL), VESTRY_OK);
  settle(a);
  assert_non_null(strstr(news(&t), "<i>two</i>"));
  leave(&t, a);
  text = connect(&t, b);
  assert_non_null(strstr(text, "<p>same</p>"));
  assert_null(strstr(text, "<i>two</i>"));
  leave(&t, b);
}

/* ---- ids that are not -------------------------------------------------------------------------------------------- */

/* capability: G11 */
TEST_CASE(g11_node_with_another_secret_sends_everything) {
  world w;
  begin(&w, &of_same_build, another);
  assert_true(moves(&w, "/"));
  end(&w);
  begin(&w, &(vestry_pages_options){.build = "1", .secret = another, .secret_len = sizeof another}, secret);
  assert_true(moves(&w, "/")); /* the page's own secret overrides the cluster's */
  end(&w);
  begin(&w, &of_same_build, NULL);
  assert_true(moves(&w, "/")); /* without a cluster: random */
  end(&w);
}

/* capability: G11 */
TEST_CASE(g11_another_build_reloads_the_document) {
  world w;
  begin(&w, &(vestry_pages_options){.build = "2"}, secret);
  tab t;
  load(&t, &w.nodes[0], "/");
  assert_null(strstr(connect(&t, &w.nodes[0]), "reload"));
  leave(&t, &w.nodes[0]);
  assert_non_null(strstr(connect(&t, &w.nodes[1]), "{\"_vestry\":{\"reload\":"));
  assert_true(vestry_memory_look(t.stream).ended);
  leave(&t, &w.nodes[1]);
  end(&w);
}

/* Two processes have counted to the same number, but have different data. */
/* capability: G11 */
WORLD_CASE(g11_process_version_is_valid_in_its_process_only) {
  node *a = &w->nodes[0], *b = &w->nodes[1];
  a->versions = b->versions = OF_THE_PROCESS;
  a->version = b->version = 7;
  tab t;
  load(&t, a, "/");
  assert_false(has_content(connect(&t, a)));
  assert_int_equal(a->made, 0); /* this process knows the version */
  leave(&t, a);
  b->text = "other";
  assert_true(has_content(connect(&t, b)));
  leave(&t, b);
  b->text = "same";
  load(&t, a, "/");
  assert_false(has_content(connect(&t, b))); /* the content is compared nevertheless */
  leave(&t, b);
}

/* capability: G11 */
WORLD_CASE(g11_data_version_is_valid_on_each_node) {
  node *a = &w->nodes[0], *b = &w->nodes[1];
  a->versions = b->versions = OF_THE_DATA;
  a->version = b->version = 7;
  assert_false(moves(w, "/"));
  assert_int_equal(b->made, 0);
  b->version = 8;
  assert_false(moves(w, "/")); /* other data with the same content */
  assert_int_equal(b->made, 1);
  b->text = "other";
  assert_true(moves(w, "/"));
  /* A version of the data does not equal a version of the process. */
  b->versions = OF_THE_PROCESS;
  b->version = 7;
  assert_true(moves(w, "/"));
}

/* ---- histories: each node has its own ---------------------------------------------------------------------------- */

#define LOG     VESTRY_KEY("log")
#define NOWHERE ((vestry_scope){NULL, 0})

typedef struct listener {
  uint64_t last; /* the state */
  vestry_resume_answer answer;
} listener;

static vestry_err show(vestry_connection *connection, const vestry_resumed *resumed, void *ctx) {
  listener *own = ctx;
  own->answer = resumed->answer;
  if (resumed->answer != VESTRY_RESUME_FRESH && resumed->answer != VESTRY_RESUME_GAP) return VESTRY_OK;
  return log_send_state(connection, own->last);
}

static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
  return vestry_reply_resume(reply, req->scope, LOG, show, app);
}

static void pass_ms(world *w, uint64_t ms) {
  while (vestry_runtime_step(w->runtime)) continue;
  for (; ms > 0; ms--) {
    test_host_advance_ms(&w->th, 1);
    while (vestry_runtime_step(w->runtime)) continue;
  }
}

static void come(world *w, log_tab *t, node *at, listener *own) {
  log_tab_connect(t, at->v, live, own);
  pass_ms(w, 10);
}

static void read_all(world *w, log_tab *t, const listener *own) {
  pass_ms(w, 10);
  log_tab_read(t, SIZE_MAX);
  assert_int_equal(t->broken, 0);
  assert_int_equal(t->last, own->last);
}

/* capability: G12 */
WORLD_CASE(g12_each_node_keeps_events_of_all_nodes) {
  node *a = &w->nodes[0], *b = &w->nodes[1];
  listener own = {0};
  log_tab t = {0};
  const vestry_history_options for_ever = {.max_age_ms = VESTRY_NEVER_MS};
  assert_int_equal(vestry_history_begin(a->v, NOWHERE, LOG, &for_ever), VESTRY_OK);
  assert_int_equal(vestry_history_begin(b->v, NOWHERE, LOG, &for_ever), VESTRY_OK);
  pass_ms(w, 700); /* the nodes connect */
  come(w, &t, b, &own);
  read_all(w, &t, &own);
  log_tab_cut(&t);
  pass_ms(w, 10);
  for (int i = 0; i < 5; i++) { /* no client is connected */
    log_write(i % 2 ? a->v : b->v, LOG, ++own.last);
    pass_ms(w, 10); /* if they wrote at the same time, the nodes could have different orders */
  }
  come(w, &t, b, &own);
  assert_int_equal(own.answer, VESTRY_RESUME_REPLAYED);
  read_all(w, &t, &own);
  log_tab_cut(&t);
  come(w, &t, a, &own); /* another node has different ids */
  assert_int_equal(own.answer, VESTRY_RESUME_GAP);
  read_all(w, &t, &own);
  log_write(b->v, LOG, ++own.last);
  read_all(w, &t, &own);
  log_tab_end(&t);
}

/* An event lost between nodes is in no history, so a client that was disconnected has a gap. */
/* capability: G12 */
WORLD_CASE(g12_event_lost_in_the_cluster_is_a_gap) {
  node *a = &w->nodes[0], *b = &w->nodes[1];
  listener own = {0};
  log_tab t = {0};
  const vestry_history_options for_ever = {.max_age_ms = VESTRY_NEVER_MS};
  assert_int_equal(vestry_history_begin(b->v, NOWHERE, LOG, &for_ever), VESTRY_OK);
  pass_ms(w, 700);
  come(w, &t, b, &own);
  log_write(a->v, LOG, ++own.last);
  read_all(w, &t, &own);
  log_tab_cut(&t);
  pass_ms(w, 10);
  const uint8_t parts[] = {0, 1};
  assert_int_equal(vestry_memory_network_divide(w->network, parts, 2), VESTRY_OK);
  log_write(a->v, LOG, ++own.last); /* it does not arrive */
  pass_ms(w, 10);
  assert_int_equal(vestry_memory_network_divide(w->network, NULL, 0), VESTRY_OK);
  pass_ms(w, 1000); /* the gap is reported within a second */
  come(w, &t, b, &own);
  assert_int_equal(own.answer, VESTRY_RESUME_GAP);
  read_all(w, &t, &own);
  log_tab_end(&t);
}
