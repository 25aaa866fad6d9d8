/* SPDX-License-Identifier: MIT */
/* Delegated actions of documents that show the reason of a refused one. */
#ifndef VSI_GUARD_PRESS_H
#define VSI_GUARD_PRESS_H

#include "vestry/app/press.h"

/* As vestry_html_presses. first: JavaScript before each request, ended by a comma, for example "$a = '',". */
vestry_err vsi_html_presses(vestry_html *html, vestry_method method, const vestry_backend_action_options *options,
                            const char *first);

#endif
