/* SPDX-License-Identifier: MIT */
/* One node of a cluster, as a process: an instance with real threads, over NATS. It performs commands, which are lines
 * of its input, and reports results and times as lines of its output. Its streams have their own transport, which
 * accepts everything and reports each mark at once, so that even after a node was killed the world knows what its
 * streams have received.
 *
 * test_cluster_node NAME LIFE URL [SETTING=NUMBER…]
 *
 * A mark is "@D0.3.17;": dispatched (B: broadcast) by node 0 in its run 3, number 17. Times are nanoseconds of the
 * monotonic clock, which all processes of a machine share. Names of keys are escaped as in URLs. */
#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "vestry/adapter.h"
#include "vestry/app/bus.h"
#include "vestry/app/page.h"
#include "vestry/cluster/cluster.h"
#include "vestry/cluster/nats.h"
#include "vestry/vestry.h"

enum { LINE_MOST = 8192, NAME_MOST = 1024, STREAMS_MOST = 32768, LAG_STEP_MS = 5, LAG_MOST_MS = 15 };

static const char secret[32] = "thirty-two bytes, all of them.";

static struct {
  int place, life;
  vestry_host host, link_host;
  vestry *v;
  vestry_broker broker;
  vestry_cluster *cluster;
  vestry_pages *pages;
  vestry_page *page;
  vestry_connection *streams[STREAMS_MOST];
  pthread_mutex_t gate_lock;
  pthread_cond_t gate_changed;
  bool is_shut;
  _Atomic(bool) is_quiet; /* marks are counted, and not reported */
  _Atomic(uint64_t) marks_count;
} me = {.gate_lock = PTHREAD_MUTEX_INITIALIZER, .gate_changed = PTHREAD_COND_INITIALIZER};

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Print one line with one write: it is whole, even if this process is killed. */
static void print_line(const char *format, ...) VESTRY_PRINTF(1, 2);
static void print_line(const char *format, ...) {
  char line[LINE_MOST];
  va_list arguments;
  va_start(arguments, format);
  int len = vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  if (len < 0 || len >= (int)sizeof line - 1) abort();
  line[len++] = '\n';
  if (write(STDOUT_FILENO, line, (size_t)len) != len) _exit(3);
}

static unsigned long long at(void) {
  return now_ns();
}

/* -------------------------------------------------------------------------------------------------- streams ------- */

typedef struct visit {
  int number;
  char kind; /* K, C, P: stored under a key, member of a channel, a page */
  const char *name;
  vestry_keep_policy policy;
} visit;

typedef struct far_end {
  int number;
} far_end;

static void find_marks(const far_end *end, const char *text, size_t len) {
  for (const char *mark = text; (mark = memchr(mark, '@', len - (size_t)(mark - text))) != NULL; mark++) {
    const char *stop = memchr(mark, ';', len - (size_t)(mark - text));
    if (!stop) return;
    atomic_fetch_add(&me.marks_count, 1);
    if (!atomic_load(&me.is_quiet)) print_line("got %d %.*s %llu", end->number, (int)(stop - mark - 1), mark + 1, at());
  }
}

static vestry_io stream_open(void *transport) {
  return VESTRY_IO_OK;
}

static vestry_io stream_write(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  size_t len = 0, at_byte = 0;
  for (size_t i = 0; i < count; i++) len += slices[i].len;
  char *text = malloc(len + 1);
  if (!text) return VESTRY_IO_ERROR;
  for (size_t i = 0; i < count; i++) {
    memcpy(text + at_byte, slices[i].data, slices[i].len);
    at_byte += slices[i].len;
  }
  find_marks(transport, text, len);
  free(text);
  return VESTRY_IO_OK;
}

static void stream_end(void *transport, bool clean, vestry_cause cause) {
  print_line("ended %d %s %llu", ((far_end *)transport)->number, vestry_cause_name(cause), at());
}

static void stream_release(void *transport) {
  free(transport);
}

static const vestry_transport_ops stream_ops = {
    .open = stream_open, .write = stream_write, .end = stream_end, .release = stream_release};

/* ------------------------------------------------------------------------------------------------- requests ------- */

static const char *request_method(void *request) {
  return "GET";
}

static const char *request_path(void *request) {
  return "/";
}

static const char *request_query(void *request) {
  return NULL;
}

static const char *request_header(void *request, const char *name) {
  return strcasecmp(name, "Datastar-Request") == 0 ? "true" : NULL;
}

static const char *request_peer(void *request) {
  return "";
}

static int64_t request_body_length(void *request) {
  return 0;
}

static vestry_err request_read(void *request, void *buffer, size_t capacity, size_t *ret_len) {
  *ret_len = 0;
  return VESTRY_OK;
}

static vestry_err request_respond(void *request, const vestry_response *response) {
  print_line("answered %d %d", ((visit *)request)->number, response->status);
  return VESTRY_OK;
}

