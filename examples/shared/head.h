/* SPDX-License-Identifier: MIT */
/* Elements in the head of each page. The browser's bars have the colour of the page (--paper of style.css), and there
 * is an icon. Pages without the frame of an application have the same viewport as those with it. */
#ifndef EXAMPLES_HEAD_H
#define EXAMPLES_HEAD_H

#include <stddef.h>

#define PAGE_HEAD                                                                                                      \
  "<meta name=\"color-scheme\" content=\"light dark\">"                                                                \
  "<meta name=\"theme-color\" content=\"#f4efe6\" media=\"(prefers-color-scheme: light)\">"                            \
  "<meta name=\"theme-color\" content=\"#12181a\" media=\"(prefers-color-scheme: dark)\">"                             \
  "<link rel=\"icon\" href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'"         \
  "%3E%3Crect width='16' height='16' rx='4' fill='%231f5c4d'/%3E%3Cpath d='M4 4l4 8 4-8' fill='none' "                 \
  "stroke='%23fff' stroke-width='2'/%3E%3C/svg%3E\">"

#define PAGE_VIEWPORT                                                                                                  \
  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1, interactive-widget=resizes-content\">"

/* style.css and small.css, converted to arrays by the build. */
extern const unsigned char style_css[], small_css[];
extern const size_t style_css_len, small_css_len;

#endif
