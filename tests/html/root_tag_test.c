/* SPDX-License-Identifier: MIT */
#include "html/tag.h"

#include <string.h>

#include "support/test.h"

/* In each document, '^' marks the position for an attribute and '!' the position for a tag. */
TEST_CASE(html_tag_or_its_position_is_found) {
  static const char *const documents[] = {
      "<!doctype html><html^>",
      "<!doctype html><html^ lang=\"en\"><p>",
      "<!DOCTYPE html>\r\n\t <HTML^\nlang=en>",
      "<html^/>",
      "<html^/lang=en>",
      "<!-- <html> --><!doctype html><!-- a > b --><html^>",
      "<!--><html^>",
      "<!---><html^>",
      "<?xml version=\"1.0\"?><html^>",
      "\xEF\xBB\xBF<!doctype html><html^>",
      "!",
      "<!doctype html>!",
      "<!doctype html>!<title>A</title><html lang=\"en\">",
      "<!doctype html>!<htmlx>",
      "<!doctype html>!</html><html>",
      "<!doctype html>!text<html>",
      "  !<p>",
      "!<",
      "<!doctype html!",
      "<!-- never closed <html>!",
      "<html^",
  };
  for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
    const char *given = documents[i], *mark = strpbrk(given, "^");
    char text[128];
    bool has_tag, wants_tag = mark != NULL;
    for (const char *at = given; !mark; at++)
      if (*at == '!' && !(at > given && at[-1] == '<')) mark = at;
    size_t place = (size_t)(mark - given), len = strlen(given) - 1;
    memcpy(text, given, place);
    memcpy(text + place, mark + 1, len - place);
    size_t found = vsi_html_root_tag((vestry_slice){text, len}, &has_tag);
    if (found != place || has_tag != wants_tag) fail_msg("%s: at %zu, %s", given, found, has_tag ? "a tag" : "none");
  }
}
