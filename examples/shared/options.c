/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "vestry/civetweb.h"
#include "vestry/microhttpd.h"

#ifdef EXAMPLES_H2
#include "vestry/h2.h"
#define ADAPTERS "civetweb, microhttpd or h2"
#else
#define ADAPTERS "civetweb or microhttpd (this build has no h2)"
#endif

#define CONSOLE "/observe"
enum { CLIENT_MAX_BYTES = 4 * 1024 * 1024, MAX_THREADS = 32768, STOP_MS = 1200 };

static const struct adapter {
  const char *name;
  const vestry_server_adapter *server;
} adapters[] = {{"civetweb", &vestry_server_civetweb},
                {"microhttpd", &vestry_server_microhttpd},
#ifdef EXAMPLES_H2
                {"h2", &vestry_server_h2},
#endif
                {NULL, NULL}};

static const struct adapter *find_adapter(const char *name) {
  for (const struct adapter *at = adapters; at->name; at++)
    if (strcmp(at->name, name) == 0) return at;
  return NULL;
}

static bool is_adapter(const struct server_options *options, const char *name) {
  return strcmp(options->adapter, name) == 0;
}

int options_refuse(const char *program, const char *option, const char *value, const char *wanted) {
  fprintf(stderr, "%s: --%s %s: %s\n", program, option, value, wanted);
  return 2;
}

bool options_number(const char *text, uint64_t least, uint64_t most, uint64_t *ret_value) {
  uint64_t value = 0;
  if (*text == '\0') return false;
  for (; *text; text++) {
    if (*text < '0' || *text > '9' || value > UINT64_MAX / 10) return false;
    value *= 10;
    if (value > UINT64_MAX - (uint64_t)(*text - '0')) return false;
    value += (uint64_t)(*text - '0');
  }
  if (value < least || value > most) return false;
  *ret_value = value;
  return true;
}

/* Read a file, and add a zero. room: at least one byte more than the file may have. Returns as options_refuse. */
static int read_file(const char *program, const char *option, const char *path, char *text, size_t room,
                     size_t *ret_len) {
  FILE *file = fopen(path, "rb");
  if (!file) return options_refuse(program, option, path, strerror(errno));
  const size_t len = fread(text, 1, room, file);
  const char *wrong = ferror(file)  ? strerror(errno) /* for example a directory */
                      : len == 0    ? "the file is empty"
                      : len == room ? "the file is too large"
                                    : NULL;
  fclose(file);
  if (wrong) return options_refuse(program, option, path, wrong);
  text[len] = '\0';
  *ret_len = len;
  return 0;
}

static int read_client(const char *path, struct server_options *options) {
  free(options->file);
  options->client = options->file = malloc(CLIENT_MAX_BYTES);
  if (!options->file) return options_refuse(options->program, "datastar-file", path, "out of memory");
  return read_file(options->program, "datastar-file", path, options->file, CLIENT_MAX_BYTES, &options->client_len);
}

static int read_certificate(const char *path, struct server_options *options) {
  size_t len;
  return read_file(options->program, "certificate", path, options->certificate, CERTIFICATE_BYTES, &len);
}

static bool is_before_nonces(unsigned major, unsigned minor, unsigned patch) {
  return major == 1 && minor == 0 && patch < 3;
}

bool options_client_needs_eval(const void *client, size_t len) {
  static const char name[] = "Datastar v";
  char head[128] = "";
  unsigned major = 0, minor = 0, patch = 0;
  memcpy(head, client, len < sizeof head ? len : sizeof head - 1);
  const char *at = strstr(head, name);
  return at && sscanf(at + sizeof name - 1, "%3u.%3u.%3u", &major, &minor, &patch) == 3 &&
         is_before_nonces(major, minor, patch);
}

/* Set the URL of a version of the client. */
static int read_version(const char *version, struct server_options *options) {
  static const char url[] = VESTRY_DATASTAR_CDN_URL, known[] = VESTRY_DATASTAR_VERSION;
  const char *at = strstr(url, "@v" VESTRY_DATASTAR_VERSION) + 2, *rest = at + sizeof known - 1;
  unsigned major = 0, minor = 0, patch = 0;
  int len = 0;
  bool is_version = sscanf(version, "%3u.%3u.%3u%n", &major, &minor, &patch, &len) == 3 && !version[len] && len < 12;
  if (!is_version || major != 1)
    return options_refuse(options->program, "datastar-version", version,
                          "expected a version such as " VESTRY_DATASTAR_VERSION);
  snprintf(options->client_url, sizeof options->client_url, "%.*s%s%s", (int)(at - url), url, version, rest);
  options->client_needs_eval = is_before_nonces(major, minor, patch);
  options->has_version = true;
  return 0;
}

static int read_trace(const char *path, struct server_options *options) {
  const vestry_trace_file_options file = {.path = path, .service = options->program};
  vestry_trace_file_destroy(options->spans); /* of an earlier --trace */
  options->spans = NULL;
  if (vestry_trace_file_create(&file, &options->spans)) return 2; /* the log has the reason */
  options->host = vestry_trace_file_host(options->spans);
  return 0;
}

