"""Every sentence, JSON row and page that users see, made from codes and values; commands and pages only print them."""