static vestry_err request_open(void *request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                               void **ret_transport) {
  far_end *end = malloc(sizeof *end);
  if (!end) return VESTRY_NO_MEMORY;
  end->number = ((visit *)request)->number;
  *ret_ops = &stream_ops;
  *ret_transport = end;
  return VESTRY_OK;
}

static const vestry_request_ops request_ops = {.method = request_method,
                                               .path = request_path,
                                               .query = request_query,
                                               .header = request_header,
                                               .peer = request_peer,
                                               .body_length = request_body_length,
                                               .read = request_read,
                                               .respond = request_respond,
                                               .open = request_open};

static vestry_err open_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  const visit *of = app;
  if (of->kind == 'K') {
    vestry_reply_key(reply, VESTRY_KEY("room", of->name));
  } else {
    vestry_reply_join(reply, req->scope, VESTRY_KEY("board", of->name));
  }
  vestry_reply_keep(reply, of->kind == 'K' ? of->policy : VESTRY_KEEP_REUSE, 0);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("opened", 1));
}

static void open_stream(visit of) {
  vestry_connection *connection = NULL;
  vestry_err error;
  if (of.number < 0 || of.number >= STREAMS_MOST) abort();
  if (of.kind == 'P')
    error = vestry_serve(me.v, &request_ops, &of, vestry_page_handler, me.page, &connection);
  else
    error = vestry_serve(me.v, &request_ops, &of, open_handler, &of, &connection);
  me.streams[of.number] = connection;
  print_line("opened %d %s %llu", of.number, connection ? "OK" : error ? vestry_err_name(error) : "REFUSED", at());
}

static void close_stream(int number) {
  if (number < 0 || number >= STREAMS_MOST || !me.streams[number]) return;
  vestry_connection_close(me.streams[number], VESTRY_CAUSE_HANGUP);
  vestry_connection_unref(me.streams[number]);
  me.streams[number] = NULL;
}

/* ------------------------------------------------------------------------------------------------ callbacks ------- */

static const char *state_name(vestry_member_state state) {
  static const char *const names[] = {"NONE", "ALIVE", "SUSPECT", "DEAD", "LEFT", "REFUSED", "DRAINING"};
  return names[state];
}

static void on_gap(const vestry_gap *gap, void *ctx) {
  print_line("gap %s %llu %llu", *gap->node ? gap->node : "?", (unsigned long long)gap->lost_count, at());
}

static void on_member(const char *node, vestry_member_state state, void *ctx) {
  print_line("member %s %s %llu", node, state_name(state), at());
}

static void on_published(const vestry_bus_message *message, void *ctx) {
  print_line("heard %.*s %llu", (int)message->len, (const char *)message->data, at());
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  static _Atomic(int) count;
  unsigned long long began = at();
  vestry_render_topic(render, "room");
  vestry_html_add(html, "<!doctype html><title>x</title>");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%d</p>", atomic_fetch_add(&count, 1));
  print_line("rendered %llu", began);
  return vestry_render_end(render, html);
}

/* ["hold"]: waits until it is released. */
static vestry_err hold(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  print_line("held %llu", at());
  pthread_mutex_lock(&me.gate_lock);
  while (me.is_shut) pthread_cond_wait(&me.gate_changed, &me.gate_lock);
  pthread_mutex_unlock(&me.gate_lock);
  return VESTRY_OK;
}

static void set_gate(bool is_shut) {
  pthread_mutex_lock(&me.gate_lock);
  me.is_shut = is_shut;
  pthread_cond_broadcast(&me.gate_changed);
  pthread_mutex_unlock(&me.gate_lock);
}

/* Measure how long this process did not run, with a thread that only sleeps. */
static void *watch_lag(void *ctx) {
  for (;;) {
    uint64_t before = now_ns();
    const struct timespec step = {0, LAG_STEP_MS * 1000000L};
    nanosleep(&step, NULL);
    uint64_t after = now_ns();
    if (after - before > (uint64_t)(LAG_STEP_MS + LAG_MOST_MS) * 1000000)
      print_line("late %llu %llu", (unsigned long long)before, (unsigned long long)after);
  }
  return NULL;
}

static void log_line(void *ctx, vestry_log_level level, const char *line) {
  print_line("log %s", line);
}

/* The world follows the state of the link by its lines, so none may be left out: each is a minute after the last. */
static uint64_t next_minute_ns(void *ctx) {
  static _Atomic(uint64_t) minutes;
  return ++minutes * UINT64_C(60000000000);
}

/* ------------------------------------------------------------------------------------------------- commands ------- */

static void on_answer(vestry_err error, uint32_t count, void *ctx) {
  print_line("answer %ld %s %u %llu", (long)(intptr_t)ctx, vestry_err_name(error), count, at());
}

