/* SPDX-License-Identifier: MIT */
/* README's two programs in a frame: readme PORT. README_KEYED is a file with the first one. README_PAGE and
 * README_VOTE are files with the two parts of the live page's code: the page's function, and the body of a vote. */
#include <stdio.h>
#include <stdlib.h>

#include "vestry/app/page.h"
#include "vestry/microhttpd.h"
#include "vestry/vestry.h"

enum { TEA, COFFEE, KINDS };
static int votes[KINDS];
static vestry_pages *pages;

static int votes_for(void *app, int kind) {
  return ((int *)app)[kind];
}

static void count_vote(void *app, int kind) {
  ((int *)app)[kind]++;
}

#include README_KEYED
#include README_PAGE

static vestry_err vote(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
#include README_VOTE
  return vestry_reply_status(reply, 204);
}

static void tick(vestry_timer *timer, void *v) {
  (void)timer;
  measured(v, 230);
}

static void ready(vestry_server *server, void *ctx) {
  (void)ctx;
  printf("readme: %s\n", server->url);
  fflush(stdout);
}

int main(int argc, char **argv) {
  vestry *v;
  vestry_page *page;
  vestry_timer *timer;
  if (argc != 2 || vestry_create(NULL, &v) || vestry_pages_create(v, NULL, &pages) ||
      vestry_page_create(pages, &(vestry_page_options){.render = poll, .app = votes}, &page) ||
      vestry_route(v, "GET", "/", vestry_page_handler, page) || vestry_route(v, "POST", "/vote", vote, votes) ||
      vestry_route(v, "GET", "/live", live, NULL) || vestry_route(v, "POST", "/reset", reset, NULL) ||
      vestry_timer_create(vestry_parts_of(v)->runtime, tick, v, &timer) || vestry_timer_set(timer, 100, 100))
    return 1;
  const vestry_server_options options = {.port = (uint16_t)atoi(argv[1]), .on_ready = ready, .stop_ms = 1000};
  vestry_err error = vestry_server_run(v, &vestry_server_microhttpd, &options);
  vestry_timer_destroy(timer);
  vestry_stop(v, 1000);
  vestry_pages_destroy(pages);
  vestry_destroy(v);
  return error ? 1 : 0;
}
