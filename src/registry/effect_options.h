/* SPDX-License-Identifier: MIT */
/* Options of the built-in effects, from JSON objects. Strict: an unknown name or a wrong type is INVALID, and the
 * context gets an error detail that names it. The options borrow from the object. NULL and null: the defaults. */
#ifndef VSI_REGISTRY_EFFECT_OPTIONS_H
#define VSI_REGISTRY_EFFECT_OPTIONS_H

#include "vestry/registry.h"

enum { VSI_SCRIPT_ATTRIBUTES_MAX = 64 };

/* Return a text as a C string; NULL if it contains a NUL, because it would be cut and change its meaning. */
const char *vsi_text_of(const json_t *value);

/* All functions: OK | INVALID. */
vestry_err vsi_elements_options_read(vestry_dispatch_context *context, const json_t *json,
                                     vestry_elements_options *ret_options);
/* Without selector and mode. */
vestry_err vsi_remove_options_read(vestry_dispatch_context *context, const json_t *json,
                                   vestry_elements_options *ret_options);
vestry_err vsi_signals_options_read(vestry_dispatch_context *context, const json_t *json,
                                    vestry_signals_options *ret_options);
vestry_err vsi_plain_options_read(vestry_dispatch_context *context, const json_t *json,
                                  vestry_plain_options *ret_options);
/* attributes: an array of VSI_SCRIPT_ATTRIBUTES_MAX, which the options then point to. */
vestry_err vsi_script_options_read(vestry_dispatch_context *context, const json_t *json, vestry_attribute *attributes,
                                   vestry_script_options *ret_options);
/* Options of an event, and those of its script, to which they point: the struct must stay at its address. */
typedef struct vsi_custom_event_options {
  vestry_script_options script;
  vestry_custom_event_options event;
} vsi_custom_event_options;
/* attributes: likewise. */
vestry_err vsi_custom_event_options_read(vestry_dispatch_context *context, const json_t *json,
                                         vestry_attribute *attributes, vsi_custom_event_options *ret_options);

#endif
