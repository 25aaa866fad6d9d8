/* SPDX-License-Identifier: MIT */
/* The dashboard: charts of this machine's processors, memory and network, which move once per second. All users see the
 * same page, so one render serves them all; without open pages nothing is rendered. There is no lock: only the timer
 * writes the history, and renders read it. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../shared/program.h"
#include "assets.h"

/* A chart shows three minutes. The ring is larger: the timer overwrites a place that a render reads only if the render
 * takes longer than five minutes. */
enum { TICK_MS = 1000, SECONDS = 180, RING = 512, HEIGHT = 200 };

/* units: fraction of 1, bytes, bytes per second, bytes per second */
enum series { BUSY, USED, RECEIVED, SENT, SERIES };

/* Counters of the system since its start. */
struct counters {
  unsigned long long busy, total; /* time of all processors */
  unsigned long long received, sent;
};

struct app {
  struct program program;
  vestry_pages *pages;
  vestry_page *page;
  vestry_timer *timer;
  struct counters before; /* used by the timer only */
  double memory_bytes;    /* set before the start */
  long processors_count;  /* set before the start */
  _Atomic double history[SERIES][RING];
  atomic_size_t count; /* number of samples; the newest is at (count - 1) % RING */
};

/* ----------------------------------------------------------------------------------------------- the machine ------ */

static double read_memory(double *ret_used) {
  double kilobytes, total = 0, available = 0;
  char line[128];
  FILE *file = fopen("/proc/meminfo", "r");
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, "MemTotal: %lf", &kilobytes) == 1) total = kilobytes * 1024;
    if (sscanf(line, "MemAvailable: %lf", &kilobytes) == 1) available = kilobytes * 1024;
  }
  if (file) fclose(file);
  *ret_used = total - available;
  return total;
}

static struct counters read_counters(void) {
  struct counters now = {0};
  unsigned long long time[8] = {0}, in, out; /* user, nice, system, idle, waiting for a disk, and so on: proc(5) */
  char line[512], name[32];
  FILE *file = fopen("/proc/stat", "r");
  if (file && fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &time[0], &time[1], &time[2], &time[3],
                     &time[4], &time[5], &time[6], &time[7]) >= 4) {
    for (int i = 0; i < 8; i++) now.total += time[i];
    now.busy = now.total - time[3] - time[4];
  }
  if (file) fclose(file);
  file = fopen("/proc/net/dev", "r");
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, " %31[^:]: %llu %*u %*u %*u %*u %*u %*u %*u %llu", name, &in, &out) != 3) continue;
    if (strcmp(name, "lo") == 0) continue; /* the loopback */
    now.received += in;
    now.sent += out;
  }
  if (file) fclose(file);
  return now;
}

/* Return the increase of a counter. If an interface was removed, the sum decreases, and 0 is shown. */
static double difference(unsigned long long now, unsigned long long before) {
  return now > before ? (double)(now - before) : 0;
}

static void take_sample(struct app *app) {
  const struct counters now = read_counters(), before = app->before;
  const double seconds = TICK_MS / 1000.0, time = difference(now.total, before.total);
  const size_t count = atomic_load_explicit(&app->count, memory_order_relaxed); /* written by this thread only */
  double values[SERIES] = {[BUSY] = time > 0 ? difference(now.busy, before.busy) / time : 0,
                           [RECEIVED] = difference(now.received, before.received) / seconds,
                           [SENT] = difference(now.sent, before.sent) / seconds};
  read_memory(&values[USED]);
  for (int i = 0; i < SERIES; i++)
    atomic_store_explicit(&app->history[i][count % RING], values[i], memory_order_relaxed);
  atomic_store_explicit(&app->count, count + 1, memory_order_release); /* pairs with render's acquire */
  app->before = now;
}

