# SPDX-License-Identifier: MIT
# Converts files to C: cmake -DOUT=file.c -DPREFIX=vsi_console_ -DFILES=a/console.html;… -P embed.cmake
# Each file becomes a terminated array whose name ends with the extension.
set(text "/* made by scripts/embed.cmake */\n")
foreach(file IN LISTS FILES)
  get_filename_component(extension ${file} LAST_EXT)
  string(SUBSTRING ${extension} 1 -1 name)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
  string(APPEND text "extern const char ${PREFIX}${name}[];\nconst char ${PREFIX}${name}[] = {${bytes}0};\n")
endforeach()
file(WRITE ${OUT} "${text}")
