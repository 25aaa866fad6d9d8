/* SPDX-License-Identifier: MIT */
/* A program of an application, from the command line to the status of its process. Messages about the command line go
 * to stderr, because they concern the person who starts the program, before there is a log. */
#include "vestry/app/program.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/real.h"
#include "vestry/adapter.h"

enum {
  PORT = 8080,
  STOP_MS = 5000,
  THREADS_MAX = 32768,
  PEM_BYTES = 16384,
  NAMES_BYTES = 160,
  HELP_COLUMN = 24,
  STANDARD_MAX = 14,
  LINE_BYTES = 1200,
  STREAMS_MAX = 1000000
};

/* The values of the standard options. */
typedef struct values {
  int64_t port, threads_count, streams_count;
  const char *listen, *unix_path, *adapter, *certificate, *database, *log;
  bool no_tls, is_behind_proxy, help;
} values;

typedef struct program {
  vestry_program is; /* the first member */
  vestry_program_options options;
  const vestry_program_adapter *adapter;
  vestry_server_options server;
  vestry_host host; /* for --log */
  vestry_log_level level;
  char names[NAMES_BYTES]; /* of the adapters, for --help and messages */
  char pem[PEM_BYTES];     /* key and certificate; "": no TLS */
  bool is_behind_proxy, has_served;
} program;

static program *own_of(vestry_program *is) {
  return (program *)is;
}

/* ------------------------------------------------------------------------------------------ command line ---------- */

static int refuse(const program *p, const char *option, const char *value, const char *wanted) {
  fprintf(stderr, "%s: --%s%s%s: %s\n", p->is.name, option, value ? " " : "", value ? value : "", wanted);
  return 2;
}

static int refuse_argument(const program *p, const char *what, const char *argument) {
  fprintf(stderr, "%s: %s %s; see %s --help\n", p->is.name, what, argument, p->is.name);
  return 2;
}

/* Write the names of the adapters with commas between them. */
static void name_adapters(program *p) {
  size_t len = 0;
  for (const vestry_program_adapter *at = p->options.adapters; at->server && len < sizeof p->names; at++)
    len += (size_t)snprintf(p->names + len, sizeof p->names - len, "%s%s", len ? ", " : "", at->server->name);
}

static bool has_default_tls(const program *p) {
  for (const vestry_program_adapter *at = p->options.adapters; at->server; at++)
    if (at->make_certificate) return true;
  return false;
}

/* Write the table of the standard options that this program has. */
static void list_standard(program *p, values *to, vestry_program_option table[STANDARD_MAX]) {
  size_t n = 0;
  const bool has_several = p->options.adapters[1].server != NULL;
  table[n++] = (vestry_program_option){"port", "N", "port to listen on; 0: a free one, which is printed",
                                       vestry_into_between(&to->port, 0, UINT16_MAX)};
  table[n++] =
      (vestry_program_option){"listen", "ADDRESS", "address to listen on; 0.0.0.0 also admits your network [127.0.0.1]",
                              VESTRY_INTO(&to->listen)};
  table[n++] =
      (vestry_program_option){"unix-socket", "PATH", "UNIX socket to listen on instead of the port, for a proxy [none]",
                              VESTRY_INTO(&to->unix_path)};
  if (has_several) table[n++] = (vestry_program_option){"adapter", "NAME", p->names, VESTRY_INTO(&to->adapter)};
  table[n++] = (vestry_program_option){"threads", "N",
                                       "threads of the server [one for each processor; civetweb needs\n"
                                       "one for each stream, and has up to 1024]",
                                       vestry_into_between(&to->threads_count, 1, THREADS_MAX)};
  table[n++] = (vestry_program_option){"streams", "N",
                                       "maximum number of open streams, one for each open page; more get\n"
                                       "503 [10000; civetweb: threads less a reserve of a tenth, 2 to 32]",
                                       vestry_into_between(&to->streams_count, 1, STREAMS_MAX)};
  table[n++] = (vestry_program_option){"certificate", "FILE", "key and certificate in PEM, for TLS [none]",
                                       VESTRY_INTO(&to->certificate)};
  if (has_default_tls(p))
    table[n++] = (vestry_program_option){"no-tls", NULL,
                                         "HTTP without TLS, for a proxy on this machine [TLS with h2, by a\n"
                                         "certificate that is made at each start, of which browsers warn]",
                                         VESTRY_INTO(&to->no_tls)};
  table[n++] = (vestry_program_option){"behind-proxy", NULL,
                                       "clients reach the server only through a proxy, which sets\n"
                                       "X-Forwarded-For to one address, that of its peer",
                                       VESTRY_INTO(&to->is_behind_proxy)};
  if (p->options.application && p->options.application->database)
    table[n++] = (vestry_program_option){"db", "PLACE", "file or URL of the database [that of the program]",
                                         VESTRY_INTO(&to->database)};
  table[n++] = (vestry_program_option){"log", "LEVEL", "error, warn, info or debug [warn]", VESTRY_INTO(&to->log)};
  table[n++] = (vestry_program_option){"help", NULL, "show this text", VESTRY_INTO(&to->help)};
  table[n] = (vestry_program_option){.name = NULL};
}

