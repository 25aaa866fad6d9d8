/* SPDX-License-Identifier: MIT */
/* Escaping for the places where an event puts text of others: a script element's text and its attributes' values. */
#ifndef VSI_EVENT_ESCAPE_H
#define VSI_EVENT_ESCAPE_H

#include "event/layout.h"

/* The text of a script element, line by line, each but the first with the prefix in front. It comes out as it went in,
 * but for the `<` of what would end the element or change how it is read. */
void vsi_put_script_text(vsi_writer *writer, const char *text, size_t len, const char *prefix);

/* An attribute's value for double quotes, on one line. */
void vsi_put_attribute_value(vsi_writer *writer, const char *value);

/* Whether it can be an attribute's name: ASCII letters, digits, '-', '_', ':', '.', at least one. */
bool vsi_is_attribute_name(const char *name);

/* Whether it is an address that is safe to go to: relative, http or https, without control characters. */
VESTRY_API bool vsi_is_web_address(const char *url);

/* Whether text begins with `lower`, in any case: ASCII's, as in HTML, whatever the locale. */
bool vsi_starts_with(const char *text, size_t len, const char *lower);

#endif
