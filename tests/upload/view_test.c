/* SPDX-License-Identifier: MIT */
/* The element of a form that sends files: its markup, and the signal names that it rejects. */
#include "vestry/app/upload_view.h"

#include <string.h>

#include "support/test.h"
#include "support/test_host.h"

/* Build the element. *ret_text is "" if it is rejected, or if memory is missing. */
static vestry_err make(vestry_html *html, const vestry_upload_view_options *options, const char **ret_text) {
  vestry_slice built = {"", 0};
  vestry_html_add(html, "<form>");
  vestry_err error = vestry_html_upload(html, options);
  vestry_html_add(html, "</form>");
  vestry_err taken = vestry_html_result(html, &built);
  assert_int_equal(error != VESTRY_OK && taken == VESTRY_OK, false);
  *ret_text = built.data;
  return error;
}

/* capability: L1 */
TEST_CASE(element_has_signals_progress_button_and_status) {
  vestry_html html;
  const char *text;
  vestry_html_init(&html, NULL);
  assert_int_equal(make(&html, NULL, &text), VESTRY_OK);
  assert_non_null(strstr(text, "{_uploadPercent: 0, _uploadState: '', _uploadText: ''}"));
  assert_non_null(strstr(text, "<progress max=\"100\" value=\"0\" hidden aria-label=\"Upload progress\""));
  assert_non_null(strstr(text, ">Cancel</button>"));
  assert_non_null(strstr(text, "<p role=\"status\" data-text=\"$_uploadText\"></p></div></form>"));
  assert_non_null(strstr(text, "data-elsewhere=\"The request was redirected, "));
  assert_null(strstr(text, " data-resumes "));
  vestry_html_clear(&html);
  const vestry_upload_view_options own = {.signal = "_photos", .cancel = "<b>", .failed = "\"{why}\"", .resumes = true};
  assert_int_equal(make(&html, &own, &text), VESTRY_OK);
  assert_non_null(strstr(text, "data-upload=\"_photos\""));
  assert_non_null(strstr(text, "{_photosPercent: 0, "));
  assert_non_null(strstr(text, " data-resumes "));
  assert_non_null(strstr(text, ">&lt;b&gt;</button>"));
  assert_non_null(strstr(text, "data-failed=\"&quot;{why}&quot;\""));
  vestry_html_finish(&html);
}

/* capability: L1 */
TEST_CASE(invalid_signal_name_is_rejected) {
  static const char *const none[] = {
      "", "a'b", "a.b", "a1", "a b", "a__b", "\"", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
  vestry_html html;
  const char *text;
  vestry_html_init(&html, NULL);
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    assert_int_equal(make(&html, &(vestry_upload_view_options){.signal = none[i]}, &text), VESTRY_INVALID);
    vestry_html_clear(&html);
  }
  assert_int_equal(vestry_html_upload(NULL, NULL), VESTRY_INVALID);
  vestry_html_finish(&html);
}

HOST_CASE(allocation_failure_gives_whole_element_or_error) {
  bool has_failed = true;
  for (long i = 0; has_failed; i++) {
    vestry_html html;
    const char *text;
    vestry_html_init(&html, &th->host);
    test_host_fail_in(th, i);
    vestry_err error = make(&html, NULL, &text);
    has_failed = test_host_has_failed(th);
    test_host_fail_no_more(th);
    if (*text) assert_non_null(strstr(text, "</p></div></form>"));
    assert_int_equal(has_failed || !error, true);
    vestry_html_finish(&html);
  }
}
