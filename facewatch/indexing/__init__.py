"""Photos brought into the catalog: hash, decode, analyse, record; what does it, and within which memory."""
