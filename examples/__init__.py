"""Example tasks that do real work: `windsock serve --tasks examples`."""
