/* SPDX-License-Identifier: MIT */
/* Texts of others, where a builder stands. */
#ifndef VSI_HTML_INSERT_H
#define VSI_HTML_INSERT_H

#include "html/builder.h"

/* A text of others for a place that takes one. */
void vsi_html_insert(vsi_html *html, const char *text, size_t len);
/* The same where vsi_place_is_settled has said so. */
void vsi_html_insert_settled(vsi_html *html, bool in_js, const char *text, size_t len);

#endif
