/* What can be put where. */
#ifndef VSI_HTML_SLOT_H
#define VSI_HTML_SLOT_H

#include "vestry/html.h"

/* What can be put somewhere. */
typedef enum vsi_slot {
  VSI_SLOT_NONE,      /* nothing of others; *ret_why says what is here */
  VSI_SLOT_TEXT,      /* a text: of an element, or the whole or a part of an ordinary attribute's value */
  VSI_SLOT_URL,       /* part of the value of an attribute that is a URL */
  VSI_SLOT_JS_STRING, /* part of a JavaScript string, within quotes that are there */
  VSI_SLOT_JS_CODE,   /* a JavaScript expression, in an attribute */
  VSI_SLOT_SCRIPT     /* a JavaScript expression, in a script element */
} vsi_slot;

#endif
