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
     "serve [--port 8090 | --unix-socket PATH] [--adapter civetweb|microhttpd|h2 [--no-tls]] [--threads 256|2]\n"
     "      [--streams 10000] [--heartbeat-ms 15000]\n"
     "      [--io automatic|batched|plain] [--workers PROCESSORS]\n"
     "      [--encoding identity|gzip|br] [--queue-bytes N] [--budget-bytes N] [--count-memory]\n"
     "      [--request-bytes N] [--memory-bytes N] [--request-ms N] [--per-address N] [--pages]\n"
     "      [--tls-key FILE --tls-certificate FILE]\n"
     "      a server for measurements: GET /sub[?key=K], POST /pub[?key=K], POST /html, POST /drain?ms=N,\n"
     "      POST /close?key=K, GET /stats; with --pages GET /page?topic=T&bytes=N[&private=1], POST /state?topic=T"},
    {"follow", bench_follow,
     "follow [--encoding br] [--rounds 1000] [--page-bytes 11600] [--level 0] [--window-bits 0]\n"
     "      one more message in a private page, in full and as a difference: bytes and microseconds"},
    {"pages", bench_page_load,
     "pages --port P [--pages 1000] [--rounds 100] [--warm 0] [--bytes 10000] [--change-bytes 100] [--private] "
     "[--a-second N]\n"
     "      [--encoding identity|gzip|br] [--threads 1] [--patience-ms 20000] [--seed 1]\n"
     "      [--server vestry|node|floor] [--pid SERVER] [--observed PAIRS [--console]]\n"
     "pages --port P --sleeper [--pages 200] [--rounds 3] [--a-second 500] [--sleep-ms 5000] [--bytes 10000] [--seed "
     "1]\n"
     "pages --alone refresh|unchanged|message|row|idle [--pages 1000] [--rounds 100] [--bytes 10000]\n"
     "      live pages that check their content: losses, order, latency, renders; --alone: the cost of a page beyond\n"
     "      its handler"},
    {"chat", bench_chat,
     "chat --port P [--tabs 2000] [--channels 20] [--people 2000] [--a-second 20] [--seconds 30] [--warm 5]\n"
     "      [--encoding identity|gzip|br] [--pid SERVER] [--database-pid POSTMASTER]\n"
     "      tabs of the example chat on a separate database: losses, order, latency, CPU"},
    {"users", bench_users,
     "users --port P --script FILE [--users 200] [--threads 8] [--ramp-ms 2000] [--patience-ms 10000] [--set N=V,…]\n"
     "      [--seed 1]\n"
     "      users of any vestry server, each with a browser, who do what FILE says, one step a line: open \"/path\",\n"
     "      type \"label\" \"text\", press \"button or link\", expect \"text\" [MS], gone \"text\" [MS], think MS "
     "[MS],\n"
     "      repeat N … end. {user}, {round} and {N} of --set are replaced in texts. Reports latencies, and each "
     "failure "
     "with\n"
     "      its line and what the page shows; fails if a user does not finish"},
    {"cells", bench_cells,
     "cells --port P [--viewers 2000] [--writes 200] [--seconds 30] [--warm 10] [--scroll-ms 10000] [--together]\n"
     "      [--encoding identity|gzip|br] [--patience-ms 20000] [--seed 1] [--pid SERVER]\n"
     "      viewers of the example cells on a separate database, who scroll and press: late, missing and misdirected\n"
     "      events; latency, renders, CPU"},
    {"load", bench_load,
     "load --port P[,P…] [--streams 1000] [--rounds 100] [--warm 0] [--burst 1] [--payload-bytes 100] [--change-bytes "
     "0]\n"
     "      [--keyed [--here | --elsewhere]] [--channel] [--apart] [--stalled 0] [--killed 0]\n"
     "      [--encoding identity|gzip|br] [--threads 1] [--pause-ms 0] [--idle-ms 200]\n"
     "      [--patience-ms 10000] [--seed 1] [--server vestry|nchan|socketio] [--pid SERVER,…] [--own] [--puts-off]\n"
     "      [--drain-ms 0] [--observed PAIRS [--console]] [--h2 STREAMS_OF_A_CONNECTION [--no-tls]\n"
     "      [--unread 0]]\n"
     "      streams that check their events: losses, order, latency; fails on a lost or misordered event"},
    {"floor", bench_floor,
     "floor [--port 8090] [--streams 10000] [--batched [--threads 2] | --tls] [--cells FILE [--encoding identity|br]]\n"
     "      the minimum work of a server: one thread, one write(2) per stream, or with --batched "
     "one io_uring_enter(2) for 256 streams;\n"
     "      with --tls HTTP/2 over TLS, one record per connection; with --cells the board of `cells`, in a new "
     "database"},
    {"store", bench_store,
     "store --workload churn|zipf|hit|hot|mixed|idle [--store lru|hash] [--capacity 10000] [--threads 2] [--seconds "
     "2]\n"
     "      [--keys session|bytes] [--key-bytes 16] [--api get|with] [--latency] [--seed 1] [--warm-ms 500] [--idle-ms "
     "0]\n"
     "      [--verbose]\n"
     "      a store alone, reported in one line; fails if its counts are inconsistent"},
