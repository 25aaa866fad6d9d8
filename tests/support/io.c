/* SPDX-License-Identifier: MIT */
/* Suites of streams run twice: with TEST_IO=batched, all runtimes batch the writes of streams. The linker replaces
 * vestry_runtime_create (--wrap). */
#include <stdlib.h>
#include <string.h>

#include "vestry/runtime.h"

vestry_err __wrap_vestry_runtime_create(const vestry_runtime_options *options, vestry_runtime **ret_runtime);
/* Weak, because some programs of tests have no runtime. */
__attribute__((weak)) vestry_err __real_vestry_runtime_create(const vestry_runtime_options *options,
                                                              vestry_runtime **ret_runtime);

vestry_err __wrap_vestry_runtime_create(const vestry_runtime_options *options, vestry_runtime **ret_runtime) {
  const char *io = getenv("TEST_IO");
  if (!io || strcmp(io, "batched") != 0 || (options && options->io))
    return __real_vestry_runtime_create(options, ret_runtime);
  vestry_runtime_options own = options ? *options : (vestry_runtime_options){0};
  own.io = VESTRY_RUNTIME_IO_BATCHED;
  return __real_vestry_runtime_create(&own, ret_runtime);
}
