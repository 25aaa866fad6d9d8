/* SPDX-License-Identifier: MIT */
#ifndef VSI_SERVE_PROFILES_H
#define VSI_SERVE_PROFILES_H

#include "vestry/instance.h"

/* Offer brotli and gzip, as far as this library has them, to streams of an instance whose options name no profiles.
 * Only the first call for an instance has an effect. Requests may be served meanwhile; those that have begun may still
 * choose identity. OK, also if the instance has profiles | NO_MEMORY */
VESTRY_API vestry_err vsi_profiles_offer(vestry *v);

#endif
