/* SPDX-License-Identifier: MIT */
/* The script for clicks before the client runs. tests/browser/early.test.js performs them. */
#include "vestry/app/early.h"

#include "support/test.h"

/* capability: L20 */
TEST_CASE(script_has_the_nonce_and_is_small) {
  const char *const nonces[] = {"a\"b", "", NULL};
  const char *const begins[] = {"<script nonce=\"a&quot;b\">{", "<script>{", "<script>{"};
  for (size_t i = 0; i < 3; i++) {
    vestry_html html;
    vestry_slice made = {"", 0};
    vestry_html_init(&html, NULL);
    assert_int_equal(vestry_html_early(&html, nonces[i]), VESTRY_OK);
    vestry_html_add(&html, "<title>%s</title>", "after it");
    assert_int_equal(vestry_html_result(&html, &made), VESTRY_OK);
    const char *text = made.data, *end = strstr(text, "}</script><title>after it</title>");
    assert_memory_equal(text, begins[i], strlen(begins[i]));
    assert_non_null(end);
    assert_true(end - text < 3000);
    vestry_html_finish(&html);
  }
}
