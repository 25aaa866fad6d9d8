#include "store/showing.h"

#include "base/memory.h"
#include "base/processor.h"

enum { FEW = 16 };

VSI_SELDOM vestry_err vsi_showing(const vestry_host *host, const vestry_store_exit *exit, vsi_showing_get_fn get,
                                  void *self, const void *key, vestry_with_fn fn, void *ctx) {
  void *few[FEW], **values = few;
  size_t room = FEW, count = room;
  vestry_err error;
  while (!(error = get(self, key, values, &count)) && count == room) { /* there may be more */
    for (size_t i = 0; i < count; i++) exit->value.unref(values[i]);
    count = room *= 4;
    void **more = vsi_realloc(host, values == few ? NULL : values, room * sizeof *values);
    if (!more) {
      if (values != few) vsi_free(host, values);
      return VESTRY_NO_MEMORY;
    }
    values = more;
  }
  for (size_t i = error ? 0 : count; i--;) {
    fn(values[i], ctx);
    exit->value.unref(values[i]);
  }
  if (values != few) vsi_free(host, values);
  return error;
}
