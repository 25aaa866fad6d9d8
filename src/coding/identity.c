/* SPDX-License-Identifier: MIT */
/* Identity: unencoded bytes. A stream of this profile has no coder, so no function is needed. */
#include "coding/ops.h"

const vestry_profile_ops vestry_profile_identity = {.coding = "identity"};
