"""A copy of the catalog for many readers, in PostgreSQL with pgvector: made, kept in line, and dropped.

The catalog stays the truth, and is only read: nothing that is changed in a copy comes back, and the next `publish`
puts it right where the same row changes here. Everything here that speaks SQL speaks it to PostgreSQL.
"""
