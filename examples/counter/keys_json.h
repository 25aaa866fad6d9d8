/* SPDX-License-Identifier: MIT */
/* GET /keys: what the store holds, for people who want to look inside. */
#ifndef COUNTER_KEYS_JSON_H
#define COUNTER_KEYS_JSON_H

#include "vestry/vestry.h"

vestry_err keys_json_reply(vestry *v, vestry_reply *reply);

#endif