static void print_options(const vestry_program_option *table) {
  for (; table && table->name; table++) {
    const int len =
        printf("  --%s%s%s", table->name, table->argument ? " " : "", table->argument ? table->argument : "");
    printf(len < HELP_COLUMN - 1 ? "%*s" : "\n%*s", len < HELP_COLUMN - 1 ? HELP_COLUMN - len : HELP_COLUMN, "");
    for (const char *at = table->help; *at; at++) *at == '\n' ? printf("\n%*s", HELP_COLUMN, "") : putchar(*at);
    putchar('\n');
  }
}

static int print_help(const program *p, const vestry_program_option *standard) {
  printf("Usage: %s [OPTION…]\n%s%son http://127.0.0.1:%u. End it with Ctrl-C.\n\n", p->is.name,
         p->options.about ? p->options.about : "", p->options.about ? ", " : "", (unsigned)p->server.port);
  print_options(p->options.options);
  print_options(standard);
  return 0;
}

/* Return the option of an argument "name" or "name=value". */
static const vestry_program_option *find(const vestry_program_option *table, const char *name, size_t len) {
  for (; table && table->name; table++)
    if (strlen(table->name) == len && memcmp(table->name, name, len) == 0) return table;
  return NULL;
}

static bool read_integer(const char *text, vestry_into into) {
  char *end;
  const size_t sign = *text == '-';
  errno = 0;
  const int64_t value = strtoll(text, &end, 10);
  if (!text[sign] || strspn(text + sign, "0123456789") != strlen(text + sign)) return false;
  if (errno || *end || value < into.min || value > into.max) return false;
  *(int64_t *)into.variable = value;
  return true;
}

static int read_value(const program *p, const vestry_program_option *option, const char *value) {
  char wanted[96], *end;
  if (option->into.type == VESTRY_VALUE_STRING) {
    *(const char **)option->into.variable = value;
    return -1;
  }
  if (option->into.type == VESTRY_VALUE_NUMBER) {
    const double number = vsi_real_read(value, &end);
    if (end == value || *end) return refuse(p, option->name, value, "expected a number");
    *(double *)option->into.variable = number;
    return -1;
  }
  if (read_integer(value, option->into)) return -1;
  snprintf(wanted, sizeof wanted, "expected a number from %" PRId64 " to %" PRId64, option->into.min, option->into.max);
  return refuse(p, option->name, value, wanted);
}

/* Read one option. used: the number of its arguments. Returns as vestry_program_read. */
static int read_argument(const program *p, const vestry_program_option *standard, char **argv, int *used) {
  const char *name = *argv, *value = strchr(name, '=');
  if (strncmp(name, "--", 2) != 0) return refuse_argument(p, "unknown argument", name);
  name += 2;
  const size_t len = value ? (size_t)(value - name) : strlen(name);
  const vestry_program_option *option = find(p->options.options, name, len);
  if (!option) option = find(standard, name, len);
  if (!option || (value && !option->argument)) return refuse_argument(p, "unknown argument", *argv);
  if (!option->argument) {
    *(bool *)option->into.variable = true;
    return -1;
  }
  *used = value ? 1 : 2;
  if (!value && !argv[1]) return refuse_argument(p, "missing value after", *argv);
  return read_value(p, option, value ? value + 1 : argv[1]);
}

/* ------------------------------------------------------------------------------------------------ the values ------ */