static int read_option(int option, const char *value, struct server_options *options) {
  uint64_t n = 0;
  unsigned char address[sizeof(struct in_addr)];
  switch (option) {
  case OPTION_PORT:
    if (!options_number(value, 0, 65535, &n))
      return options_refuse(options->program, "port", value, "expected a number from 0 to 65535");
    options->port = (unsigned)n;
    return 0;
  case OPTION_LISTEN:
    if (inet_pton(AF_INET, value, address) != 1)
      return options_refuse(options->program, "listen", value, "expected an address such as 127.0.0.1 or 0.0.0.0");
    options->address = value;
    return 0;
  case OPTION_ADAPTER:
    if (!find_adapter(value)) return options_refuse(options->program, "adapter", value, "expected " ADAPTERS);
    options->adapter = value;
    return 0;
  case OPTION_THREADS:
    if (!options_number(value, 1, MAX_THREADS, &n))
      return options_refuse(options->program, "threads", value, "expected a number from 1 to 32768");
    options->threads_count = (unsigned)n;
    return 0;
  case OPTION_UNIX_SOCKET: options->unix_path = value; return 0;
  case OPTION_CERTIFICATE: return read_certificate(value, options);
  case OPTION_NO_TLS: options->has_tls = false; return 0;
  case OPTION_DATASTAR_VERSION: return read_version(value, options);
  case OPTION_TRACE: return read_trace(value, options);
  case OPTION_CONSOLE: options->has_console = true; return 0;
  default: return read_client(value, options);
  }
}

/* The bounds depend on the adapter; that of civetweb keeps two threads for requests that open no stream. */
static int check_threads(const struct server_options *options) {
  char value[16];
  snprintf(value, sizeof value, "%u", options->threads_count);
  const bool is_civetweb = is_adapter(options, "civetweb");
  if (options->threads_count && is_civetweb && options->threads_count < 3)
    return options_refuse(options->program, "threads", value, "civetweb needs a number from 3 to 32768");
  if (!is_civetweb && options->threads_count > 256)
    return options_refuse(options->program, "threads", value, "microhttpd and h2 need a number from 1 to 256");
  return -1;
}

static int check_unix_socket(const struct server_options *options) {
  if (!options->unix_path || !is_adapter(options, "civetweb")) return -1;
  return options_refuse(options->program, "unix-socket", options->unix_path, "requires --adapter microhttpd or h2");
}

/* Only h2 has TLS here, because browsers use HTTP/2 only with TLS. A proxy at a UNIX socket needs none. */
static int prepare_tls(struct server_options *options) {
  char *text = options->certificate;
  if (*text && !is_adapter(options, "h2")) {
    fprintf(stderr, "%s: --certificate: requires --adapter h2\n", options->program);
    return 2;
  }
  options->has_tls &= is_adapter(options, "h2") && !options->unix_path;
#ifdef EXAMPLES_H2
  if (options->has_tls && !*text && vestry_h2_certificate(options->address, text)) {
    fprintf(stderr, "%s: no certificate can be made; name a file: --certificate FILE\n", options->program);
    return 2;
  }
#endif
  return -1;
}

bool options_allow_console(const struct server_options *options, bool passes_on) {
  const bool is_here = !options->address || strncmp(options->address, "127.", 4) == 0;
  const char *wrong = options->unix_path                         ? "use a port, not --unix-socket"
                      : is_here                                  ? NULL
                      : passes_on                                ? "with several processes, use --listen 127.0.0.1"
                      : strcmp(options->address, "0.0.0.0") != 0 ? "use --listen 127.0.0.1 or 0.0.0.0"
                                                                 : NULL;
  if (wrong) fprintf(stderr, "%s: --console is only for this machine: %s\n", options->program, wrong);
  return !wrong;
}

void options_console_url(const struct server_options *options, unsigned port, char url[CONSOLE_URL_BYTES]) {
  const char *here = options->address && strncmp(options->address, "127.", 4) == 0 ? options->address : "127.0.0.1";
  snprintf(url, CONSOLE_URL_BYTES, "%s://%s:%u" CONSOLE "/console", options_scheme(options), here, port);
}

/* Mount the console, before the server starts. */
static vestry_err begin_console(const struct server_options *options, vestry *v, vestry_observe **ret_console) {
  vestry_observe_options shown = options->shown;
  shown.trusts_loopback = true; /* the help of --console states this */
  if (!shown.more && options->app) shown.more = vestry_application_metrics, shown.more_ctx = options->app;
  vestry_err err = vestry_observe_create(v, &shown, ret_console);
  return err ? err : vestry_observe_mount(*ret_console, CONSOLE);
}

static int usage_error(const char *program, const char *what, const char *argument) {
  fprintf(stderr, "%s: %s %s; see %s --help\n", program, what, argument, program);
  return 2;
}

/* The client is the first of: a file named at the start, a version named at the start, the file of the build, the
 * CDN. */
