#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENT_MAX_BYTES = 4 * 1024 * 1024, MAX_THREADS = 32768 };

static const char help[] =
    "Usage: counter [OPTION…]\n"
    "A page that counts, on http://127.0.0.1:8080: each session has a counter, each of its tabs a stream that is kept\n"
    "under the key (\"counter\", 1). GET /keys shows what is kept. Ctrl-C ends it.\n"
    "\n"
    "  --port N              port to listen on; 0: a free one, which is printed [8080]\n"
    "  --store hash|lru      where the streams are kept: without a bound, or the most recently used [lru]\n"
    "  --max N               streams kept at most [lru: 10000; hash: no bound]\n"
    "  --idle-ms N           lru: a stream that was not used for so long is closed [600000]\n"
    "  --heartbeat-ms N      a stream that was sent nothing for so long is sent a comment [15000]\n"
    "  --adapter civetweb|microhttpd\n"
    "                        the server: one with a thread a stream, or one for many streams [civetweb]\n"
    "  --threads N           threads of the server; civetweb: each open stream takes one [civetweb: 128;\n"
    "                        microhttpd: one a processor]\n"
    "  --policy replace|reuse|reject|many\n"
    "                        when a session opens a second stream: it takes the place of the first; it is not opened,\n"
    "                        the first serves both; it is refused; all are kept [many]\n"
    "  --datastar-file FILE  serve the Datastar client from this file, instead of having browsers fetch it from\n"
    "                        " VESTRY_DATASTAR_CDN_URL "\n"
    "  --help                this\n";

/* One clear line; the status for bad values. */
static int refuse(const char *option, const char *value, const char *wanted) {
  fprintf(stderr, "counter: --%s %s: %s\n", option, value, wanted);
  return 2;
}

/* Digits and nothing else: no sign, no space, no 0x. */
static bool number(const char *text, uint64_t least, uint64_t most, uint64_t *ret_value) {
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

static int read_client(const char *path, struct options *options) {
  FILE *file = fopen(path, "rb");
  if (!file) return refuse("datastar-file", path, strerror(errno));
  char *text = malloc(CLIENT_MAX_BYTES + 1);
  size_t len = text ? fread(text, 1, CLIENT_MAX_BYTES + 1, file) : 0;
  const char *wrong = !text                    ? "out of memory"
                      : ferror(file)           ? strerror(errno) /* a directory, for one */
                      : len == 0               ? "the file is empty"
                      : len > CLIENT_MAX_BYTES ? "the file is larger than 4 MiB"
                                               : NULL;
  fclose(file);
  if (wrong) {
    free(text);
    return refuse("datastar-file", path, wrong);
  }
  free(options->client);
  options->client = text;
  options->client_len = len;
  return 0;
}

static int read_policy(const char *name, struct options *options) {
  static const char *const names[] = {[VESTRY_PUT_REPLACE] = "replace",
                                      [VESTRY_PUT_REUSE] = "reuse",
                                      [VESTRY_PUT_REJECT] = "reject",
                                      [VESTRY_PUT_MANY] = "many"};
  for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
    if (strcmp(name, names[i]) == 0) {
      options->policy = (vestry_put_policy)i;
      return 0;
    }
  }
  return refuse("policy", name, "one of replace, reuse, reject, many is wanted");
}

enum { PORT = 1, STORE, MAX, IDLE_MS, HEARTBEAT_MS, ADAPTER, THREADS, POLICY, DATASTAR_FILE, HELP };

static const struct option names[] = {{"port", required_argument, NULL, PORT},
                                      {"store", required_argument, NULL, STORE},
                                      {"max", required_argument, NULL, MAX},
                                      {"idle-ms", required_argument, NULL, IDLE_MS},
                                      {"heartbeat-ms", required_argument, NULL, HEARTBEAT_MS},
                                      {"adapter", required_argument, NULL, ADAPTER},
                                      {"threads", required_argument, NULL, THREADS},
                                      {"policy", required_argument, NULL, POLICY},
                                      {"datastar-file", required_argument, NULL, DATASTAR_FILE},
                                      {"help", no_argument, NULL, HELP},
                                      {NULL, 0, NULL, 0}};

static int read_option(int option, const char *value, struct options *options) {
  uint64_t n = 0;
  switch (option) {
  case PORT:
    if (!number(value, 0, 65535, &n)) return refuse("port", value, "a number from 0 to 65535 is wanted");
    options->port = (unsigned)n;
    return 0;
  case STORE:
    if (strcmp(value, "hash") != 0 && strcmp(value, "lru") != 0)
      return refuse("store", value, "one of hash, lru is wanted");
    options->store = value;
    return 0;
  case MAX:
    if (!number(value, 1, 1000000, &n)) return refuse("max", value, "a number from 1 to 1000000 is wanted");
    options->max_count = (size_t)n;
    return 0;
  case IDLE_MS:
    if (!number(value, 1, 86400000, &n)) return refuse("idle-ms", value, "a number from 1 to 86400000 is wanted");
    options->idle_ms = n;
    return 0;
  case HEARTBEAT_MS:
    if (!number(value, 1, 86400000, &n)) return refuse("heartbeat-ms", value, "a number from 1 to 86400000 is wanted");
    options->heartbeat_ms = n;
    return 0;
  case ADAPTER:
    if (strcmp(value, "civetweb") != 0 && strcmp(value, "microhttpd") != 0)
      return refuse("adapter", value, "one of civetweb, microhttpd is wanted");
    options->adapter = value;
    return 0;
  case THREADS:
    if (!number(value, 1, MAX_THREADS, &n)) return refuse("threads", value, "a number from 1 to 32768 is wanted");
    options->threads_count = (unsigned)n;
    return 0;
  case POLICY: return read_policy(value, options);
  default: return read_client(value, options);
  }
}

/* How many threads there may be is the adapter's affair; civetweb's keeps two for requests that open no stream. */
static int check_threads(const struct options *options) {
  char value[16];
  snprintf(value, sizeof value, "%u", options->threads_count);
  bool is_civetweb = strcmp(options->adapter, "civetweb") == 0;
  if (options->threads_count && is_civetweb && options->threads_count < 3)
    return refuse("threads", value, "for civetweb a number from 3 to 32768 is wanted");
  if (!is_civetweb && options->threads_count > 256)
    return refuse("threads", value, "for microhttpd a number from 1 to 256 is wanted");
  return -1;
}

static int usage_error(const char *what, const char *argument) {
  fprintf(stderr, "counter: %s %s; see counter --help\n", what, argument);
  return 2;
}

int options_parse(int argc, char **argv, struct options *ret_options) {
  *ret_options = (struct options){.port = 8080, .store = "lru", .adapter = "civetweb", .policy = VESTRY_PUT_MANY};
  int status = -1;
  while (status < 0) {
    int before = optind;
    int option = getopt_long(argc, argv, ":", names, NULL);
    if (option == -1) break;
    if (option == HELP) {
      fputs(help, stdout);
      status = 0;
    } else if (option == ':') {
      status = usage_error("a value is missing after", argv[before]);
    } else if (option == '?') {
      status = usage_error("not understood:", argv[before]);
    } else if (read_option(option, optarg, ret_options) != 0) {
      status = 2;
    }
  }
  if (status < 0 && optind < argc) status = usage_error("not understood:", argv[optind]);
  if (status < 0) status = check_threads(ret_options);
  if (status >= 0) options_finish(ret_options);
  return status;
}

void options_finish(struct options *options) {
  free(options->client);
  options->client = NULL;
}
