/* SPDX-License-Identifier: MIT */
/* Forms as entries. */
#ifndef VSI_APPLICATION_FORM_H
#define VSI_APPLICATION_FORM_H

#include "app/application/call.h"

/* Check a form, and serve it at its action. */
vestry_err vsi_form_mount(vsi_application *a, vsi_mounted *entry, vestry_handler_fn handler);
/* Read the fields of a form into call->is.values. The call fails if a field breaks a rule. */
void vsi_form_read(vsi_entry_call *call);
/* Clear the stored text of a form, in its transaction. */
void vsi_form_clear(vsi_entry_call *call);
/* Answer an accepted or refused form, and clear the call's error if it was refused. */
void vsi_form_answer(vsi_entry_call *call);

#endif
