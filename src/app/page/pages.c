/* SPDX-License-Identifier: MIT */
#include "app/page/pages.h"

vestry_err vsi_requests_take(vestry_pages *pages, size_t bytes) {
  if (bytes > pages->max_requests_bytes - pages->requests_bytes) {
    pages->stats.requests_refused_count++;
    return VESTRY_LIMIT;
  }
  pages->requests_bytes += bytes;
  return VESTRY_OK;
}

void vsi_requests_give_back(vestry_pages *pages, size_t bytes) {
  pages->requests_bytes -= bytes;
}

uint32_t vsi_pages_chance(const vestry_pages *pages, uint32_t below) {
  uint32_t number = 0;
  (void)pages->host->random(pages->host->ctx, &number, sizeof number);
  return below ? number % below : 0;
}
