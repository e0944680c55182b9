"""Programs that write files of the product: fits, tables, pages."""
