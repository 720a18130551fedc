"""What contradicts itself or is broken: one kind of finding for audit and doctor."""
