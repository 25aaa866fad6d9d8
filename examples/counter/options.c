/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "Usage: counter [OPTION…]\n"
    "A page with counters, on http://127.0.0.1:8080: each session has a counter, and each of its tabs a stream with\n"
    "the key (\"counter\", 1). GET /keys shows the stored streams. End it with Ctrl-C.\n"
    "\n"
    "  --port N              port to listen on; 0: a free one, which is printed [8080]\n"
    "  --listen ADDRESS      address to listen on; 0.0.0.0 also admits your network [127.0.0.1]\n"
    "  --store hash|lru      store of the streams: unlimited, or only the most recently used [lru]\n"
    "  --max N               maximum number of stored streams [lru: 10000; hash: unlimited]\n"
    "  --idle-ms N           lru: idle time after which a stream is closed [600000]\n"
    "  --heartbeat-ms N      time without an event after which a comment is sent [15000]\n" HELP_OF_ADAPTER
    "  --threads N           threads of the server; civetweb: each open stream uses one [civetweb: 128;\n"
    "                        others: one per processor]\n" HELP_OF_UNIX_SOCKET "  --policy replace|reuse|reject|many\n"
    "                        if a session opens a second stream: it replaces the first one; it is not opened, and the\n"
    "                        first one serves both tabs; it is refused; all streams are kept [many]\n"
    "  --datastar-file FILE  serve the Datastar client from this file [the file set in the build by\n"
    "                        VESTRY_DATASTAR_FILE; without it, browsers fetch the client from\n"
    "                        " VESTRY_DATASTAR_CDN_URL "]\n"
    "  --datastar-version V  version that browsers fetch, or that of the file [the one in the file's first line,\n"
    "                        or " VESTRY_DATASTAR_VERSION "]; the policy permits more to versions before 1.0.3\n"
    "  --trace FILE          append spans to FILE, which show where the time is spent, for an OpenTelemetry\n"
    "                        collector [none]\n"
    "  --console             serve a console to this machine only: /observe/console [no]\n"
    "  --help                show this text\n";

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
  return refuse("policy", name, "expected replace, reuse, reject or many");
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
    if (strcmp(value, "hash") != 0 && strcmp(value, "lru") != 0) return refuse("store", value, "expected hash or lru");
    options->store = value;
    return 0;
  case MAX:
    if (!options_number(value, 1, 1000000, &n)) return refuse("max", value, "expected a number from 1 to 1000000");
    options->max_count = (size_t)n;
    return 0;
  case IDLE_MS:
    if (!options_number(value, 1, 86400000, &n))
      return refuse("idle-ms", value, "expected a number from 1 to 86400000");
    options->idle_ms = n;
    return 0;
  case HEARTBEAT_MS:
    if (!options_number(value, 1, 86400000, &n))
      return refuse("heartbeat-ms", value, "expected a number from 1 to 86400000");
    options->heartbeat_ms = n;
    return 0;
  default: return read_policy(value, options);
  }
}

int counter_options_parse(int argc, char **argv, struct options *ret_options) {
  *ret_options = (struct options){.server = {.program = "counter"}, .store = "lru", .policy = VESTRY_KEEP_MANY};
  return options_parse(argc, argv, names, help, read_own, ret_options, &ret_options->server);
}
