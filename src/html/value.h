/* SPDX-License-Identifier: MIT */
/* What the value of an attribute is to a browser, and to the Datastar client: one table. */
#ifndef VSI_HTML_VALUE_H
#define VSI_HTML_VALUE_H

#include <stdbool.h>

#include "vestry/host.h"

/* Of these, what a text of others can do there decides. */
typedef enum vsi_value {
  VSI_VALUE_TEXT,    /* nothing, whatever it says */
  VSI_VALUE_URL,     /* be gone to, or be loaded and shown: a script as a URL would run */
  VSI_VALUE_PAGE,    /* be loaded as a document inside the page: so would what a data: URL holds */
  VSI_VALUE_LOADS,   /* be loaded as code or style, or say from where others are: only the fragment is harmless */
  VSI_VALUE_LINK,    /* the same, or no more than information: as the element's rel says */
  VSI_VALUE_REL,     /* decide what a link's URL is */
  VSI_VALUE_TYPE,    /* decide what a script's text is */
  VSI_VALUE_PRAGMA,  /* make of the element an order to the browser, with the content that it has */
  VSI_VALUE_CONTENT, /* nothing, but for that */
  VSI_VALUE_CODE,    /* be code */
  VSI_VALUE_STYLE,   /* be a style */
  VSI_VALUE_MARKUP,  /* be a document */
  VSI_VALUE_CLOSED   /* harm in another way: run, when it is animated; loosen what holds a document */
} vsi_value;

/* Names are in lower case. A value that is in no row is a TEXT.
 * ret_result  of CODE: what its result is in turn, if that becomes the value of an attribute, otherwise TEXT; CLOSED if
 *             it cannot be known which attribute that is */
vsi_value vsi_html_value(vestry_slice element, vestry_slice attribute, vsi_value *ret_result);

/* Whether an element runs something by being there, brings a document that can, or changes what others are: in any
 * case. */
bool vsi_html_is_active(vestry_slice element);

/* Values of REL and TYPE, in lower case and without white space. The link is information, or a picture, and no more. */
bool vsi_html_is_plain_link(vestry_slice rel);
/* The script's text is neither code nor data, but says from where code is loaded, or where to go. */
bool vsi_html_is_rules(vestry_slice type);

#endif
