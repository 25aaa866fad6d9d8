/* SPDX-License-Identifier: MIT */
/* The meaning of an attribute's value to a browser and to the Datastar client, in one table. */
#ifndef VSI_HTML_VALUE_H
#define VSI_HTML_VALUE_H

#include <stdbool.h>

#include "vestry/host.h"

/* Kinds of values, by the harm that an inserted text could do in them. */
typedef enum vsi_value {
  VSI_VALUE_TEXT,    /* none, whatever the text is */
  VSI_VALUE_URL,     /* navigation, or a URL that is loaded and shown: a script as a URL would run */
  VSI_VALUE_PAGE,    /* a document that is loaded inside the page: the content of a data: URL would run, too */
  VSI_VALUE_LOADS,   /* code or style that is loaded, or the base of such URLs: only the fragment is harmless */
  VSI_VALUE_LINK,    /* LOADS, or only information, depending on the element's rel */
  VSI_VALUE_REL,     /* determines the kind of a link's URL */
  VSI_VALUE_TYPE,    /* determines the kind of a script's text */
  VSI_VALUE_PRAGMA,  /* turns the element, with its content, into an instruction to the browser */
  VSI_VALUE_CONTENT, /* none, except with a PRAGMA */
  VSI_VALUE_CODE,    /* code */
  VSI_VALUE_STYLE,   /* a style */
  VSI_VALUE_MARKUP,  /* a document */
  VSI_VALUE_CLOSED   /* other harm: it runs when animated, or loosens the restrictions of a document */
} vsi_value;

/* Return the kind of an attribute's value. Names are in lower case. A value that is in no row is a TEXT.
 * ret_result  of CODE: the kind of its result, if that becomes the value of an attribute, otherwise TEXT; CLOSED if
 *             that attribute is unknown */
vsi_value vsi_html_value(vestry_slice element, vestry_slice attribute, vsi_value *ret_result);

/* Return whether a link with this rel is only information or a picture. rel: in lower case, without white space */
bool vsi_html_is_plain_link(vestry_slice rel);
/* Return whether the text of a script with this type is neither code nor data, but determines navigation, or from where
 * code is loaded. type: as rel */
bool vsi_html_is_rules(vestry_slice type);

#endif