/* Runs once per second, on a thread of the runtime. */
static void tick(vestry_timer *timer, void *ctx) {
  struct app *app = ctx;
  (void)timer;
  take_sample(app);
  vestry_refresh(app->pages, "machine", NULL);
}

/* -------------------------------------------------------------------------------------------------- the page ------ */

static double value_at(struct app *app, enum series series, size_t at) {
  return atomic_load_explicit(&app->history[series][at % RING], memory_order_relaxed);
}

/* Return the first shown sample. There is one sample more than the chart is wide, so that the line begins outside. */
static size_t first_of(size_t count) {
  return count > SECONDS + 1 ? count - SECONDS - 1 : 0;
}

/* Format an amount with at most three digits: "1.5 GB", "200 kB". */
static const char *amount(double bytes, const char *per, char text[static 16]) {
  static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
  int unit = 0;
  for (; bytes >= 999.5 && unit < 4; unit++) bytes /= 1000;
  snprintf(text, 16, "%.*f %s%s", unit && bytes < 9.95 ? 1 : 0, bytes, units[unit], per);
  return text;
}

/* Return the top of the network's scale, above all shown values: 10 kB/s, 20, 50, 100 … */
static double network_top(struct app *app, size_t count) {
  double most = 0, top = 10000;
  for (int i = RECEIVED; i <= SENT; i++)
    for (size_t at = first_of(count); at < count; at++)
      if (value_at(app, i, at) > most) most = value_at(app, i, at);
  for (int i = 0; top < most; i++) top *= i % 3 == 1 ? 2.5 : 2;
  return top;
}

/* Append a line. Each sample has a fixed position, given by its number, and the surrounding group moves. So after a
 * second the path has lost a point at one end and gained one at the other, and the rest is unchanged. */
static void add_line(struct app *app, vestry_html *html, enum series series, size_t count, double top) {
  vestry_html_add(html, "<path class=\"line-%d\" d=\"M%zu,%d", series, first_of(count), HEIGHT + 9);
  for (size_t at = first_of(count); at < count; at++) {
    double part = top > 0 ? value_at(app, series, at) / top : 0;
    vestry_html_add(html, " %zu,%d", at, (int)(HEIGHT * (1 - (part < 1 ? part : 1)) + .5));
  }
  vestry_html_add(html, "h9V%dz\"/>", HEIGHT + 9);
}

/* Return the width of a chart in seconds: half a minute or a minute, while there are no more samples. */
static int seconds_of(size_t count) {
  return count <= 31 ? 30 : count <= 61 ? 60 : SECONDS;
}

/* Append a chart. Texts are outside of the drawing, which fills the available width. */
static void add_chart(struct app *app, vestry_html *html, enum series from, enum series to, size_t count, double top,
                      const char *about, const char *most, const char *half) {
  const int seconds = seconds_of(count), sixth = seconds / 6;
  const char *since = seconds == SECONDS ? "3 min" : seconds == 60 ? "1 min" : "30 s";
  vestry_html_add(
      html,
      "<div class=\"chart live\"><div class=\"up\" aria-hidden=\"true\"><span>%s</span><span>%s</span>"
      "<span>0</span></div><svg role=\"img\" aria-label=\"%s, of the last %s, up to %s\" "
      "viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\">"
      "<path class=\"grid\" d=\"M0,50h180M0,100h180M0,150h180M%d,0v200M%d,0v200M%d,0v200M%d,0v200M%d,0v200\"/>"
      "<g transform=\"translate(%d)\">",
      most, half, about, since, most, seconds, HEIGHT, sixth, 2 * sixth, 3 * sixth, 4 * sixth, 5 * sixth,
      seconds - (int)(count - 1));
  for (enum series series = from; series <= to; series++) add_line(app, html, series, count, top);
  vestry_html_add(
      html,
      "</g></svg><div class=\"along\" aria-hidden=\"true\"><span>%s ago</span><span class=\"now\">now</span>"
      "</div></div>",
      since);
}

