/* SPDX-License-Identifier: MIT */
/* What is kept of forms, in memory and within bounds: by scope, tab and name. */
#ifndef VSI_PAGE_FORM_KEPT_H
#define VSI_PAGE_FORM_KEPT_H

#include "app/page/form_storage.h"

/* options: with all defaults. OK | NO_MEMORY | IO */
vestry_err vsi_form_kept_create(const vestry_host *host, const vestry_forms_options *options,
                                vestry_forms_storage **ret_kept);
void vsi_form_kept_destroy(vestry_forms_storage *kept);

#endif
