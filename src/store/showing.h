/* vestry_store_with by way of get: where there is no section to look in, references are taken. */
#ifndef VSI_STORE_SHOWING_H
#define VSI_STORE_SHOWING_H

#include "store/store.h"

/* Gets the values of a key that `self` and `key` say, as the member get of vestry_store_ops does. */
typedef vestry_err (*vsi_showing_get_fn)(void *self, const void *key, void **values, size_t *count);

/* Get them all at once, since one at a time would need an order, and show the newest first. As vestry_store_with. */
vestry_err vsi_showing(const vestry_host *host, const vestry_store_exit *exit, vsi_showing_get_fn get, void *self,
                       const void *key, vestry_with_fn fn, void *ctx);

#endif
