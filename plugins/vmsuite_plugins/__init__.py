"""Everything built in, registered through the same door as any plugin."""
