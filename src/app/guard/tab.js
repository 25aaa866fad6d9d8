// SPDX-License-Identifier: MIT
// A text that a page leaves for the next page of its tab and scope. tab.c explains it.
// parameters: none
// scripts/embed.cmake joins the lines by spaces and drops lines that are comments.
//
//     take(parse)  removes the text from the storage and returns it, or null if there is none of this scope
//     keep()       stores the text that `read` returns, when the user leaves the page
//     drop()       removes the text, when the user returns to a page that the browser kept
//
// sessionStorage throws an exception if the user forbids it; then nothing is stored.

((key, tag, read) => ({
  take: (parse = (text) => text) => {
    try {
      const text = sessionStorage.getItem(key) ?? '';
      sessionStorage.removeItem(key);
      return text.startsWith(tag + '.') ? parse(text.slice(tag.length + 1)) : null
    } catch { return null } },
  keep: () => { try { sessionStorage.setItem(key, tag + '.' + read()) } catch {} },
  drop: () => { try { sessionStorage.removeItem(key) } catch {} } }))
