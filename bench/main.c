/* SPDX-License-Identifier: MIT */
/* vestry-bench SUBCOMMAND: measurements of vestry. */
#include <stdio.h>
#include <string.h>

#include "bench.h"

static const struct {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *help;
} subcommands[] = {
    {"serve", bench_serve,
     "serve [--port 8090] [--adapter civetweb|microhttpd] [--threads 256|2] [--streams 10000] [--heartbeat-ms 15000]\n"
     "      [--encoding identity|gzip|br] [--queue-bytes N] [--budget-bytes N] [--count-memory]\n"
     "      [--request-bytes N] [--request-ms N] [--per-address N] [--tls-key FILE --tls-certificate FILE] [--pages]\n"
     "      a server to be measured: GET /sub[?key=K], POST /pub[?key=K], POST /html, POST /drain?ms=N,\n"
     "      POST /close?key=K, GET /stats; with --pages GET /page?topic=T&bytes=N[&private=1], POST /state?topic=T"},
    {"compress", bench_compress,
     "compress [--streams 1000] [--rounds 300] [--encoding br] [--page-bytes 10000] [--change-bytes 100]\n"
     "      [--small-bytes 100] [--level 0] [--window-bits 0]\n"
     "      a page that changes a little, to encoded streams, against a small event to plain ones"},
    {"follow", bench_follow,
     "follow [--encoding br] [--rounds 1000] [--page-bytes 11600] [--level 0] [--window-bits 0]\n"
     "      one more message in a private page, alone and as what has changed: bytes and microseconds"},
    {"pages", bench_page_load,
     "pages --port P [--pages 1000] [--rounds 100] [--warm 0] [--bytes 10000] [--change-bytes 100] [--private] "
     "[--a-second N]\n"
     "      [--encoding identity|gzip|br] [--threads 1] [--patience-ms 20000] [--seed 1] [--server vestry|node] [--pid "
     "SERVER]\n"
     "      [--observed PAIRS [--console]]\n"
     "pages --port P --sleeper [--pages 200] [--rounds 3] [--a-second 500] [--sleep-ms 5000] [--bytes 10000] [--seed "
     "1]\n"
     "pages --alone refresh|unchanged|message|idle [--pages 1000] [--rounds 100] [--bytes 10000]\n"
     "      live pages that check what they show: losses, order, latency, renders; or one by itself: what it costs "
     "beyond\n"
     "      its handler"},
    {"chat", bench_chat,
     "chat --port P [--tabs 2000] [--channels 20] [--people 2000] [--a-second 20] [--seconds 30] [--warm 5]\n"
     "      [--encoding identity|gzip|br] [--pid SERVER] [--database-pid POSTMASTER]\n"
     "      tabs of the example chat on a database of its own: losses, order, latency, CPU"},
    {"cells", bench_cells,
     "cells --port P [--viewers 2000] [--writes 200] [--seconds 30] [--warm 10] [--scroll-ms 10000] [--together]\n"
     "      [--encoding identity|gzip|br] [--patience-ms 20000] [--seed 1] [--pid SERVER]\n"
     "      viewers of the example cells on a database of its own, who scroll and press: what comes too late or not "
     "at\n"
     "      all, or to others; latency, renders, CPU"},
    {"load", bench_load,
     "load --port P[,P…] [--streams 1000] [--rounds 100] [--warm 0] [--burst 1] [--payload-bytes 100] [--change-bytes "
     "0]\n"
     "      [--keyed [--here | --elsewhere]] [--channel] [--stalled 0] [--killed 0] [--encoding identity|gzip|br] "
     "[--threads 1] [--pause-ms 0] [--idle-ms 200]\n"
     "      [--patience-ms 10000] [--seed 1] [--server vestry|nchan|socketio] [--pid SERVER,…] [--own]\n"
     "      [--drain-ms 0] [--observed PAIRS [--console]]\n"
     "      streams that check what they get: losses, order, latency; fails on a loss or a disorder"},
    {"floor", bench_floor,
     "floor [--port 8090] [--streams 10000]\n"
     "      the least that a server can do: one thread, one write(2) a stream"},
    {"churn", bench_churn,
     "churn --port P [--clients 1000] [--seconds 60] [--seed 1] [--pid SERVER]\n"
     "      clients that connect, subscribe and are killed at random; fails unless the server ends up empty"},
    {"store", bench_store,
     "store --workload churn|zipf|hit|hot|mixed|idle [--store lru|hash] [--capacity 10000] [--threads 2] [--seconds "
     "2]\n"
     "      [--keys session|bytes] [--key-bytes 16] [--api get|with] [--latency] [--seed 1] [--warm-ms 500] [--idle-ms "
     "0]\n"
     "      [--verbose]\n"
     "      a store by itself, in one line; fails if its counts do not add up"},
#ifdef BENCH_SQLITE
    {"sqlite", bench_sqlite,
     "sqlite [--level topics|tables|pages] [--rounds 20000] [--tabs 1000] [--folder /tmp]\n"
     "      a commit with hooks, and the state of a tab, beside the same statements without vestry: microseconds"},
    {"exact", bench_exact,
     "exact [--level tables|pages] [--channels 200] [--messages 500] [--commits 1000] [--folder /tmp]\n"
     "      pages over SQLite: how many a commit renders, and what it costs to record what they read"},
    {"form", bench_form,
     "form [--tabs 1000] [--rounds 20000] [--bytes 500] [--folder /tmp]\n"
     "      to keep what is typed, in memory and in a database: microseconds and pages a letter, and a submit"},
#endif
#ifdef BENCH_POSTGRES
    {"postgres", bench_postgres,
     "postgres --url URL --only renders|delay|record|follower|polling|hold [--channels 200] [--messages 500]\n"
     "      [--commits 500] [--turns 21] [--seconds 10] [--pages 2000] [--database-pid POSTMASTER]\n"
     "      pages over PostgreSQL, in tables that are made anew in that database: renders a commit, how long it takes\n"
     "      to a tab, what recording and following cost, the same pages polled; hold: they are open until stdin ends"},
#endif
    {"jobs", bench_jobs,
     "jobs [--url URL | --folder /tmp] [--jobs 5000] [--delays 300] [--poll-ms N]\n"
     "      jobs that are added in transactions, until they are done, by 1 and 8 workers; how soon an idle node begins "
     "one;\n"
     "      over SQLite, or in tables that are made anew in that database of PostgreSQL; fails if one is lost"},
    {"format", bench_format,
     "format [--bytes 10000] [--lines 100] [--round-ms 200]\n"
     "      making events of elements and of signals, on one thread; GB/s of text; fails if an event is wrong"},
    {"dispatch", bench_dispatch,
     "dispatch [--way direct|dispatch|format|broadcast|post|nobody] [--rounds 100] [--count 5000]\n"
     "      one effect to one memory transport: nanoseconds and allocations; fails on wrong bytes"},
    {"lease", bench_lease,
     "lease [--tabs 10000] [--count 200000] [--turns 9]\n"
     "      what a tab's answer to its stream costs, beside the least that a handler answers"},
    {"observe", bench_observe,
     "observe [--streams 10000] [--turns 50] [--count 6400] [--only memory|looks|writers|events|tails]\n"
     "      to look into many streams: a scrape, one of them, a page of a listing; what writers wait meanwhile, "
     "events\n"
     "      cost more, and streams hold more"},
    {"rate", bench_rate,
     "rate [--clients 10000] [--count 200000] [--turns 9]\n"
     "      what a guard of rates costs a request: without and with it, in turns"},
    {"routes", bench_routes,
     "routes [--count 1000] [--rounds 200]\n"
     "      finding the route of a path among so many, nanoseconds; fails if one is not found"},
    {"upload", bench_upload,
     "upload [--way cpu] [--bytes 268435456] [--turns 9] [--form] [--folder /tmp] [--bare-bytes 65536]\n"
     "upload --way memory --adapter civetweb|microhttpd [--uploads 1000] [--held-bytes 262144] [--form]\n"
     "upload --way pages --adapter civetweb|microhttpd [--uploads 1000] [--rate-bytes 65536] [--pages 200] [--seconds "
     "10]\n"
     "      files that people send: CPU of the server a GB, beside a loop of recv and write; memory of one that is "
     "under\n"
     "      way; pages beside many; fails if one is lost. [--memory-bytes N]: of a connection of libmicrohttpd's"},
#ifdef BENCH_NATS
    {"broker", bench_broker,
     "broker [--rounds 20000] [--messages 200000] [--bytes 200] [--turns 5] [--url nats://…]\n"
     "      through NATS by the broker's seam and by libnats alone, with a nats-server of its own: one-way latency,\n"
     "      messages a second; fails if one is lost or out of order"},
    {"cluster", bench_cluster_load,
     "cluster --way far|reconnect|digests [--rounds 5000] [--streams 10000] [--turns 5]\n"
     "      several nodes on this machine, with a nats-server of its own: a dispatch to another node beside a bare\n"
     "      message, many streams that reconnect at once, what keys cost that others are told of"},
#endif
};
enum { SUBCOMMANDS = sizeof subcommands / sizeof *subcommands };

static int usage(FILE *to, int status) {
  for (int i = 0; i < SUBCOMMANDS; i++)
    fprintf(to, "%s  %s\n", i ? "" : "vestry-bench SUBCOMMAND\n", subcommands[i].help);
  return status;
}

int main(int argc, char **argv) {
  if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) return usage(stdout, 0);
  for (int i = 0; argc > 1 && i < SUBCOMMANDS; i++) {
    if (strcmp(argv[1], subcommands[i].name) != 0) continue;
    if (argc == 3 && !strcmp(argv[2], "--help")) return usage(stdout, 0);
    return subcommands[i].run(argc - 2, argv + 2);
  }
  return usage(stderr, 2);
}