static vestry_err render(vestry_render *render, vestry_html *html, void *ctx) {
  struct app *app = ctx;
  char text[4][16];
  vestry_pages_stats stats = {0};
  vestry_render_topic(render, "machine");
  const size_t count = atomic_load_explicit(&app->count, memory_order_acquire); /* pairs with take_sample's release */
  const double memory = app->memory_bytes, top = network_top(app, count);
  vestry_pages_stats_get(app->pages, &stats);
  program_live_begin(&app->program, render, html, "This machine");
  vestry_render_begin(render, html);
  vestry_html_add(html,
                  "<h1>This machine</h1><div id=\"charts\"><section><h2>Processors</h2><p><b id=\"busy\">%.0f %%</b>"
                  "<span>of %ld</span></p>",
                  100 * value_at(app, BUSY, count - 1), app->processors_count);
  add_chart(app, html, BUSY, BUSY, count, 1, "Load of the processors", "100 %", "50 %");
  vestry_html_add(html, "</section><section><h2>Memory</h2><p><b id=\"used\">%s</b><span>of %s</span></p>",
                  amount(value_at(app, USED, count - 1), "", text[0]), amount(memory, "", text[1]));
  add_chart(app, html, USED, USED, count, memory, "Memory in use", text[1], amount(memory / 2, "", text[2]));
  vestry_html_add(html,
                  "</section><section><h2>Network</h2><p><b>%s</b><span class=\"key-%d\">in</span>"
                  "<b>%s</b><span class=\"key-%d\">out</span></p>",
                  amount(value_at(app, RECEIVED, count - 1), "/s", text[0]), RECEIVED,
                  amount(value_at(app, SENT, count - 1), "/s", text[1]), SENT);
  add_chart(app, html, RECEIVED, SENT, count, top, "Incoming and outgoing traffic", amount(top, "/s", text[2]),
            amount(top / 2, "/s", text[3]));
  vestry_html_add(
      html,
      "</section></div><p id=\"cost\">Open tabs: <b>%zu</b>. Updates so far: <b>%llu</b>, one a second, for "
      "all tabs together.</p>",
      stats.streams_count, (unsigned long long)stats.renders_count);
  vestry_render_end(render, html);
  return program_live_end(html);
}

/* GET /: the share key is the same for all users. */
static vestry_err dashboard(const vestry_request *req, vestry_reply *reply, void *ctx) {
  return vestry_page_serve(req, reply, ((struct app *)ctx)->page, "all");
}

int main(int argc, char **argv) {
  static const vestry_profile offered[] = {{.ops = &vestry_profile_brotli}, {.ops = &vestry_profile_gzip}};
  static struct app app;
  app.program = (struct program){.style = dashboard_css, .style_len = dashboard_css_len};
  program_start(&app.program, argc, argv, "dashboard", "Charts of the load of this machine",
                &(vestry_options){.profiles = offered, .profiles_count = 2});
  vestry *v = app.program.v;
  double used;
  app.memory_bytes = read_memory(&used);
  app.processors_count = sysconf(_SC_NPROCESSORS_ONLN);
  app.before = read_counters();
  take_sample(&app);
  vestry_err err = vestry_pages_create(v, NULL, &app.pages);
  if (!err) err = vestry_page_create(app.pages, &(vestry_page_options){.render = render, .app = &app}, &app.page);
  if (!err) err = vestry_route(v, "GET", "/", dashboard, &app);
  if (!err) err = vestry_timer_create(vestry_parts_of(v)->runtime, tick, &app, &app.timer);
  if (!err) err = vestry_timer_set(app.timer, TICK_MS, TICK_MS);
  app.program.shown.pages = app.pages;
  if (!err) program_wait(&app.program);
  vestry_timer_destroy(app.timer);
  vestry_stop(v, VESTRY_NEVER_MS);
  vestry_pages_destroy(app.pages);
  return program_finish(&app.program);
}
