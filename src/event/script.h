/* SPDX-License-Identifier: MIT */
/* What elements that make a page do something have in common: their options. */
#ifndef VSI_EVENT_SCRIPT_H
#define VSI_EVENT_SCRIPT_H

#include "event/layout.h"

/* reserved: an attribute that the element has already; NULL: none. OK | INVALID */
vestry_err vsi_script_options_check(const vestry_script_options *options, const char *reserved);
/* The event's head, and its lines up to the elements: it is appended to the body. */
void vsi_put_script_head(vsi_writer *writer, vsi_event_meaning *meaning, const vestry_script_options *options);
/* The application's attributes. */
void vsi_put_script_attributes(vsi_writer *writer, const vestry_script_options *options);

#endif
