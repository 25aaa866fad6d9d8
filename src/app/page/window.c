/* SPDX-License-Identifier: MIT */
/* essay: the position of a window, stored in the address */
/* A window shows a long list of which only some rows are rendered: those around the scroll position. Spacers stand for
 * the others, so that the scroll bar has the length of the whole list.
 *
 * The scroll position of a tab is state. It must survive the stream, a reload and a restart of the process, be
 * available on every node, and be bounded. The address of the page meets these requirements. Therefore a window is a
 * function of the request, and the server stores no state for it.
 *
 * The position is the first visible row. The rendered rows begin a third of the buffer before it, rounded down to a
 * sixth of the buffer. So nearby positions get the same rows, and tabs of a shared page share a render.
 *
 * The spacers are svg elements, because their sizes are attributes: a style policy does not forbid them, a morph
 * compares them as other attributes, and they need no script. */
/* essay: a scroll bar over rows that are not rendered */
/* The browser script of windows (window.js). A window shows a long list of which the server renders only some rows;
 * spacers stand for the rows before and after them.
 *
 * The position. `at` contains the visible position: the number of the row at the upper edge, with a fraction, and the
 * number of the column. If that row is rendered, `at` also has its id and its distance from the edge. When the window
 * has changed, the script scrolls so that `at` is visible again: by the id, because rows may have been inserted above,
 * or otherwise by the numbers. Therefore rows may have any height, and the spacers need not be exact. A distance that
 * was scrolled, but has not caused an event yet, is added. A distance that the browser cut off at the end of the list
 * is not.
 *
 * Over rows that are not rendered, the position in the list is proportional to the scroll bar. This is exact where the
 * spacers are exact, and at both ends of a scaled spacer.
 *
 * Requests. The script requests another window if less than a sixth of the rendered rows is left before an edge, and if
 * the server would return a different window; the server rounds by the same rule. There is one navigation at
 * a time, and the next request is determined by the position when it is complete. Browsers reject or ignore changes of
 * the address that follow too quickly (Safari 100 in 30 s, Chromium 200 in 10 s), so a request leaves the address as it
 * is. When scrolling has stopped, or rows before the visible ones have come or gone, the address gets the exact
 * position without a request; if it is rejected, a second later.
 *
 * Columns. In a document whose lines run from right to left, the browser counts scrollLeft from 0 downwards. All
 * distances of the script are those from the edge where a line begins.
 *
 * If the list becomes shorter than the position, its end is shown. If a row with the focus leaves the window, the
 * element gets the focus, so that keys still scroll it. Home and End jump, because a smooth scroll of the browser would
 * stop halfway when rows arrive and the script scrolls to keep the position. The script repeats the jump for half a
 * second, because an earlier smooth scroll may still be running; its late steps are smaller than the distances that a
 * script scrolls.
 *
 * The script is a single function, which the stream's element defines once, because each scroll step brings a new
 * window. `data-init` calls it; for windows that existed before, the stream's element calls it. The first frame of a
 * document comes before the client, so a few lines after the content set the position (vsi_window_put_first). Scrolling
 * between these lines and the function is kept, as later scrolling is. */
#include "vestry/app/window.h"

#include <string.h>

#include "app/page/render.h"
#include "base/ascii.h"
#include "event/query.h"
#include "vestry/signals.h"

enum {
  EXTENT_MOST_PX = 8000000, /* of a spacer, in pixels: about half the maximum of the most limited browser */
  PX = 32,
  PX_MOST = 10000,
  BUFFER = 90,
  DIGITS_MOST = 15
};

/* A direction of a window. */
typedef struct axis {
  uint64_t first, shown, count, place, extent;
  uint32_t px;
  double scale; /* pixels of the spacer for each row before the window */
} axis;

/* ---------------------------------------------------------------------------------------------- position ---------- */

static const char *read_number(const char *text, uint64_t *ret) {
  const char *at = text;
  uint64_t number = 0;
  for (; vsi_is_digit(*at) && at - text <= DIGITS_MOST; at++) number = number * 10 + (uint64_t)(*at - '0');
  if (at == text || at - text > DIGITS_MOST) return NULL;
  *ret = number;
  return at;
}

