/* SPDX-License-Identifier: MIT */
/* What is said of a page itself, to one stream: by signals, on which the page's element acts (script.c). So no script
 * comes by a stream. */
#ifndef VSI_PAGE_SAY_H
#define VSI_PAGE_SAY_H

#include "app/page/pages.h"

enum { VSI_SAY_RELOAD_MS = 1000 }; /* within which a tab that is led away loads its page anew */

void vsi_say_failing(vestry_connection *connection, bool is_failing);
/* The tab stays as it is, and its stream ends: the tab does not ask why, as it does otherwise. */
void vsi_say_over(vestry_connection *connection);
/* The tab goes there, and its stream ends; url: an address of the web. */
void vsi_say_go(vestry_connection *connection, const char *url);
/* The tab loads its page anew, and its stream ends. */
void vsi_say_reload(vestry_pages *pages, vestry_connection *connection, uint32_t within_ms);

#endif
