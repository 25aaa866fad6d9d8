# cmake -D INPUT=page.html -D OUTPUT=page_html.c -D NAME=page_html -D HEADER=page.h -P embed.cmake
# Converts a file to a C array NAME with a terminating zero, and its length NAME_len, as HEADER declares them.
# SPDX-License-Identifier: MIT
file(READ ${INPUT} bytes HEX)
string(LENGTH "${bytes}" len)
math(EXPR len "${len} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"${HEADER}\"\nconst unsigned char ${NAME}[] = {${bytes}0};\nconst size_t ${NAME}_len = ${len};\n")