#ifdef BENCH_SQLITE
    {"sqlite", bench_sqlite,
     "sqlite [--level tables|pages] [--rounds 20000] [--tabs 1000] [--folder /tmp]\n"
     "      a commit with hooks, and the state of a tab, compared to the same statements without vestry: microseconds"},
    {"exact", bench_exact,
     "exact [--level tables|pages] [--channels 200] [--messages 500] [--commits 1000] [--folder /tmp]\n"
     "      pages over SQLite: renders per commit, and the cost of recording their reads\n"
     "exact --pages N [--level tables|pages] [--commits 1000] [--folder /tmp]\n"
     "      N pages of one row each: CPU of a commit and of following it, and its time, beside the same statement\n"
     "      without vestry that wakes a thread"},
    {"peers", bench_peers,
     "peers [--pages 1000] [--others 1000] [--commits 1000] [--folder /tmp]\n"
     "      pages of two processes over one SQLite file: renders per commit of the other process, and for nothing"},
    {"form", bench_form,
     "form [--tabs 1000] [--rounds 20000] [--bytes 500] [--folder /tmp]\n"
     "      storing typed text in memory and in a database: microseconds and pages per letter and per submit"},
#endif
#ifdef BENCH_POSTGRES
    {"postgres", bench_postgres,
     "postgres --url URL --only renders|delay|record|follower|many|polling|hold|drop [--channels 200]\n"
     "      [--messages 500] [--commits 500] [--turns 21] [--seconds 10] [--pages 2000] [--database-pid POSTMASTER]\n"
     "      pages over PostgreSQL, in new tables of that database: renders per commit, delay until a tab shows it, "
     "the\n"
     "      cost of recording and following, costs with many pages, the same pages polled; hold: the pages are open\n"
     "      until stdin ends; drop: the WAL is received and dropped until then"},
#endif
    {"jobs", bench_jobs,
     "jobs [--url URL | --folder /tmp] [--jobs 5000] [--delays 300] [--poll-ms N]\n"
     "      jobs enqueued in transactions and completed by 1 and 8 workers; the delay until an idle node begins a "
     "job;\n"
     "      over SQLite, or in new tables of that PostgreSQL database; fails if a job is lost"},
    {"dispatch", bench_dispatch,
     "dispatch [--way direct|dispatch|format|broadcast|post|empty] [--rounds 100] [--count 5000]\n"
     "      one effect to one memory transport: nanoseconds and allocations; fails on wrong bytes"},
    {"costs", bench_costs,
     "costs [--streams 1000] [--sends STREAMS]\n"
     "      the figures of docs/guide/connections.md: bytes of streams, keys and waiting events, allocations,\n"
     "      microseconds of sends below and above the mark; fails if one cannot be measured"},
    {"lease", bench_lease,
     "lease [--tabs 10000] [--count 200000] [--turns 9]\n"
     "      the cost of a lease renewal by a tab, compared to a minimal handler"},
    {"observe", bench_observe,
     "observe [--streams 10000] [--turns 50] [--count 6400] [--only memory|looks|writers|events|tails]\n"
     "      observing many streams: a scrape, one stream, a page of a listing; the delay of writers meanwhile, the\n"
     "      additional cost of events, and the additional memory of streams"},
    {"upload", bench_upload,
     "upload [--way cpu] [--bytes 268435456] [--turns 9] [--form] [--folder /tmp] [--bare-bytes 65536]\n"
     "upload --way memory --adapter civetweb|microhttpd [--uploads 1000] [--held-bytes 262144] [--form]\n"
     "upload --way pages --adapter civetweb|microhttpd [--uploads 1000] [--rate-bytes 65536] [--pages 200] [--seconds "
     "10]\n"
     "      uploads: CPU of the server per GB, compared to a loop of recv and write; memory of an active upload; "
     "pages\n"
     "      during many uploads; fails if one is lost. [--memory-bytes N]: memory of a connection of libmicrohttpd"},
    {"simulate", bench_simulate,
     "simulate [--way costs|away|restarts|promises] [--nodes 100] [--streams 1000] [--changes 1000] [--asks 100]\n"
     "      [--seconds 10] [--latency-us 750] [--seed 1] [--seeds 10] [--steps 150]\n"
     "      many nodes of a cluster in virtual time: messages, memory, the longest step; gaps; promises, by seeds"},
#ifdef BENCH_NATS
    {"cluster", bench_cluster_load,
     "cluster --way far|reconnect|digests [--rounds 5000] [--streams 10000] [--turns 5]\n"
     "      several nodes on this machine, with a separate nats-server: a dispatch to another node compared to a bare\n"
     "      message, many streams that reconnect at once, the cost of announced keys"},
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
