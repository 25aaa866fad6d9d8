/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "Usage: counter [OPTION…]\n"
    "A page that counts, on http://127.0.0.1:8080: each session has a counter, each of its tabs a stream that is kept\n"
    "under the key (\"counter\", 1). GET /keys shows what is kept. Ctrl-C ends it.\n"
    "\n"
    "  --port N              port to listen on; 0: a free one, which is printed [8080]\n"
    "  --listen ADDRESS      where; 0.0.0.0: everybody in your network can come [127.0.0.1: this machine]\n"
    "  --store hash|lru      where the streams are kept: without a bound, or the most recently used [lru]\n"
    "  --max N               streams kept at most [lru: 10000; hash: no bound]\n"
    "  --idle-ms N           lru: a stream that was not used for so long is closed [600000]\n"
    "  --heartbeat-ms N      a stream that was sent nothing for so long is sent a comment [15000]\n"
    "  --adapter civetweb|microhttpd\n"
    "                        the server: one with a thread a stream, or one for many streams [civetweb]\n"
    "  --threads N           threads of the server; civetweb: each open stream takes one [civetweb: 128;\n"
    "                        microhttpd: one a processor]\n"
    "  --unix-socket PATH    a socket to listen on instead of the port, for a proxy [none; microhttpd only]\n"
    "  --policy replace|reuse|reject|many\n"
    "                        when a session opens a second stream: it takes the place of the first; it is not opened,\n"
    "                        the first serves both; it is refused; all are kept [many]\n"
    "  --datastar-file FILE  serve the Datastar client from this file [the file that the build was given by\n"
    "                        VESTRY_DATASTAR_FILE; without one, browsers fetch it from\n"
    "                        " VESTRY_DATASTAR_CDN_URL "]\n"
    "  --datastar-version V  the version that browsers fetch, or that of the file [what the file's first line says,\n"
    "                        or " VESTRY_DATASTAR_VERSION "]; one before 1.0.3 is given more by the policy\n"
    "  --trace FILE          where the time goes, written behind what FILE has: spans that an OpenTelemetry collector\n"
    "                        reads [nowhere]\n"
    "  --console             what it does, shown to this machine alone: /observe/console [no]\n"
    "  --help                this\n";

/* Print a message of one line; returns the exit status for bad values. */
static int refuse(const char *option, const char *value, const char *wanted) {
  return options_refuse("counter", option, value, wanted);
}

static int read_policy(const char *name, struct options *options) {
  static const char *const names[] = {[VESTRY_KEEP_REPLACE] = "replace",
                                      [VESTRY_KEEP_REUSE] = "reuse",
                                      [VESTRY_KEEP_REJECT] = "reject",
                                      [VESTRY_KEEP_MANY] = "many"};
  for (int i = 0; i < (int)(sizeof names / sizeof *names); i++) {
    if (strcmp(name, names[i]) == 0) {
      options->policy = (vestry_keep_policy)i;
      return 0;
    }
  }
  return refuse("policy", name, "one of replace, reuse, reject, many is wanted");
}

enum { STORE = OPTION_OWN, MAX, IDLE_MS, HEARTBEAT_MS, POLICY };

static const struct option names[] = {OPTIONS_OF_ALL,
                                      {"store", required_argument, NULL, STORE},
                                      {"max", required_argument, NULL, MAX},
                                      {"idle-ms", required_argument, NULL, IDLE_MS},
                                      {"heartbeat-ms", required_argument, NULL, HEARTBEAT_MS},
                                      {"policy", required_argument, NULL, POLICY},
                                      {NULL, 0, NULL, 0}};

static int read_own(int option, const char *value, void *ctx) {
  struct options *options = ctx;
  uint64_t n = 0;
  switch (option) {
  case STORE:
    if (strcmp(value, "hash") != 0 && strcmp(value, "lru") != 0)
      return refuse("store", value, "one of hash, lru is wanted");
    options->store = value;
    return 0;
  case MAX:
    if (!options_number(value, 1, 1000000, &n)) return refuse("max", value, "a number from 1 to 1000000 is wanted");
    options->max_count = (size_t)n;
    return 0;
  case IDLE_MS:
    if (!options_number(value, 1, 86400000, &n))
      return refuse("idle-ms", value, "a number from 1 to 86400000 is wanted");
    options->idle_ms = n;
    return 0;
  case HEARTBEAT_MS:
    if (!options_number(value, 1, 86400000, &n))
      return refuse("heartbeat-ms", value, "a number from 1 to 86400000 is wanted");
    options->heartbeat_ms = n;
    return 0;
  default: return read_policy(value, options);
  }
}

int counter_options_parse(int argc, char **argv, struct options *ret_options) {
  *ret_options = (struct options){.server = {.program = "counter"}, .store = "lru", .policy = VESTRY_KEEP_MANY};
  return options_parse(argc, argv, names, help, read_own, ret_options, &ret_options->server);
}
