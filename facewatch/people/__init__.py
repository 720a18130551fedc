"""Who is who: identities, what users corrected, and the questions that are still open."""
