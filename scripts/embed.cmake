# SPDX-License-Identifier: MIT
# Files as C: cmake -DOUT=file.c -DPREFIX=vsi_console_ -DFILES=a/console.html;… -P embed.cmake
# Each becomes a terminated array, named after its extension.
set(text "/* made by scripts/embed.cmake */\n")
foreach(file IN LISTS FILES)
  get_filename_component(extension ${file} LAST_EXT)
  string(SUBSTRING ${extension} 1 -1 name)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
  string(APPEND text "extern const char ${PREFIX}${name}[];\nconst char ${PREFIX}${name}[] = {${bytes}0};\n")
endforeach()
file(WRITE ${OUT} "${text}")
