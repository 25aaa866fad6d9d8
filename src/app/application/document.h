/* SPDX-License-Identifier: MIT */
/* The frame of documents. */
#ifndef VSI_APPLICATION_DOCUMENT_H
#define VSI_APPLICATION_DOCUMENT_H

#include "app/application/call.h"

/* End the content and the document that a function has begun. */
void vsi_entry_call_document_end(vsi_entry_call *call);
/* Append what a browser without JavaScript sends of a form, instead of headers and signals. */
void vsi_entry_call_hidden(vsi_entry_call *call, const char *name);

#endif