/* Dispatch effects to a key: a mark, or hold. Does not wait. */
static void dispatch_mark(long number, const char *key, bool is_hold) {
  char text[64];
  snprintf(text, sizeof text, "@D%d.%d.%ld;", me.place, me.life, number);
  json_t *list = is_hold ? json_pack("[[s]]", "hold") : json_pack("[[s,{s:s}]]", "patch-signals", "s", text);
  print_line("sent %ld %llu", number, at());
  const vestry_key *room = VESTRY_KEY("room", key);
  vestry_err error = vestry_cluster_dispatch(me.cluster, list, &(vestry_dispatch_options){.key = room}, on_answer,
                                             (void *)(intptr_t)number);
  if (error) on_answer(error, 0, (void *)(intptr_t)number);
  json_decref(list);
}

/* The same with the function that waits. */
static void dispatch_and_wait(long number, const char *key) {
  char text[64];
  vestry_dispatch_result result = {0};
  snprintf(text, sizeof text, "@D%d.%d.%ld;", me.place, me.life, number);
  json_t *list = json_pack("[[s,{s:s}]]", "patch-signals", "s", text);
  print_line("sent %ld %llu", number, at());
  const vestry_key *room = VESTRY_KEY("room", key);
  vestry_err error = vestry_dispatch_with(me.v, list, &(vestry_dispatch_options){.key = room}, &result);
  on_answer(error, (uint32_t)result.connections_count, (void *)(intptr_t)number);
  json_decref(list);
}

static void cast(long number, const char *channel) {
  char text[64];
  vestry_event *event = NULL;
  snprintf(text, sizeof text, "@B%d.%d.%ld;", me.place, me.life, number);
  if (vestry_event_effect(NULL, VESTRY_LIST("send-event", "", text), &event)) abort();
  print_line("sent %ld %llu", number, at());
  vestry_err error = vestry_broadcast(me.v, (vestry_scope){NULL, 0}, VESTRY_KEY("board", channel), event, NULL);
  print_line("answer %ld %s 0 %llu", number, vestry_err_name(error), at());
  vestry_event_unref(event);
}

static void publish(long number, const char *topic, size_t padding) {
  char *data = malloc(64 + padding);
  if (!data) abort();
  int len = snprintf(data, 64, "P%d.%d.%ld", me.place, me.life, number);
  memset(data + len, '!', padding);
  print_line("sent %ld %llu", number, at());
  vestry_err error = vestry_cluster_publish(me.cluster, (vestry_scope){NULL, 0}, VESTRY_KEY("news", topic), data,
                                            (size_t)len + padding);
  print_line("answer %ld %s 0 %llu", number, vestry_err_name(error), at());
  free(data);
}

static void refresh(long number) {
  print_line("sent %ld %llu", number, at());
  vestry_err error = vestry_refresh(me.pages, "room", NULL);
  print_line("answer %ld %s 0 %llu", number, vestry_err_name(error), at());
}

static void print_stats(void) {
  vestry_cluster_stats s = {0};
  vestry_cluster_stats_get(me.cluster, &s);
  print_line("stats %zu %zu %llu %llu %llu %llu %llu %llu", s.alive_count, s.unsynced_count,
             (unsigned long long)s.keys_count, (unsigned long long)s.others_keys_count,
             (unsigned long long)s.sent_count, (unsigned long long)s.over_budget_count,
             (unsigned long long)s.replaced_count, (unsigned long long)s.duplicates_count);
}

/* %0d is a carriage return. */
static void unescape(char *text) {
  char *to = text;
  for (const char *from = text; *from; from++) {
    char digits[3] = {from[0] == '%' ? from[1] : '\0', from[0] == '%' && from[1] ? from[2] : '\0', '\0'};
    if (isxdigit((unsigned char)digits[0]) && isxdigit((unsigned char)digits[1])) {
      *to++ = (char)strtol(digits, NULL, 16);
      from += 2;
    } else {
      *to++ = *from;
    }
  }
  *to = '\0';
}

