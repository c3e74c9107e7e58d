#!/usr/bin/env python3
"""Makes a C++ header of a text file: embed.py IN OUT NAME [NAMESPACE]"""
import sys

namespace = sys.argv[4] if len(sys.argv) > 4 else "daystream::serve"
with open(sys.argv[1], encoding="utf-8") as source:
    text = source.read()
with open(sys.argv[2], "w", encoding="utf-8") as header:
    header.write("#pragma once\n\n#include <string_view>\n\n")
    header.write(f"namespace {namespace} {{\ninline constexpr std::string_view {sys.argv[3]} =\n")
    # In pieces: a compiler need not take a literal of any length.
    for at in range(0, len(text), 4000):
        header.write(f'    R"__({text[at:at + 4000]})__"\n')
    header.write(f"    ;\n}}  // namespace {namespace}\n")
