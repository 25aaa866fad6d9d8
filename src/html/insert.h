/* SPDX-License-Identifier: MIT */
/* Inserted texts, at the place of a builder. */
#ifndef VSI_HTML_INSERT_H
#define VSI_HTML_INSERT_H

#include "html/builder.h"

/* Insert a text, escaped for its place. */
void vsi_html_insert(vsi_html *html, const char *text, size_t len);
/* The same, if vsi_place_is_settled has returned true. */
void vsi_html_insert_settled(vsi_html *html, bool in_js, const char *text, size_t len);

#endif