static int read_certificate(program *p, const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) return refuse(p, "certificate", path, strerror(errno));
  const size_t len = fread(p->pem, 1, sizeof p->pem, file);
  const char *wrong = ferror(file)           ? "it cannot be read" /* for example a directory */
                      : !len                 ? "the file is empty"
                      : len == sizeof p->pem ? "the file is too large"
                                             : NULL;
  fclose(file);
  if (wrong) return refuse(p, "certificate", path, wrong);
  p->pem[len] = '\0';
  return -1;
}

static int choose_adapter(program *p, const values *from) {
  char wanted[NAMES_BYTES + 16];
  p->adapter = p->options.adapters;
  while (from->adapter && p->adapter->server && strcmp(p->adapter->server->name, from->adapter) != 0) p->adapter++;
  snprintf(wanted, sizeof wanted, "expected %s", p->names);
  if (!p->adapter->server) return refuse(p, "adapter", from->adapter, wanted);
  p->is.adapter = p->adapter->server;
  return -1;
}

/* A server that has TLS by default gets a certificate, unless a proxy is before it. */
static int choose_tls(program *p, const values *from) {
  const bool has_default = p->adapter->make_certificate && !from->no_tls && !from->unix_path;
  int status = from->certificate ? read_certificate(p, from->certificate) : -1;
  if (status < 0 && !from->certificate && has_default && p->adapter->make_certificate(from->listen, p->pem))
    status = refuse(p, "certificate", NULL, "none can be made; name a file");
  if (status < 0 && from->certificate && from->no_tls)
    status = refuse(p, "certificate", from->certificate, "--no-tls excludes it");
  if (status < 0 && *p->pem) p->server.tls_key = p->server.tls_certificate = p->pem;
  return status;
}

static void log_line(void *ctx, vestry_log_level level, const char *line) {
  static const char *const levels[] = {[VESTRY_LOG_ERROR] = "error",
                                       [VESTRY_LOG_WARN] = "warn",
                                       [VESTRY_LOG_INFO] = "info",
                                       [VESTRY_LOG_DEBUG] = "debug"};
  const program *p = ctx;
  const vestry_host *host = vestry_host_default();
  if (level > p->level) return;
  if (level <= VESTRY_LOG_WARN) {
    host->log(host->ctx, level, line);
  } else {
    char text[LINE_BYTES];
    const int len = snprintf(text, sizeof text - 1, "vestry %s: %s", levels[level], line);
    const size_t shown = (size_t)len < sizeof text - 1 ? (size_t)len : sizeof text - 2;
    text[shown] = '\n';
    (void)!vsi_write_quietly(STDERR_FILENO, text, shown + 1);
  }
}

static int choose_level(program *p, const char *name) {
  static const char *const names[] = {"", "error", "warn", "info", "debug"};
  p->level = VESTRY_LOG_WARN;
  if (!name) return -1;
  for (unsigned i = VESTRY_LOG_ERROR; i <= VESTRY_LOG_DEBUG; i++)
    if (strcmp(name, names[i]) == 0) return p->level = (vestry_log_level)i, -1;
  return refuse(p, "log", name, "expected error, warn, info or debug");
}

static void say_where(vestry_server *server, void *ctx) {
  const program *p = ctx;
  const char *address = p->server.address;
  if (address && strcmp(address, "0.0.0.0") == 0 && server->port) /* also on this machine */
    printf("%s: %s://127.0.0.1:%u\n", p->is.name, *p->pem ? "https" : "http", server->port);
  else
    printf("%s: %s\n", p->is.name, server->url);
  fflush(stdout);
  void *own = p->options.ready_own;
  if (!own && p->options.application) own = p->options.application->own;
  if (p->options.on_ready) p->options.on_ready(server, own);
}

