/* SPDX-License-Identifier: MIT */
/* GET /keys: list the content of the store. */
#ifndef COUNTER_KEYS_JSON_H
#define COUNTER_KEYS_JSON_H

#include "vestry/vestry.h"

vestry_err keys_json_reply(vestry *v, vestry_reply *reply);

#endif
