/* SPDX-License-Identifier: MIT */
/** Windows: a page shows some rows of a long list, and the scroll bar is that of the whole list.
 *
 *      static vestry_err birds(vestry_render *render, vestry_html *html, void *app) {
 *        const vestry_window_options options = {.id = "birds", .rows = {.count = 1000000, .px = 32}};
 *        vestry_window window;
 *        …
 *        vestry_render_begin(render, html);
 *        vestry_window_begin(render, html, &options, &window);
 *        for (uint64_t i = 0; i < window.rows_count; i++)
 *          put_row(html, app, window.first_row + i);          // one element, with an id of its own
 *        vestry_window_end(html, &window);
 *        return vestry_render_end(render, html);
 *      }
 *
 *  A window is an element that scrolls, and has rows around what is seen of it. When one scrolls near their end, the
 *  tab asks for the rows around that place. The page reads no other rows: over SQLite, at level FILE_PAGES, a commit
 *  outside of the window renders nothing.
 *
 *  The place is in the page's address, in a parameter that is named as the window's element: `?birds=5000`. So it
 *  outlives a reload, a stream that breaks, the process, and the way there and back again; it is the same on every
 *  node, and the server keeps nothing for it. Shared pages share their windows: the places where windows begin are
 *  rounded. The page needs a layout (vestry_page_options.layout): scrolling is a navigation that takes the place of the
 *  history's entry. There is one request at a time; after it the tab asks for where it was scrolled to last.
 *
 *  A row is one element of any height; `px` is what rows are about as high as. Give each row an id that stays with what
 *  it shows: when the window moves, or rows come in above it, the row at the upper edge stays where it is, and focus
 *  and selection stay in their elements. With `columns` a row has cells, all of them `px` wide, and the window has some
 *  of them: it scrolls both ways.
 *
 *  Browsers show no element that is higher than some 17 million pixels. A longer list gets a spacer of eight million,
 *  and its scroll bar is scaled; rows are as high as ever.
 *
 *  The first frame of a document has the place already, before the client is loaded: by a script after the content. It
 *  has the nonce of vestry_reply_csp; a policy of your own that forbids it delays the place until the client runs.
 *
 *  The style is vestry_render_head's; the application says how high the element is (`.vestry-window`, or its id).
 *  Without a script, links in front of the window lead through the list. */
#ifndef VESTRY_WINDOW_H
#define VESTRY_WINDOW_H

#include "vestry/app/page.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Elements at most that scroll in one direction, and cells of a window: rows times columns. */
#define VESTRY_WINDOW_COUNT_MAX ((uint64_t)1000000000000)
#define VESTRY_WINDOW_CELLS_MAX 10000

/** A direction. */
typedef struct vestry_window_axis {
  uint64_t count;        /**< of the whole list, at most VESTRY_WINDOW_COUNT_MAX */
  uint32_t px;           /**< of one [32]; at most 10,000. Of columns exactly, of rows about */
  uint32_t buffer_count; /**< that are rendered [90]: three times as many as are seen, at least */
} vestry_window_axis;

/** What a screen reader is told that the rows are. */
typedef enum vestry_window_role {
  VESTRY_WINDOW_PLAIN, /**< nothing: an element in a labelled region */
  VESTRY_WINDOW_LIST,  /**< items of a list: each says its number, and how many there are */
  VESTRY_WINDOW_TABLE  /**< rows of a table, which says how many there are; their cells have role="cell" */
} vestry_window_role;

/** A window. Zero is the default, in brackets. */
typedef struct vestry_window_options {
  size_t size;    /**< sizeof(vestry_window_options), or 0 */
  const char *id; /**< of its element, as a page's id; and the name of the address's parameter */
  vestry_window_axis rows;
  vestry_window_axis columns; /**< a count of 0: rows only */
  bool is_at_end;             /**< without a place in the address it shows the last rows, and stays with them: a chat */
  const char *label;          /**< that a screen reader says ["List"] */
  const char *before_text;    /**< of the links, without a script ["Earlier"] */
  const char *after_text;     /**< likewise ["Later"] */
  vestry_window_role role;    /**< other than PLAIN: vestry_window_row in each row's tag */
} vestry_window_options;

/** What is to be rendered. */
typedef struct vestry_window {
  uint64_t first_row, rows_count;
  uint64_t first_column, columns_count; /**< without columns: 0 and 0 */
  uint64_t reserved[4];                 /**< private */
} vestry_window;

/** Append the start of a window, inside of the page's content. A place in the address that is none counts as the first
 *  one; one past the end as the last one.
 *  options     read during the call
 *  ret_window  where the application begins, and how many it puts; untouched on failure
 *  Returns     as vestry_html_add; INVALID also: an option is none; a page without a layout, a part, outside of the
 *              content. The error sticks, and the log says why | NO_MEMORY
 *  Threads     the render's */
VESTRY_API vestry_err vestry_window_begin(vestry_render *render, vestry_html *html,
                                          const vestry_window_options *options, vestry_window *ret_window);
/** Append what a screen reader is told of a row, inside of its start tag: that it is the n-th of all. PLAIN: nothing.
 *      vestry_html_add(html, "<p id=\"bird-%llu\"", row);
 *      vestry_window_row(html, &window, row);
 *      vestry_html_add(html, ">%s</p>", name);
 *  row      of the whole list, from 0
 *  Returns  as vestry_html_add */
VESTRY_API vestry_err vestry_window_row(vestry_html *html, const vestry_window *window, uint64_t row);
/** Append its end, after window->rows_count elements. As vestry_html_add. */
VESTRY_API vestry_err vestry_window_end(vestry_html *html, const vestry_window *window);

#ifdef __cplusplus
}
#endif
#endif