static int read_all(program *p, int argc, char **argv) {
  vestry_program_option standard[STANDARD_MAX];
  values from = {
      .port = p->server.port, .threads_count = p->options.threads_count, .streams_count = p->options.max_streams};
  int status = -1;
  name_adapters(p);
  list_standard(p, &from, standard);
  for (int i = 1, used = 1; i < argc && status < 0; i += used, used = 1)
    status = read_argument(p, standard, argv + i, &used);
  if (status < 0 && from.help) status = print_help(p, standard);
  if (status < 0) status = choose_adapter(p, &from);
  if (status < 0) status = choose_tls(p, &from);
  if (status < 0) status = choose_level(p, from.log);
  p->is.database = from.database;
  p->is_behind_proxy = from.is_behind_proxy;
  p->server.port = from.unix_path ? 0 : (uint16_t)from.port;
  p->server.address = from.listen;
  p->server.unix_path = from.unix_path;
  p->server.threads_count = (uint32_t)from.threads_count;
  p->server.max_streams = (uint32_t)from.streams_count;
  return status;
}

int vestry_program_read(int argc, char **argv, const vestry_program_options *given, vestry_program **ret_program) {
  const vestry_host *host = vestry_host_default();
  vestry_program_options options = given ? *given : (vestry_program_options){0};
  if (!given || !argv || !ret_program || !options.adapters || !options.adapters->server)
    return (void)vsi_mistake(host, "vestry_program_read", "an argument or options.adapters is missing"), 2;
  program *p = vsi_calloc(host, 1, sizeof *p);
  if (!p) return vsi_log(host, VESTRY_LOG_ERROR, "vestry_program_read: out of memory"), 1;
  p->options = options;
  p->is = (vestry_program){.server = &p->server};
  p->is.name = options.name                                       ? options.name
               : options.application && options.application->name ? options.application->name
                                                                  : "application";
  p->server = (vestry_server_options){.port = options.port ? options.port : PORT,
                                      .max_head_bytes = options.max_head_bytes,
                                      .drain_ms = options.drain_ms,
                                      .stop_ms = options.stop_ms ? options.stop_ms : STOP_MS,
                                      .on_ready = say_where,
                                      .ctx = p};
  const int status = read_all(p, argc, argv);
  if (status < 0)
    *ret_program = &p->is;
  else
    vsi_free(host, p);
  return status;
}

/* ------------------------------------------------------------------------------------------ from begin to end ----- */

/* The default host has no context, so that this program can be the context of its log. */
static const vestry_host *host_of(program *p) {
  const vestry_host *host = vestry_host_default();
  if (p->level == VESTRY_LOG_WARN) return host;
  p->host = *host;
  p->host.ctx = p;
  p->host.log = log_line;
  return &p->host;
}

vestry_err vestry_program_begin(vestry_program *is, const vestry_application_options *given) {
  if (!is || is->app)
    return vsi_mistake(vestry_host_default(), "vestry_program_begin", "program is NULL, or has begun before");
  program *p = own_of(is);
  if (!given) given = p->options.application;
  vestry_application_options options = given ? *given : (vestry_application_options){0};
  vestry_options instance = options.instance ? *options.instance : (vestry_options){0};
  if (!instance.host) instance.host = host_of(p);
  instance.is_behind_proxy |= p->is_behind_proxy;
  options.instance = &instance;
  if (!options.name) options.name = is->name;
  if (is->database) options.database_at = is->database;
  return vestry_application_create(&options, &is->app);
}

vestry_err vestry_program_serve(vestry_program *is, vestry *v) {
  if (!is || (!is->app && !v))
    return vsi_mistake(vestry_host_default(), "vestry_program_serve", "program is NULL, or has neither begun nor v");
  program *p = own_of(is);
  vestry_err error = is->app ? vestry_application_run(is->app, is->adapter, &p->server)
                             : vestry_server_run(v, is->adapter, &p->server);
  p->has_served = !error;
  if (error)
    fprintf(stderr, "%s: cannot start (%s)%s\n", is->name, vestry_err_name(error),
            error == VESTRY_IO && !p->server.unix_path ? "; if the port is in use, choose another one: --port N" : "");
  return error;
}

int vestry_program_end(vestry_program *is) {
  if (!is) return 1;
  program *p = own_of(is);
  const bool has_served = p->has_served;
  (void)vestry_application_destroy(is->app);
  vsi_free(vestry_host_default(), p);
  return has_served ? 0 : 1;
}

int vestry_program_main(int argc, char **argv, const vestry_program_options *options) {
  vestry_program *made = NULL;
  const int status = vestry_program_read(argc, argv, options, &made);
  if (status >= 0) return status;
  if (!vestry_program_begin(made, NULL)) (void)vestry_program_serve(made, NULL);
  return vestry_program_end(made);
}
