/* SPDX-License-Identifier: MIT */
/* Pages that show a job: each step of the job is a commit to its row. */
#include "jobs/contract.h"
#include "vestry/testing/memory.h"
#include "vestry/vestry.h"

typedef struct desk {
  crew_node *n;
  vestry *v;
  vestry_pages *pages;
  vestry_memory_exchange *tab;
  void *followed;
  char shown[80];
  int renders;
} desk;

static desk *at_desk;

static void show_row(const vestry_job_row *row, void *ctx) {
  desk *d = ctx;
  snprintf(d->shown, sizeof d->shown, "%d %.2f %s", (int)row->state, row->progress,
           row->progress_text ? row->progress_text : "-");
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  desk *d = app;
  snprintf(d->shown, sizeof d->shown, "none");
  assert_int_equal(vestry_jobs_list(d->n->jobs, "work", VESTRY_JOB_ANY, 0, 10, show_row, d), VESTRY_OK);
  d->renders++;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%s</b>", d->shown);
  return vestry_render_end(render, html);
}

static const char *shown(void) {
  const uint64_t seq = crew_of()->settle(at_desk->followed);
  assert_int_equal(vestry_pages_settle(at_desk->pages, seq, PATIENCE_S * 1000), VESTRY_OK);
  return at_desk->shown;
}

static void report_progress(crew *c, crew_node *n, vestry_job *job) {
  static char text[VESTRY_JOB_TEXT_MAX_BYTES + 2];
  assert_string_equal(shown(), "2 0.00 -");
  assert_int_equal(vestry_job_progress(job, 0.5, "half of it"), VESTRY_OK);
  assert_string_equal(shown(), "2 0.50 half of it");
  assert_int_equal(vestry_job_progress(job, 7, "all"), VESTRY_OK);
  assert_string_equal(shown(), "2 1.00 all");
  memset(text, 'x', sizeof text - 1);
  assert_int_equal(vestry_job_progress(job, 0, text), VESTRY_TOO_LARGE);
  const int renders = at_desk->renders;
  crew_do(n, "INSERT INTO t VALUES(3)");
  assert_string_equal(shown(), "2 1.00 all");
  assert_int_equal(at_desk->renders, renders); /* a commit to another table causes no render */
}

static void open_desk(desk *d, crew *c) {
  vestry_page *page;
  const vestry_memory_call call = {.path = "/page", .datastar = true};
  *d = (desk){.n = &c->nodes[0]};
  at_desk = d;
  assert_int_equal(vestry_create(&(vestry_options){.host = &c->th.host, .threads_count = VESTRY_THREADS_NONE}, &d->v),
                   VESTRY_OK);
  assert_int_equal(vestry_pages_create(d->v, NULL, &d->pages), VESTRY_OK);
  d->followed = crew_of()->follow(d->n, d->pages);
  assert_int_equal(vestry_page_create(d->pages, &(vestry_page_options){.render = render, .app = d}, &page), VESTRY_OK);
  assert_int_equal(vestry_route(d->v, "GET", "/page", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_memory_request(d->v, &call, NULL, NULL, &d->tab), VESTRY_OK);
}

static void close_desk(desk *d) {
  vestry_memory_destroy(d->tab);
  vestry_memory_settle(d->v);
  vestry_stop(d->v, 0);
  crew_of()->unfollow(d->n, d->followed);
  vestry_pages_destroy(d->pages);
  vestry_destroy(d->v);
}

/* The page names no topic. Each node runs a job in turn, and the page belongs to the first node. */
/* capability: L7, M3 */
CREW_CASE(page_that_shows_a_job_renders_at_each_step) {
  desk d;
  open_desk(&d, c);
  assert_string_equal(shown(), "none");
  c->meanwhile = report_progress;
  for (int i = 0; i < CREW_NODES; i++) {
    int64_t id = crew_enqueue(c, (vestry_job_order){0});
    assert_string_equal(shown(), "1 0.00 -");
    assert_true(crew_step(&c->nodes[1 - i]));
    assert_string_equal(shown(), "3 1.00 all");
    assert_int_equal(vestry_jobs_remove(c->nodes[1].jobs, id), VESTRY_OK);
    assert_string_equal(shown(), "none");
  }
  close_desk(&d);
}

int jobs_contract_run_pages(void) {
  return cases_run("jobs_contract_pages", NULL, NULL);
}
