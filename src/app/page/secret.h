/* SPDX-License-Identifier: MIT */
/* Secrets of pages: what tags and their versions are hashed with. */
#ifndef VSI_PAGE_SECRET_H
#define VSI_PAGE_SECRET_H

#include "app/page/pages.h"
#include "app/page/state_tag.h"

/* OK | IO (no randomness) */
vestry_err vsi_secret_make(vestry_pages *pages, const vestry_pages_options *options);
/* What a cluster's nodes hash tags with, unless the pages were given a secret. Before the first request. */
VESTRY_API void vsi_pages_share_secret(vestry_pages *pages, const void *secret, size_t len);
/* A part's content as a tag claims it: no other part is mistaken for it. hash: the first word of the content's. */
vsi_part_claim vsi_secret_claim(const vestry_pages *pages, const char *id, const char *share, uint64_t hash);
/* The first word of the hash of what a tag claims that a part has. false: the tag claims nothing of that part. */
bool vsi_secret_claimed(const vestry_pages *pages, const vsi_state_tag *tag, const char *id, const char *share,
                        uint64_t *ret_hash);

#endif