/* Read the position from the address: "row" or "row.column". Returns false if it is missing or invalid. */
static bool read_place(const char *query, const char *id, uint64_t *ret_row, uint64_t *ret_column) {
  char text[2 * DIGITS_MOST + 2];
  uint64_t row, column = 0;
  size_t len;
  if (vsi_query_value(query, strlen(query), id, text, sizeof text, &len)) return false;
  const char *at = read_number(text, &row);
  if (at && *at == '.') at = read_number(at + 1, &column);
  if (!at || at != text + len) return false;
  *ret_row = row;
  *ret_column = column;
  return true;
}

static uint64_t less(uint64_t number, uint64_t by) {
  return number > by ? number - by : 0;
}

static void set_axis(axis *to, const vestry_window_axis *given, uint64_t place, bool is_at_end) {
  uint64_t buffer = given->buffer_count ? given->buffer_count : BUFFER;
  *to = (axis){.count = given->count, .px = given->px ? given->px : PX};
  to->shown = buffer < to->count ? buffer : to->count;
  uint64_t last = to->count - to->shown;
  to->place = is_at_end || place > less(to->count, 1) ? less(to->count, 1) : place;
  uint64_t step = to->shown / 6 ? to->shown / 6 : 1, first = less(to->place, to->shown / 3);
  first -= first % step;
  to->first = is_at_end || first > last ? last : first;
  uint64_t whole = to->count * to->px, inside = to->shown * to->px;
  to->extent = whole <= EXTENT_MOST_PX || inside >= EXTENT_MOST_PX ? whole : EXTENT_MOST_PX;
  to->scale = last ? (double)(to->extent - inside) / (double)last : 0;
}

static uint64_t px_before(const axis *of) {
  return (uint64_t)((double)of->first * of->scale);
}

static uint64_t px_after(const axis *of) {
  return less(of->extent, px_before(of) + of->shown * of->px);
}

/* -------------------------------------------------------------------------------------------------- HTML ---------- */

static void put_axis(vestry_html *html, const axis *of) {
  vestry_html_add(html, "%llu %llu %llu %u %llu %llu ", (unsigned long long)of->first, (unsigned long long)of->shown,
                  (unsigned long long)of->count, of->px, (unsigned long long)of->extent, (unsigned long long)of->place);
}

/* Append a link to the same address with another position. */
static void put_link(vestry_html *html, const char *query, const vestry_window_options *options, uint64_t row,
                     const axis *columns, const char *text) {
  size_t id_len = strlen(options->id);
  vestry_html_add(html, "<a href=\"?");
  for (const char *at = query; *at;) {
    size_t len = strcspn(at, "&");
    bool is_own = strncmp(at, options->id, id_len) == 0 && (at[id_len] == '=' || len == id_len);
    if (len && !is_own) vestry_html_add(html, "%.*s&amp;", (int)len, at);
    at += len + (at[len] == '&');
  }
  vestry_html_add(html, "%s=%llu", options->id, (unsigned long long)row);
  if (columns->count) vestry_html_add(html, ".%llu", (unsigned long long)columns->place);
  vestry_html_add(html, "#%s-rows\">%s</a> ", options->id, text);
}

/* Links for browsers without scripts; the client hides them. */
static void put_links(vestry_html *html, const char *query, const vestry_window_options *options, const axis *rows,
                      const axis *columns) {
  const char *before = options->before_text ? options->before_text : "Earlier";
  const char *after = options->after_text ? options->after_text : "Later";
  uint64_t last = rows->count - rows->shown, further = rows->first + rows->shown;
  if (!last) return;
  vestry_html_add(html, "<nav class=\"vestry-window-links\" data-show=\"false\">");
  if (rows->first) put_link(html, query, options, less(further, rows->shown * 5 / 3), columns, before);
  if (rows->first < last) put_link(html, query, options, further + rows->shown / 3, columns, after);
  vestry_html_add(html, "</nav>");
}

/* -------------------------------------------------------------------------------------- public functions ---------- */

static bool is_axis(const vestry_window_axis *given) {
  return given->count <= VESTRY_WINDOW_COUNT_MAX && given->px <= PX_MOST &&
         given->buffer_count <= VESTRY_WINDOW_CELLS_MAX;
}

static const char *fault_of(const vsi_render *render, const vestry_html *html, const vestry_window_options *given,
                            vestry_window_options *ret) {
  if (render->is_part || !render->is_begun || render->is_ended || html != render->html)
    return "a window is allowed only in the content of a page, not in a part";
  if (!render->page->layout) return "a window needs a page with a layout (vestry_page_options.layout)";
  *ret = given ? *given : (vestry_window_options){0};
  if (!given || !ret->id || !vsi_is_element_id(ret->id))
    return "a window's options or its id are missing, or the id is invalid";
  if (!is_axis(&ret->rows) || !is_axis(&ret->columns))
    return "a window's count, px or buffer_count is too large (vestry/app/window.h)";
  if ((unsigned)ret->role > VESTRY_WINDOW_TABLE) return "a window's role is unknown (vestry/app/window.h)";
  return NULL;
}

