# SPDX-License-Identifier: MIT
# Converts files to C: cmake -DOUT=file.c -DPREFIX=vsi_console_ "-DFILES=a/console.html;…" "-DSCRIPTS=a/form.js;…" -P embed.cmake
# Each of FILES becomes a terminated array whose name ends with the extension.
# Each of SCRIPTS becomes a terminated array whose name ends with the file's name: its lines, joined by spaces, without
# those that are comments. A comment behind code would hide the lines that are joined to it, so it is an error. C code
# inserts the array into an HTML attribute as it is, so a quotation mark and a character reference are errors, too.
set(text "/* made by scripts/embed.cmake */\n")
function(append name bytes)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
  set(text "${text}extern const char ${PREFIX}${name}[];\nconst char ${PREFIX}${name}[] = {${bytes}0};\n" PARENT_SCOPE)
endfunction()
foreach(file IN LISTS FILES)
  get_filename_component(extension ${file} LAST_EXT)
  string(SUBSTRING ${extension} 1 -1 name)
  file(READ ${file} bytes HEX)
  append(${name} "${bytes}")
endforeach()
foreach(file IN LISTS SCRIPTS)
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} code)
  string(REGEX MATCH "^(.*)\n *([^ /\n]|/[^/\n])[^\n]*//" found "\n${code}")
  if(found)
    string(REGEX MATCHALL "\n" lines_before "${CMAKE_MATCH_1}")
    list(LENGTH lines_before line)
    math(EXPR line "${line} + 1")
    message(FATAL_ERROR "${file}:${line}: // follows code. The lines are joined, so the rest of the script would become "
      "a comment. Put the comment into a line without code, and write a text that contains // as two texts.")
  endif()
  string(REGEX REPLACE "\n *//[^\n]*" "" code "\n${code}")
  string(REGEX MATCH "[^\n]*(\"|&[#A-Za-z])[^\n]*" found "${code}")
  if(found)
    message(FATAL_ERROR "${file}: the line ${found} has a double quotation mark, or an & before a letter or #. The "
      "script stands in an HTML attribute, which the mark would end, and where the & could begin a character reference. "
      "Use single quotation marks, and spaces around &&.")
  endif()
  string(STRIP "${code}" code)
  string(REGEX REPLACE "[ \n]*\n *" " " code "${code}")
  string(HEX "${code}" bytes)
  append(${name} "${bytes}")
endforeach()
file(WRITE ${OUT} "${text}")
