/* SPDX-License-Identifier: MIT */
/* bench-content: the time to find a page's content and to hash bytes, by size. It is separate from vestry-bench, which
 * uses only the public headers.
 *
 * The pages are a table's rows and list items between a head, a navigation and a footer. For comparison, it measures
 * libxml2's parser on the same bytes, if it was installed at build time, and the worst page for this finder, in which
 * each tag searches all open elements. --round-ms MS: the duration of each of five rounds. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "bench.h"
#include "html/content.h"
#ifdef HAS_LIBXML2
#include <libxml/HTMLparser.h>
#endif

enum { ROUNDS = 5 };

typedef struct page {
  char *html;
  size_t len, capacity;
} page;

static void put(page *p, const char *text) {
  size_t len = strlen(text);
  if (p->len + len > p->capacity) return;
  memcpy(p->html + p->len, text, len);
  p->len += len;
}

/* Create a page of about this number of bytes. */
static void make_page(page *p, size_t bytes) {
  p->len = 0;
  put(p,
      "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Orders &amp; customers</title>\n"
      "<link rel=\"stylesheet\" href=\"/style.css\">\n<script type=\"module\" src=\"/datastar.js\"></script>\n"
      "<style>main > p { margin: 0 }</style>\n</head>\n<body class=\"page\">\n<header><h1>Orders</h1></header>\n"
      "<nav><ul><li><a href=\"/\">Home</a></li><li><a href=\"/orders\">Orders</a></li></ul></nav>\n"
      "<main id=\"content\" class=\"wide\">\n<table "
      "class=\"list\">\n<thead><tr><th>Number<th>Customer<th></thead>\n<tbody>\n");
  while (p->len + 600 < bytes)
    put(p, "<tr class=\"row\" data-show=\"$open || $all\"><td>4711</td><td>Miller &amp; Sons, Ltd., 12 Long Street, "
           "Springfield</td><td><button class=\"small\" "
           "data-on:click=\"@post('/orders/4711/close')\">Close</button></td></tr>\n");
  put(p, "</tbody>\n</table>\n<p>One of <b>many</b> pages. <svg viewBox=\"0 0 9 9\"><path d=\"M0 0h9v9z\"/></svg>\n"
         "<form action=\"/orders\" method=\"post\"><label>Number <input name=\"number\"></label><br></form>\n</main>\n"
         "<footer><p>All rights reserved.</footer>\n<script>if (a < b) f('</p>')</script>\n</body>\n</html>\n");
}

/* As deeply nested as allowed, followed by end tags that match nothing. */
static void make_worst(page *p, size_t bytes) {
  p->len = 0;
  put(p, "<main id=content></main><ul><table><tr><td>");
  for (int i = 0; i < 250; i++) put(p, "<q>");
  while (p->len + 5 <= bytes) put(p, "</ul>");
}

static void find(const page *p) {
  vsi_content found;
  if (vsi_content_find(p->html, p->len, "content", &found)) {
    fprintf(stderr, "bench-content: %s\n", found.why);
    exit(1);
  }
}

static uint64_t hashes;
static void hash(const page *p) {
  vsi_hash_128 made = vsi_siphash_128_of((vsi_siphash_key){1, hashes}, p->html, p->len);
  hashes += made.low ^ made.high; /* so that the compiler keeps it */
}

#ifdef HAS_LIBXML2
static void parse(const page *p) {
  htmlDocPtr parsed = htmlReadMemory(p->html, (int)p->len, "", "utf-8", HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING);
  if (!parsed) exit(1);
  xmlFreeDoc(parsed);
}
#endif

/* The nanoseconds per run in the best round, because disturbances only slow a round down. */
static void measure(const char *name, void (*run)(const page *), const page *p, uint64_t round_ns) {
  double best = 0;
  for (int round = 0; round < ROUNDS; round++) {
    uint64_t count = 0, begin = bench_now_ns(), now;
    do {
      run(p);
      count++;
      now = bench_now_ns();
    } while (now - begin < round_ns);
    double ns = (double)(now - begin) / (double)count;
    if (!round || ns < best) best = ns;
  }
  printf("vestry %s bytes=%zu ns=%.0f ns_per_byte=%.2f\n", name, p->len, best, best / (double)p->len);
}

int main(int argc, char **argv) {
  static const size_t sizes[] = {1500, 12700, 100000, 1000000, VSI_CONTENT_MAX_BYTES};
  uint64_t round_ms = 100;
  const bench_option options[] = {{"--round-ms", NULL, &round_ms, 1, 60000}};
  int status = bench_options(argc - 1, argv + 1, options, sizeof options / sizeof *options);
  if (status) return status;
  page p = {malloc(VSI_CONTENT_MAX_BYTES), 0, VSI_CONTENT_MAX_BYTES};
  if (!p.html) return 1;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    make_page(&p, sizes[i]);
    measure("content find", find, &p, round_ms * 1000000);
#ifdef HAS_LIBXML2
    if (p.len <= 1000000) measure("libxml2 parse", parse, &p, round_ms * 1000000);
#endif
    p.len = i == 1 ? 10000 : p.len;
    measure("content hash", hash, &p, round_ms * 1000000);
  }
  make_worst(&p, 1000000);
  measure("content worst", find, &p, round_ms * 1000000);
  free(p.html);
  return 0;
}