static void choose_client(struct server_options *options) {
  if (!options->client && !options->has_version && client_js_len > 0) {
    options->client = client_js;
    options->client_len = client_js_len;
  }
  if (!options->client) return;
  strcpy(options->client_url, "/datastar.js");
  if (!options->has_version)
    options->client_needs_eval = options_client_needs_eval(options->client, options->client_len);
}

int options_parse(int argc, char **argv, const struct option *names, const char *help, options_own_fn own, void *ctx,
                  struct server_options *ret_options) {
  const char *program = ret_options->program;
  *ret_options = (struct server_options){
      .program = program, .port = 8080, .adapter = "civetweb", .has_tls = true, .client_url = VESTRY_DATASTAR_CDN_URL};
  int status = -1;
  while (status < 0) {
    int before = optind;
    int option = getopt_long(argc, argv, ":", names, NULL);
    if (option == -1) break;
    if (option == OPTION_HELP) {
      fputs(help, stdout);
      status = 0;
    } else if (option == ':') {
      status = usage_error(program, "missing value after", argv[before]);
    } else if (option == '?') {
      status = usage_error(program, "unknown argument", argv[before]);
    } else if ((option >= OPTION_OWN ? own(option, optarg, ctx) : read_option(option, optarg, ret_options)) != 0) {
      status = 2;
    }
  }
  if (status < 0 && optind < argc) status = usage_error(program, "unknown argument", argv[optind]);
  if (status < 0) status = check_threads(ret_options);
  if (status < 0) status = check_unix_socket(ret_options);
  if (status < 0 && ret_options->has_console && !options_allow_console(ret_options, false)) status = 2;
  if (status < 0) status = prepare_tls(ret_options);
  if (status < 0) choose_client(ret_options);
  if (status >= 0) options_finish(ret_options);
  return status;
}

const char *options_scheme(const struct server_options *options) {
  return options->has_tls ? "https" : "http";
}

static void say_where(vestry_server *server, void *ctx) {
  const struct server_options *options = ctx;
  const bool is_everywhere = options->address && strcmp(options->address, "0.0.0.0") == 0; /* also on this machine */
  if (is_everywhere && server->port)
    printf("%s: %s://127.0.0.1:%u\n", options->program, options_scheme(options), server->port);
  else
    printf("%s: %s\n", options->program, server->url);
  fflush(stdout);
  char url[CONSOLE_URL_BYTES];
  options_console_url(options, server->port, url);
  if (options->has_console) printf("%s: console: %s\n", options->program, url), fflush(stdout);
  if (options->on_ready) options->on_ready(server->port, options->ready_ctx);
}

vestry_err options_serve(const struct server_options *options, vestry *v) {
  const char *certificate = options->has_tls ? options->certificate : NULL;
  vestry_observe *console = NULL;
  vestry_err err = VESTRY_OK;
  if (options->has_console) err = begin_console(options, v, &console);
  if (err)
    return fprintf(stderr, "%s: --console: cannot be mounted (%s)\n", options->program, vestry_err_name(err)), err;
  const vestry_server_adapter *adapter = find_adapter(options->adapter)->server;
  const vestry_server_options served = {.address = options->address,
                                        .port = options->unix_path ? 0 : (uint16_t)options->port,
                                        .unix_path = options->unix_path,
                                        .threads_count = options->threads_count,
                                        .tls_key = certificate,
                                        .tls_certificate = certificate,
                                        .stop_ms = STOP_MS,
                                        .on_ready = say_where,
                                        .ctx = (void *)(uintptr_t)options};
  err = options->app ? vestry_application_run(options->app, adapter, &served) : vestry_server_run(v, adapter, &served);
  vestry_observe_destroy(console);
  if (err)
    fprintf(stderr, "%s: cannot start (%s)%s\n", options->program, vestry_err_name(err),
            err == VESTRY_IO && !options->unix_path ? "; if the port is in use, choose another one: --port N" : "");
  return err;
}

static vestry_err file(const vestry_request *req, vestry_reply *reply, void *files) {
  return vestry_reply_file(req, reply, files, req->path + 1);
}

vestry_err options_files(struct server_options *options, vestry *v, const vestry_file *styles, size_t count) {
  for (size_t i = 0; i < count; i++) options->table[i] = styles[i];
  if (options->client)
    options->table[count++] =
        (vestry_file){.path = "datastar.js", .bytes = options->client, .len = options->client_len};
  vestry_err err = vestry_files_create(&(vestry_files_options){.embedded = options->table, .embedded_count = count},
                                       &options->files);
  for (size_t i = 0; !err && i < count; i++) {
    char path[32];
    snprintf(path, sizeof path, "/%s", options->table[i].path);
    err = vestry_route(v, "GET", path, file, options->files);
  }
  return err;
}

void options_finish(struct server_options *options) {
  vestry_files_destroy(options->files);
  vestry_trace_file_destroy(options->spans);
  options->spans = NULL;
  free(options->file);
  options->file = NULL;
  options->client = NULL;
  options->files = NULL;
}