static bool obey(const char *line) {
  char word[32] = "", name[NAME_MOST] = "", policy[32] = "";
  long number = 0;
  if (sscanf(line, "%31s %ld %1023s %31s", word, &number, name, policy) < 1) return true;
  unescape(name);
  if (!strcmp(word, "open"))
    open_stream((visit){(int)number, 'K', name, strcmp(policy, "replace") ? VESTRY_KEEP_MANY : VESTRY_KEEP_REPLACE});
  else if (!strcmp(word, "join"))
    open_stream((visit){.number = (int)number, .kind = 'C', .name = name});
  else if (!strcmp(word, "show"))
    open_stream((visit){.number = (int)number, .kind = 'P'});
  else if (!strcmp(word, "close"))
    close_stream((int)number);
  else if (!strcmp(word, "ask"))
    dispatch_mark(number, name, false);
  else if (!strcmp(word, "askhold"))
    dispatch_mark(number, name, true);
  else if (!strcmp(word, "tell"))
    dispatch_and_wait(number, name);
  else if (!strcmp(word, "cast"))
    cast(number, name);
  else if (!strcmp(word, "publish"))
    publish(number, name, strtoul(policy, NULL, 10));
  else if (!strcmp(word, "refresh"))
    refresh(number);
  else if (!strcmp(word, "stats"))
    print_stats();
  else if (!strcmp(word, "shut"))
    set_gate(number != 0);
  else if (!strcmp(word, "quiet"))
    atomic_store(&me.is_quiet, number != 0);
  else if (!strcmp(word, "marks"))
    print_line("marks %llu", (unsigned long long)atomic_load(&me.marks_count));
  else if (!strcmp(word, "local"))
    print_line("local %s", vestry_err_name(vestry_publish(me.v, (vestry_scope){NULL, 0}, VESTRY_KEY("news", name),
                                                          "P0.0.0", 6, NULL)));
  else if (!strcmp(word, "drain"))
    print_line("drain %s", vestry_err_name(vestry_drain(me.v, (uint64_t)number)));
  else if (!strcmp(word, "quit"))
    return false;
  return true;
}

/* -------------------------------------------------------------------------------------------- start and end ------- */

static uint32_t setting(int argc, char **argv, const char *name, uint32_t by_default) {
  size_t len = strlen(name);
  for (int i = 4; i < argc; i++)
    if (!strncmp(argv[i], name, len) && argv[i][len] == '=') return (uint32_t)strtoul(argv[i] + len + 1, NULL, 10);
  return by_default;
}

static vestry_err begin(int argc, char **argv) {
  static const char *const allow[] = {"patch-signals", "hold", NULL};
  const char *name = argv[1], *url = argv[3];
  me.place = name[0] - 'a';
  me.life = atoi(argv[2]);
  me.host = *vestry_host_default();
  me.host.log = log_line;
  me.link_host = me.host;
  me.link_host.now_ns = next_minute_ns;
  const vestry_nats_options nats = {
      .host = &me.link_host,
      .servers = &url,
      .servers_count = 1,
      .name = name,
      .ping_ms = setting(argc, argv, "ping_ms", 0),
      .reconnect_max_ms = setting(argc, argv, "reconnect_max_ms", 0),
  };
  const vestry_cluster_options cluster = {
      .node = name,
      .secret = secret,
      .secret_len = sizeof secret,
      .heartbeat_ms = setting(argc, argv, "heartbeat_ms", 0),
      .dead_ms = setting(argc, argv, "dead_ms", 0),
      .answer_ms = setting(argc, argv, "answer_ms", 0),
      .max_remote_bytes = setting(argc, argv, "max_remote_bytes", 0),
      .allow = allow,
      .on_gap = on_gap,
      .on_member = on_member,
  };
  vestry_cluster_options own = cluster;
  vestry_err error = vestry_create(&(vestry_options){.host = &me.host, .threads_count = 2}, &me.v);
  if (!error) error = vestry_registry_effect(vestry_parts_of(me.v)->registry, "hold", hold, NULL);
  if (!error) error = vestry_pages_create(me.v, &(vestry_pages_options){.threads_count = 1}, &me.pages);
  if (!error) error = vestry_page_create(me.pages, &(vestry_page_options){.render = render}, &me.page);
  const vestry_subscriber hears = {.call = on_published};
  if (!error) error = vestry_subscribe(me.v, (vestry_scope){NULL, 0}, VESTRY_KEY("news", "n0"), &hears, NULL);
  if (!error) error = vestry_nats_create(&nats, &me.broker);
  own.pages = me.pages;
  if (!error) error = vestry_cluster_create(me.v, &me.broker, &own, &me.cluster);
  return error;
}

static void end(void) {
  for (int i = 0; i < STREAMS_MOST; i++)
    if (me.streams[i]) vestry_connection_unref(me.streams[i]);
  if (vestry_stop(me.v, VESTRY_NEVER_MS)) abort(); /* the world reports it if this takes too long */
  vestry_cluster_destroy(me.cluster);
  me.broker.ops->destroy(me.broker.broker);
  vestry_pages_destroy(me.pages);
  vestry_destroy(me.v);
  print_line("bye %llu", at());
}

int main(int argc, char **argv) {
  static char line[LINE_MOST];
  pthread_t watcher;
  if (argc < 4) return 2;
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves no process behind */
  if (begin(argc, argv)) return 1;
  if (pthread_create(&watcher, NULL, watch_lag, NULL)) return 1;
  pthread_detach(watcher);
  print_line("up %llu", at());
  while (fgets(line, sizeof line, stdin) && obey(line)) continue;
  end();
  return 0;
}
