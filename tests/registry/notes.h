/* SPDX-License-Identifier: MIT */
/* Effects, actions, placeholders and interceptors for tests of dispatch, which note their calls in order. */
#ifndef TESTS_REGISTRY_NOTES_H
#define TESTS_REGISTRY_NOTES_H

#include "serve/wire.h"
#include "vestry/dispatch.h"

typedef struct notes {
  char text[4096];
} notes;

void note(notes *n, const char *format, ...) VESTRY_PRINTF(2, 3);
/* Note a value as JSON. */
void note_json(notes *n, const json_t *value);

/* An effect that notes its arguments as e[…]. ctx: notes. */
vestry_err noting_effect(vestry_dispatch_context *context, const json_t *args, void *ctx);
/* The same, but fails with a detail: "as told". */
vestry_err failing_effect(vestry_dispatch_context *context, const json_t *args, void *ctx);
/* An effect that returns its first argument as its result, and fails if it is null. */
vestry_err giving_effect(vestry_dispatch_context *context, const json_t *args, void *ctx);

/* An action that returns its first argument, if it has one. */
vestry_err listed_action(const json_t *state, const json_t *args, json_t **ret_effects, void *ctx);
/* A placeholder for the member of the data that its argument names; it waits if there is none. */
vestry_err data_placeholder(const json_t *data, const json_t *args, json_t **ret_value, void *ctx);

/* An interceptor that notes "name<what" and "name>what", and may fail. */
typedef struct noter {
  notes *n;
  const char *name;
  bool fails; /* before: FAILED and a detail; after: NOT_FOUND */
} noter;
vestry_err note_before(vestry_dispatch_context *context, const json_t *effect, void *ctx);
vestry_err note_after(vestry_dispatch_context *context, const json_t *effect, void *ctx);
void intercept(site *w, noter *o, vestry_phase phase);

/* "e": noting_effect, "fail": failing_effect, "give": giving_effect, "do": listed_action, "data": data_placeholder. */
void register_all(site *w, notes *n);
/* Begin a site of default options with all of them. */
void notes_begin(site *w, notes *n);
/* A case with such a site. */
extern notes noted;
#define NOTED_CASE(name) TEST_CASE_WITH(name, site, w, notes_begin(w, &noted), site_end(w))

/* Parse JSON text. */
json_t *json_of(const char *text);
/* Dispatch effects (JSON text) without a target, with these options, and compare the error. */
void dispatch_text(site *w, const char *effects, const vestry_dispatch_options *options, vestry_err expected,
                   vestry_dispatch_result *ret_result);
/* Make jansson's allocation with this number (from 0) fail. jansson allocates from the process, not from a host.
 * json_fail_end returns whether it failed. */
void json_fail_begin(long number);
bool json_fail_end(void);
/* Compare an error record. what and detail may be NULL: "". */
void assert_error(const vestry_dispatch_result *result, size_t index, vestry_phase phase, const char *name,
                  const char *what, vestry_err error, const char *detail);

#endif
