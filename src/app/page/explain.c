/* SPDX-License-Identifier: MIT */
#include "app/page/explain.h"

#include "app/page/reason.h"
#include "app/page/serve.h"
#include "app/page/topic.h"

static void tell_topic(const vsi_link *link, const vsi_page_told *told) {
  if (!link->topic) return;
  const vestry_slice name = vsi_topic_name(link->topic);
  told->topic(name.data, vsi_reason_told_len(name.data, name.len), told->ctx);
}

static void tell_topics(const vsi_view *view, const vsi_page_told *told) {
  tell_topic(&view->link, told);
  for (const vsi_more_link *more = view->more_links; more; more = more->next) tell_topic(&more->link, told);
}

bool vsi_page_explain(vestry_pages *pages, vestry_connection *connection, const vsi_page_told *told) {
  vsi_view *own;
  vsi_pages_lock(pages);
  const vsi_viewer *viewer = vsi_page_viewer(pages, connection, &own);
  const vsi_seat *seat = viewer ? viewer->seats : NULL;
  const vsi_view *shown = own ? own : seat ? &seat->shared->view : NULL;
  if (shown && shown->request) told->path(vsi_request_copy_path(shown->request), told->ctx);
  if (own) tell_topics(own, told);
  for (; seat; seat = seat->next_of_viewer) tell_topics(&seat->shared->view, told);
  vsi_pages_unlock(pages);
  return viewer;
}
