/* SPDX-License-Identifier: MIT */
/* Escaping of text that an event inserts into a script element or into attribute values. */
#ifndef VSI_EVENT_ESCAPE_H
#define VSI_EVENT_ESCAPE_H

#include "event/layout.h"

/* Write the text of a script element, with the prefix in front of each line but the first. The script has the same
 * effect; only the `<` of sequences that would end the element or change its parsing is escaped. */
void vsi_put_script_text(vsi_writer *writer, const char *text, size_t len, const char *prefix);

/* Write an attribute's value for double quotes, on one line. */
void vsi_put_attribute_value(vsi_writer *writer, const char *value);

/* Return whether the text can be an attribute's name: ASCII letters, digits, '-', '_', ':', '.', at least one. */
bool vsi_is_attribute_name(const char *name);

/* Return whether the address is safe to navigate to: relative, http or https, without control characters. */
VESTRY_API bool vsi_is_web_address(const char *url);

/* Return whether the text begins with `lower`, ignoring the case of ASCII letters, as in HTML and in any locale. */
bool vsi_starts_with(const char *text, size_t len, const char *lower);

#endif
