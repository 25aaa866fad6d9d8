/* SPDX-License-Identifier: MIT */
/** Windows: a page shows some rows of a long list, with a scroll bar for the whole list.
 *
 *      static vestry_err birds(vestry_render *render, vestry_html *html, void *app) {
 *        const vestry_window_options options = {.id = "birds", .rows = {.count = 1000000, .px = 32}};
 *        vestry_window window;
 *        …
 *        vestry_window_begin(render, html, &options, &window);
 *        for (uint64_t i = 0; i < window.rows_count; i++)
 *          put_row(html, app, window.first_row + i);          // one element, with a unique id
 *        vestry_window_end(html, &window);
 *        …
 *      }
 *
 *  docs/guide/parts.md#windows-over-long-lists has the rules. */
#ifndef VESTRY_WINDOW_H
#define VESTRY_WINDOW_H

#include "vestry/app/page.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A window is a scrolling element that contains only the visible rows and a buffer around them. When the user scrolls
 *  near the end of the buffer, the tab requests the rows around the new position. It sends one request at a time;
 *  positions in between are skipped, but never the last one. The page reads no other rows. Therefore, with SQLite at
 *  level FILE_PAGES (vestry/data/sqlite.h), a commit to other rows causes no render.
 *  - Position: a parameter of the page's address, named as the element's id: `?birds=5000`. It survives reloads, broken
 *    streams, restarts and navigation, and is the same on every node; the server stores nothing. The first row of a
 *    window is rounded, so that tabs of a shared page at similar positions share a render. The page needs a layout
 *    (vestry_page_options.layout), because scrolling is a navigation that replaces the entry in the browser's history.
 *  - Rows: a row is one element of any height; `rows.px` is its approximate height. Give each row an id that belongs to
 *    its content. Then the row at the upper edge keeps its position, and focus and selection stay in their elements,
 *    when the window moves or rows are inserted above. At the top of the list, new rows are
 *    shown there instead. With `columns` a row has cells of exactly `columns.px` width, and the window scrolls in both
 *    directions.
 *  - Long lists: browsers display no element above about 17 million pixels. A list above eight million pixels gets a
 *    spacer of eight million and a scaled scroll bar; its rows keep their height.
 *  - First frame: a script after the content sets the position before the client is loaded. The script has the nonce of
 *    vestry_reply_csp. If another policy rejects the script, the position is set when the client runs.
 *  - Style: the page must call vestry_render_head; the application must set the element's height (`.vestry-window`, or
 *    its id). Without scripts, links before the window lead through the list. */

/** Maximum number of rows or of columns of a list; maximum number of cells in a window (rows times columns). */
#define VESTRY_WINDOW_COUNT_MAX ((uint64_t)1000000000000)
#define VESTRY_WINDOW_CELLS_MAX 10000

/** A direction of scrolling. */
typedef struct vestry_window_axis {
  uint64_t count;        /**< number of rows or columns of the whole list, at most VESTRY_WINDOW_COUNT_MAX */
  uint32_t px;           /**< height of a row (approximate) or width of a column (exact) in pixels [32]; at most
                              10,000 */
  uint32_t buffer_count; /**< number of rendered rows or columns [90]; should be at least three times the number of
                              visible ones */
} vestry_window_axis;

/** Role of the rows for screen readers. */
typedef enum vestry_window_role {
  VESTRY_WINDOW_PLAIN, /**< none: an element in a labelled region */
  VESTRY_WINDOW_LIST,  /**< items of a list, each with its number and the total */
  VESTRY_WINDOW_TABLE  /**< rows of a table with their total; cells have role="cell" */
} vestry_window_role;

/** Options of a window. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_window_options {
  const char *id; /**< id of the window's element, with the same characters as a page's id; also the name of the
                       parameter */
  vestry_window_axis rows;
  vestry_window_axis columns; /**< a count of 0: rows only */
  bool is_at_end;             /**< if the address has no position, show the last rows, and follow new rows, as in a
                                   chat */
  const char *label;          /**< label for screen readers ["List"] */
  const char *before_text;    /**< text of the link to earlier rows, for browsers without scripts ["Earlier"] */
  const char *after_text;     /**< text of the link to later rows ["Later"] */
  vestry_window_role role;    /**< other than PLAIN: call vestry_window_row in each row's tag */
} vestry_window_options;

/** The rows to render. */
typedef struct vestry_window {
  uint64_t first_row, rows_count;
  uint64_t first_column, columns_count; /**< without columns: 0 and 0 */
  uint64_t reserved[4];                 /**< private */
} vestry_window;

/** Append the start of a window, inside the page's content. An invalid position in the address is treated as none, and
 *  a position after the end as the last row.
 *  options     read during the call
 *  ret_window  the rows (and columns) to append; untouched on failure
 *  Returns  as vestry_html_add; INVALID also for an invalid option, in a page without a layout, in a part, or outside
 *           of the content. The render then fails, and the log gives the reason | NO_MEMORY
 *  Threads  the render's */
VESTRY_API vestry_err vestry_window_begin(vestry_render *render, vestry_html *html,
                                          const vestry_window_options *options, vestry_window *ret_window);
/** Append the attributes of a row for screen readers, inside its start tag: its number and the total. PLAIN: none.
 *      vestry_html_add(html, "<p id=\"bird-%llu\"", row);
 *      vestry_window_row(html, &window, row);
 *      vestry_html_add(html, ">%s</p>", name);
 *  row  index in the whole list, from 0
 *  Returns  as vestry_html_add */
VESTRY_API vestry_err vestry_window_row(vestry_html *html, const vestry_window *window, uint64_t row);
/** Append the end of a window, after window->rows_count elements. Returns as vestry_html_add. */
VESTRY_API vestry_err vestry_window_end(vestry_html *html, const vestry_window *window);

#ifdef __cplusplus
}
#endif
#endif
