/* SPDX-License-Identifier: MIT */
/* The profiles that servers and applications offer by default. This is a separate file, so that a static program that
 * calls neither contains no encoders. */
#include "serve/profiles.h"

#include "coding/coding.h"
#include "connection/connection.h"
#include "instance/instance.h"

/* The best ratio first. Browsers accept brotli on https and on this machine only, and then get gzip elsewhere. */
static const vestry_profile *const offered[] = {
#ifndef VSI_WITHOUT_BROTLI
    &(const vestry_profile){.ops = &vestry_profile_brotli},
#endif
#ifndef VSI_WITHOUT_GZIP
    &(const vestry_profile){.ops = &vestry_profile_gzip},
#endif
    NULL,
};

vestry_err vsi_profiles_offer(vestry *v) {
  size_t count = 0;
  /* relaxed: the exchange only chooses one thread, and the options have set the count before the instance was shared */
  if (atomic_exchange_explicit(&v->has_offered_profiles, true, memory_order_relaxed)) return VESTRY_OK;
  if (atomic_load_explicit(&v->profiles_count, memory_order_relaxed)) return VESTRY_OK;
  for (; offered[count]; count++) {
    vsi_coding *coding;
    vestry_err error = vsi_profile_resolve(offered[count], &v->profiles[count]);
    if (!error) error = vsi_coding_find(vsi_group_codings(v->group), offered[count], &coding);
    if (error) return error;
  }
  atomic_store_explicit(&v->profiles_count, count, memory_order_release); /* with the load of vsi_encoding_choose */
  return VESTRY_OK;
}
