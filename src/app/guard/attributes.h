/* SPDX-License-Identifier: MIT */
/* The attributes of a document's body. has_file: the document loads the file of the library's scripts (html/script.h).
 * Otherwise as vestry_once_attributes and vestry_tab_attributes. */
#ifndef VSI_GUARD_ATTRIBUTES_H
#define VSI_GUARD_ATTRIBUTES_H

#include "vestry/app/press.h"
#include "vestry/request.h"

vestry_err vsi_once_attributes(const vestry_request *req, bool has_file, char *buffer, size_t capacity);
vestry_err vsi_tab_attributes(const vestry_request *req, vestry_reply *reply, bool has_file, char *buffer,
                              size_t capacity);

/* As vestry_html_presses, for documents that show the reason of a refused action. first: JavaScript before each
 * request, ended by a comma, for example "$a = '',". */
vestry_err vsi_html_presses(vestry_html *html, vestry_method method, const vestry_backend_action_options *options,
                            const char *first);

#endif