/* Append the element that contains the rows. */
static vestry_err put_rows(vestry_html *html, const vestry_window_options *options, const axis *rows,
                           const axis *columns) {
  vestry_html_add(html, "<div id=\"%s-rows\"", options->id);
  if (options->role == VESTRY_WINDOW_LIST) vestry_html_add(html, " role=\"list\"");
  if (options->role == VESTRY_WINDOW_TABLE)
    vestry_html_add(html, " role=\"table\" aria-rowcount=\"%llu\"", (unsigned long long)rows->count);
  if (options->role == VESTRY_WINDOW_TABLE && columns->count)
    vestry_html_add(html, " aria-colcount=\"%llu\"", (unsigned long long)columns->count);
  return vestry_html_add(html, ">");
}

vestry_err vestry_window_begin(vestry_render *is, vestry_html *html, const vestry_window_options *given,
                               vestry_window *ret_window) {
  vsi_render *render = is->own;
  vestry_window_options options;
  axis rows, columns;
  uint64_t row = 0, column = 0;
  const char *fault = fault_of(render, html, given, &options);
  if (fault) return vsi_render_refuse(render, html, fault);
  const char *query = is->request->query;
  bool is_set = read_place(query, options.id, &row, &column);
  bool is_at_end = options.is_at_end && !is_set;
  set_axis(&rows, &options.rows, row, is_at_end);
  set_axis(&columns, &options.columns, column, false);
  if (rows.shown * (columns.shown ? columns.shown : 1) > VESTRY_WINDOW_CELLS_MAX)
    return vsi_render_refuse(render, html, "a window has more cells than VESTRY_WINDOW_CELLS_MAX");
  render->has_window = true;
  put_links(html, query, &options, &rows, &columns);
  vestry_html_add(html,
                  "<div id=\"%s\" class=\"vestry-window\" role=\"region\" aria-label=\"%s\" tabindex=\"0\""
                  " data-window=\"",
                  options.id, options.label ? options.label : "List");
  put_axis(html, &rows);
  put_axis(html, &columns);
  vestry_html_add(html, "%d\" data-on:scroll=\"el.look?.()\" data-init=\"window.vestryWindow?.(el)\"",
                  options.is_at_end);
  vestry_html_add(html, "><svg aria-hidden=\"true\" width=\"%llu\" height=\"%llu\"></svg>",
                  (unsigned long long)columns.extent, (unsigned long long)px_before(&rows));
  vestry_html_add(html,
                  "<div class=\"vestry-window-rows\"><svg aria-hidden=\"true\" width=\"%llu\" height=\"1\"></svg>",
                  (unsigned long long)px_before(&columns));
  vestry_err error = put_rows(html, &options, &rows, &columns);
  if (error) return error;
  *ret_window = (vestry_window){.first_row = rows.first,
                                .rows_count = rows.shown,
                                .first_column = columns.first,
                                .columns_count = columns.shown,
                                .reserved = {px_after(&rows), rows.count, options.role}};
  return VESTRY_OK;
}

vestry_err vestry_window_row(vestry_html *html, const vestry_window *window, uint64_t row) {
  unsigned long long number = (unsigned long long)row + 1;
  switch (window->reserved[2]) {
  case VESTRY_WINDOW_LIST:
    return vestry_html_add(html, " role=\"listitem\" aria-posinset=\"%llu\" aria-setsize=\"%llu\"", number,
                           (unsigned long long)window->reserved[1]);
  case VESTRY_WINDOW_TABLE:
    vestry_html_add(html, " role=\"row\" aria-rowindex=\"%llu\"", number);
    if (!window->columns_count) return vestry_html_error(html, NULL, NULL);
    return vestry_html_add(html, " aria-colindex=\"%llu\"", (unsigned long long)window->first_column + 1);
  default: return vestry_html_error(html, NULL, NULL);
  }
}

vestry_err vestry_window_end(vestry_html *html, const vestry_window *window) {
  return vestry_html_add(html, "</div></div><svg aria-hidden=\"true\" width=\"1\" height=\"%llu\"></svg></div>",
                         (unsigned long long)window->reserved[0]);
}
