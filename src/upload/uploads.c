/* SPDX-License-Identifier: MIT */
#include "vestry/upload.h"

#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/options.h"
#include "http/routes/routes.h"
#include "instance/instance.h"
#include "upload/receive.h"

enum { DEFAULT_FILE_BYTES = 64 << 20, DEFAULT_COUNT = 1000, DEFAULT_PERSON_COUNT = 16, FORM_BYTES = 1 << 18 };

static const char *mistake_of(const vestry_uploads_options *o) {
  if (!o->pattern) return "a pattern is missing";
  if (!o->writer || !VSI_OPS_ARE_KNOWN(o->writer)) return "a writer is missing, or it is of a later vestry";
  if (!o->writer->begin || !o->writer->write || !o->writer->end || !o->writer->abort)
    return "the writer lacks a function";
  if (o->max_files_count > VESTRY_UPLOAD_FILES_MAX) return "max_files_count is above VESTRY_UPLOAD_FILES_MAX";
  if (o->max_file_bytes > VESTRY_BODY_BYTES_MAX / VESTRY_UPLOAD_FILES_MAX / 2) return "max_file_bytes is too large";
  return NULL;
}

static vestry_err mount(vestry_uploads *uploads) {
  const vestry_uploads_options *o = &uploads->options;
  vestry_err error = vsi_route_receiver(uploads->v, "POST", o->pattern, &vsi_upload_receiver, uploads);
  if (error) return error;
  error = vestry_body_limit(uploads->v, o->pattern, (size_t)(o->max_file_bytes * o->max_files_count) + FORM_BYTES);
  if (error) (void)vestry_unroute(uploads->v, "POST", o->pattern);
  return error;
}

vestry_err vestry_uploads_create(vestry *v, const vestry_uploads_options *given, vestry_uploads **ret_uploads) {
  vestry_uploads_options o;
  if (!v || !ret_uploads) return VESTRY_INVALID;
  if (VSI_OPTIONS_TAKE(o, given))
    return vsi_mistake(v->host, "vestry_uploads_create", "the options are of a later vestry");
  const char *mistake = mistake_of(&o);
  if (mistake) return vsi_mistake(v->host, "vestry_uploads_create", mistake);
  if (!o.max_file_bytes) o.max_file_bytes = DEFAULT_FILE_BYTES;
  if (!o.max_files_count) o.max_files_count = 1;
  if (!o.max_count) o.max_count = DEFAULT_COUNT;
  if (!o.max_per_person_count) o.max_per_person_count = DEFAULT_PERSON_COUNT;
  size_t pattern_len = strlen(o.pattern) + 1, types_len = o.types ? strlen(o.types) + 1 : 0;
  vestry_uploads *uploads = vsi_calloc(v->host, 1, sizeof *uploads + pattern_len + types_len);
  if (!uploads) return VESTRY_NO_MEMORY;
  o.pattern = memcpy(uploads->text, o.pattern, pattern_len);
  if (o.types) o.types = memcpy(uploads->text + pattern_len, o.types, types_len);
  uploads->v = v;
  uploads->options = o;
  uploads->places.max_count = o.max_count;
  uploads->places.max_per_person_count = o.max_per_person_count;
  vestry_err error = vsi_upload_places_init(&uploads->places, v->host);
  if (!error && (error = mount(uploads))) vsi_upload_places_finish(&uploads->places);
  if (error) {
    vsi_free(v->host, uploads);
    return error;
  }
  *ret_uploads = uploads;
  return VESTRY_OK;
}

void vestry_uploads_destroy(vestry_uploads *uploads) {
  if (!uploads) return;
  (void)vestry_unroute(uploads->v, "POST", uploads->options.pattern);
  (void)vestry_body_limit(uploads->v, uploads->options.pattern, 0);
  vsi_upload_places_finish(&uploads->places);
  vsi_free(uploads->v->host, uploads);
}

void vestry_uploads_stats_get(vestry_uploads *uploads, vestry_uploads_stats *ret_stats) {
  const vestry_uploads_stats stats = vsi_upload_places_stats(&uploads->places);
  VSI_RESULT_GIVE(ret_stats, stats);
}
