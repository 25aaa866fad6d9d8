/* SPDX-License-Identifier: MIT */
/* Options shared by all elements that make a page run code. */
#ifndef VSI_EVENT_SCRIPT_H
#define VSI_EVENT_SCRIPT_H

#include "event/layout.h"

/* Check the options. reserved: an attribute that the element has already; NULL: none. OK | INVALID */
vestry_err vsi_script_options_check(const vestry_script_options *options, const char *reserved);
/* Write the event's head, and the lines up to the elements, which append the element to the body. */
void vsi_put_script_head(vsi_writer *writer, vsi_event_meaning *meaning, const vestry_script_options *options);
/* Write the application's attributes. */
void vsi_put_script_attributes(vsi_writer *writer, const vestry_script_options *options);

#endif
