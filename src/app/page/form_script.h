/* SPDX-License-Identifier: MIT */
/* What a form that is kept does in the browser. */
#ifndef VSI_PAGE_FORM_SCRIPT_H
#define VSI_PAGE_FORM_SCRIPT_H

#include "vestry/html.h"

/* Write it as the attribute `data-init`. fields: a JavaScript array. tag: of the scope. All are safe in code. */
vestry_err vsi_form_script(vestry_html *html, const char *name, const char *fields, const char *path, const char *tag);

#endif
