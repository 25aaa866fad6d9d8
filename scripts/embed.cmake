# SPDX-License-Identifier: MIT
# Converts files to C: cmake -DOUT=file.c -DPREFIX=vsi_console_ "-DFILES=a/console.html;…" "-DSCRIPTS=a/form.js;…" -P embed.cmake
# Each of FILES becomes a terminated array whose name ends with the extension.
# Each of SCRIPTS becomes a terminated array whose name ends with the file's name: its lines, joined by spaces, without
# those that are comments.
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
  string(REGEX REPLACE "\n *//[^\n]*" "" code "\n${code}")
  string(STRIP "${code}" code)
  string(REGEX REPLACE "[ \n]*\n *" " " code "${code}")
  string(HEX "${code}" bytes)
  append(${name} "${bytes}")
endforeach()
file(WRITE ${OUT} "${text}")
